"""Which executor serves: this process, worker processes on the devices of this machine, or Ray."""

import torch

from ihcli.errors import OptionError
from ihcli.execution import forking
from ihcli.execution.crews import CrewExecutor
from ihcli.execution.dealing import Crew
from ihcli.execution.local import LocalExecutor
from ihcli.execution.preparation import PreparedRun
from ihcli.execution.processes import ProcessCrew
from ihcli.execution.tasks import Executor
from ihcli.execution.worker import Commission
from ihcli.runs.request import Workforce
from ihcli.runs.writer import RunWriter


def choose_executor(workforce: Workforce, device: str) -> Executor:
    """Return who explains on the device that was asked for.

    Raises OptionError for an executor that there is not; PackageError where Ray is asked for and not installed.
    """
    if workforce.executor == "ray":
        from ihcli.execution.ray import ray_executor

        return ray_executor(workforce, device)
    if workforce.executor != "local":
        raise OptionError(f"`executor`: {workforce.executor!r} is not an executor. Expected local or ray.")
    devices = plan_devices(device, workforce.workers, torch.cuda.device_count())
    if len(devices) == 1:
        return LocalExecutor()
    forking.begin()

    def hire_crew(prepared: PreparedRun, writer: RunWriter) -> Crew:
        memory_bytes = prepared.explainer.memory_bytes // _most_on_one(devices)
        threads = max(1, torch.get_num_threads() // len(devices))
        return ProcessCrew(Commission.of(prepared, writer, memory_bytes, threads), devices)

    return CrewExecutor(len(devices), hire_crew)


def plan_devices(device: str, workers: int | None, n_gpus: int) -> tuple[str, ...]:
    """Return the device of each worker: all GPUs in turn for auto and cuda where there are any, else the one named."""
    devices = [f"cuda:{i}" for i in range(n_gpus)] if device in ("auto", "cuda") and n_gpus > 1 else [device]
    return tuple(devices[i % len(devices)] for i in range(workers or len(devices)))


def _most_on_one(devices: tuple[str, ...]) -> int:
    return max(devices.count(device) for device in devices)
