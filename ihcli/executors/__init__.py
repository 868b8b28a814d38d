"""Where chunks run: in this process, in others on this machine, or on a cluster."""

from ihcli.executors.choosing import choose_executor
from ihcli.executors.tasks import Executor, FailedChunksError, Task

__all__ = ["Executor", "FailedChunksError", "Task", "choose_executor"]
