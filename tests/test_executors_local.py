"""Chunks explained in this process: what every executor promises."""

from executor_contract import ExecutorContract

from ihcli.runs.request import Workforce


class TestLocal(ExecutorContract):
    workforce = Workforce()
