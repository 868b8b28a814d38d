"""Who explains: planned from what is asked for and what is there."""

import sys

import pytest

from ihcli.errors import OptionError, PackageError
from ihcli.execution.choosing import choose_executor, plan_devices
from ihcli.execution.crews import CrewExecutor
from ihcli.execution.local import LocalExecutor
from ihcli.runs.request import Workforce


@pytest.mark.parametrize(
    ("device", "workers", "n_gpus", "planned"),
    [
        ("auto", None, 0, ["auto"]),
        ("cpu", None, 4, ["cpu"]),
        ("cpu", 3, 4, ["cpu"] * 3),
        ("auto", 2, 0, ["auto"] * 2),
        ("auto", None, 1, ["auto"]),
        ("auto", None, 3, ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda", None, 2, ["cuda:0", "cuda:1"]),
        ("cuda", 3, 2, ["cuda:0", "cuda:1", "cuda:0"]),
        ("cuda", 1, 4, ["cuda:0"]),
        ("cuda:1", None, 4, ["cuda:1"]),
        ("cuda:1", 2, 4, ["cuda:1", "cuda:1"]),
    ],
)
def test_every_gpu_has_a_worker_unless_less_is_asked_for(
    device: str, workers: int | None, n_gpus: int, planned: list[str]
) -> None:
    assert plan_devices(device, workers, n_gpus) == tuple(planned)


def test_one_worker_is_this_process() -> None:
    assert isinstance(choose_executor(Workforce(), "cpu"), LocalExecutor)
    assert isinstance(choose_executor(Workforce(workers=1), "cpu"), LocalExecutor)
    assert isinstance(choose_executor(Workforce(workers=2), "cpu"), CrewExecutor)


def test_an_executor_that_there_is_not_is_refused() -> None:
    with pytest.raises(OptionError, match=r"`executor`: 'dask' is not an executor\. Expected local or ray\."):
        choose_executor(Workforce("dask"), "cpu")


def test_without_ray_its_executor_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PackageError) as caught:
        choose_executor(Workforce("ray"), "cpu")
    assert str(caught.value) == "`executor=ray`: needs the package ray. Try pip install 'ihcli[ray]'."
    assert isinstance(choose_executor(Workforce(workers=2), "cpu"), CrewExecutor)
