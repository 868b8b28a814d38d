"""Python that starts in milliseconds: a server imports once what commands need, and forks a process for each.

`python()` and `light_python()` are executables like `sys.executable`, for `-c CODE`, `-m MODULE` and scripts.
What they start is a process of its own: with its own arguments, directory, environment, streams, session and end.
Only that modules are imported already, and that disks are not waited for, differs; tests about what a command imports,
or how it begins, start Python.
"""

import atexit
import gc
import importlib
import marshal
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

LIGHT = ("ihcli.cli.group", "numpy", "pyarrow.parquet", "ihcli.files.stores", "rich.table")
HEAVY = (
    *("ihcli.library.explaining", "ihcli.cli.asking.options", "ihcli.execution.pipeline", "ihcli.execution.processes"),
    *("ihcli.models", "pandas", "torch.export", "sklearn.neural_network", "sklearn.pipeline", "joblib"),
)
PRELOADED = {"light": LIGHT, "heavy": HEAVY}
PLACE = "PREPARED_PYTHON"  # names the directory of the servers, to the workers of pytest
READ_AT_IMPORT = ("PYTHON", "LC_", "LANG", "HF_", "TRANSFORMERS_", "MPL", "OPENBLAS_", "IHCLI_")
CLIENT = """
import _socket, array, marshal, os, signal, sys

def start_python():
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])

def forward(number, frame):
    os.kill(child, number)

try:
    directory = os.getcwd()
except OSError:
    start_python()
server = _socket.socket(_socket.AF_UNIX)
server.connect({address!r})
asked = marshal.dumps((sys.argv[1:], directory, dict(os.environ)))
streams = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
server.sendmsg([len(asked).to_bytes(4, "big")], streams)
server.sendall(asked)
child = int.from_bytes(server.recv(4), "big")
if not child:
    start_python()
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, forward)
code = int.from_bytes(server.recv(4), "big", signed=True)
if code < 0:
    if code != -signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


def python() -> str:
    """Return an executable: Python with torch, and what explaining needs, imported already."""
    return _executable("heavy")


def light_python() -> str:
    """Return an executable: Python with what the command line itself needs imported already, and no torch."""
    return _executable("light")


def do_not_wait_for_disks() -> None:
    """Let fsync do nothing: it takes a quarter of the suite's time, and matters only where the machine itself stops.

    Tests of what is synchronised, and in which order, put a spy in its place.
    """
    os.fsync = lambda descriptor: None


def _executable(kind: str) -> str:
    return str(Path(os.environ[PLACE]) / kind / "python")


@contextmanager
def served() -> Iterator[None]:
    """Serve all that is started meanwhile; servers import when they are first asked."""
    with tempfile.TemporaryDirectory(prefix="ih", dir="/tmp") as place:  # the path of a socket is short
        servers = [_begin(Path(place) / kind, kind) for kind in PRELOADED]
        os.environ[PLACE] = place
        try:
            yield
        finally:
            del os.environ[PLACE]
            for server in servers:
                server.communicate()


def _begin(place: Path, kind: str) -> subprocess.Popen[bytes]:
    place.mkdir()
    address = str(place / "socket")
    (place / "client.py").write_text(CLIENT.format(address=address, python=sys.executable))
    executable = place / "python"
    words = shlex.join([sys.executable, "-IS", str(place / "client.py")])
    executable.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    executable.chmod(0o700)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(64)
    with listening:
        command = [sys.executable, __file__, kind, str(listening.fileno())]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            env=environment,
            pass_fds=[listening.fileno()],
            start_new_session=True,
        )


# In the server


def _serve(kind: str, descriptor: int) -> None:
    """Answer until the process that began this one ends."""
    do_not_wait_for_disks()
    begun_with, ours = dict(os.environ), _named(os.environ)
    path = [place for place in sys.path[1:] if place not in ours]
    listening, prepared = socket.socket(fileno=descriptor), False
    while True:
        ready, _, _ = select.select([listening, sys.stdin], [], [])
        if sys.stdin in ready:
            _reap()
            return
        if not prepared:
            _import(PRELOADED[kind])
            prepared = True
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            _keep(connection, begun_with, path)
        connection.close()
        _reap()


def _reap() -> None:
    """Take note of keepers that ended, so that who measures this process measures what it started as well."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _import(names: tuple[str, ...]) -> None:
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _keep(connection: socket.socket, begun_with: Mapping[str, str], path: list[str]) -> None:
    """Fork what is asked for, tell its id and how it ended, and end it with who asked."""
    size, streams, _, _ = socket.recv_fds(connection, 4, 3)
    arguments, directory, environment = marshal.loads(_received(connection, int.from_bytes(size, "big")))
    if not _is_like(begun_with, environment) or (arguments[0].startswith("-") and arguments[0] not in ("-c", "-m")):
        connection.sendall((0).to_bytes(4, "big"))
        os._exit(0)
    ends, end = os.pipe()
    child = os.fork()
    if child == 0:
        connection.close()
        _become(streams, directory, environment)
        sys.path[:] = [_first(arguments, directory), *_named(environment), *path]
        _run(arguments)
    os.close(end)  # which the child holds as long as it lives
    for stream in streams:
        os.close(stream)
    connection.sendall(child.to_bytes(4, "big"))
    if connection in select.select([connection, ends], [], [])[0]:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with suppress(OSError):
        connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
    os._exit(0)


def _received(connection: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size and (block := connection.recv(size - len(content))):
        content += block
    return content


def _is_like(ours: Mapping[str, str], theirs: Mapping[str, str]) -> bool:
    """Return whether both environments agree in what libraries read when they are imported."""
    names = {name for name in {*ours, *theirs} if name.startswith(READ_AT_IMPORT) and name != "PYTHONPATH"}
    return all(ours.get(name) == theirs.get(name) for name in names)


def _named(environment: Mapping[str, str]) -> list[str]:
    return [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]


def _first(arguments: list[str], directory: str) -> str:
    if arguments[0] in ("-c", "-m"):
        return "" if arguments[0] == "-c" else directory
    return str(Path(arguments[0]).resolve().parent)


def _become(streams: list[int], directory: str, environment: Mapping[str, str]) -> None:
    """Take over the streams, the directory and the environment of who asked, as a new process has them."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    for name, number, errors in (("stdout", 1, "strict"), ("stderr", 2, "backslashreplace")):
        stream = open(number, "w", encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
        stream.reconfigure(line_buffering=stream.isatty() or number == 2)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _run(arguments: list[str]) -> None:
    """Run what Python would, and end as it would."""
    code = 0
    try:
        _customise()
        _execute(arguments)
    except SystemExit as ended:
        code = _code_of(ended)
    except BaseException as error:
        sys.excepthook(type(error), error, _without_ours(error.__traceback__))
        code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _customise() -> None:
    """Import the `sitecustomize` of PYTHONPATH, where there is one."""
    if any((Path(place) / "sitecustomize.py").exists() for place in _named(os.environ)):
        sys.modules.pop("sitecustomize", None)
        importlib.import_module("sitecustomize")


def _execute(arguments: list[str]) -> None:
    how, *rest = arguments
    if how == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif how == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), vars(main))
    else:
        sys.argv = arguments
        runpy.run_path(how, run_name="__main__")


def _without_ours(frames: types.TracebackType | None) -> types.TracebackType | None:
    while frames and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return frames


def _code_of(ended: SystemExit) -> int:
    if ended.code is None or isinstance(ended.code, int):
        return (ended.code or 0) & 0xFF
    print(ended.code, file=sys.stderr)
    return 1


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
