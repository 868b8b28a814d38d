"""Where chunks run: in this process, in others on this machine, or on a cluster."""

from ihcli.executors.local import LocalExecutor
from ihcli.executors.tasks import Executor, Task

__all__ = ["Executor", "LocalExecutor", "Task"]
