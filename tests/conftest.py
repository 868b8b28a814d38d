"""Every test runs on one thread: workers side by side, and sums in one order."""

import torch

torch.set_num_threads(1)
