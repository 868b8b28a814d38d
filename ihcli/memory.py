"""How much memory a run may work in when the user does not say."""

import os

import torch

MOST_ON_CPU = 2 << 30


def default_memory_bytes(device: torch.device) -> int:
    """Return half of the GPU's free memory, or a quarter of the free RAM up to 2 GiB."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free // 2
    return min(MOST_ON_CPU, _free_ram_bytes() // 4)


def _free_ram_bytes() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not every system counts its free pages
        return MOST_ON_CPU
