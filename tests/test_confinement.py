"""What a confined process can still do. Each test confines a process of its own: nobody gets rights back."""

import os
import subprocess
from pathlib import Path

import pytest
from prepared import light_python

from ihcli.files import confinement

PROLOGUE = """
import os, sys
from pathlib import Path
from ihcli.files.confinement import confine
here = Path.cwd()
run, other = here / "run", here / "other"
confined = confine([run], [here])
"""
IS_OFFERED = confinement._call(confinement.CREATE_RULESET, None, 0, confinement.ASK_VERSION) >= 1
ALLOWED = {
    "write": "(run / 'a').write_text('x')",
    "replace": "(run / 'a').write_text('x'); (run / 'a').replace(run / 'b')",
    "truncate": "(run / 'old').open('w').close(); os.truncate(run / 'old', 0)",
    "make and remove": "(run / 'd').mkdir(); (run / 'd').rmdir(); (run / 'old').unlink()",
    "remove an empty directory beside": "(here / 'empty').rmdir(); (here / 'empty').mkdir()",
    "read": "(other / 'old').read_text(); list(other.iterdir())",
    "temporary": "import tempfile; tempfile.NamedTemporaryFile().write(b'x')",
    "null": "Path('/dev/null').write_text('x')",
    "shared memory": "from multiprocessing import shared_memory as m; m.SharedMemory(create=True, size=8).unlink()",
    "open before": "stream.write('x'); stream.flush()",
    "print": "print('x'); print('x', file=sys.stderr)",
    "run": "import subprocess; subprocess.run(['true'], check=True)",
}
REFUSED = {
    "write": "(other / 'a').write_text('x')",
    "beside": "(here / 'a').write_text('x')",
    "change": "(other / 'old').write_text('x')",
    "append": "(other / 'old').open('a')",
    "truncate": "os.truncate(other / 'old', 0)",
    "remove": "(other / 'old').unlink()",
    "rename": "(other / 'old').rename(run / 'old2')",
    "link in": "os.link(other / 'old', run / 'old2')",
    "link out": "os.symlink('/', other / 'link')",
    "pipe": "os.mkfifo(other / 'pipe')",
    "through a link": "(run / 'out').symlink_to(other); (run / 'out' / 'a').write_text('x')",
    "another process": "import subprocess; subprocess.run(['cp', other / 'old', other / 'new'], check=True, stderr=-3)",
    "a thread": (
        "from concurrent.futures import ThreadPoolExecutor as T; T().submit((other / 'a').write_text, 'x').result()"
    ),
    "asking again": "confine([other]); (other / 'a').write_text('x')",
}


def confined(directory: Path, code: str) -> subprocess.CompletedProcess[str]:
    for name in ("run", "other", "empty", "temporary"):
        (directory / name).mkdir()
    for name in ("run/old", "other/old"):
        (directory / name).write_text("old")
    before = "stream = open('other/open', 'w')\n"
    environment = {**os.environ, "TMPDIR": str(directory / "temporary")}
    command = [light_python(), "-c", f"{before}{PROLOGUE}\nassert confined\n{code}"]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not IS_OFFERED, reason="this kernel has no Landlock")
@pytest.mark.parametrize("what", ALLOWED)
def test_what_a_run_needs_stays_allowed(tmp_path: Path, what: str) -> None:
    done = confined(tmp_path, ALLOWED[what])
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not IS_OFFERED, reason="this kernel has no Landlock")
@pytest.mark.parametrize("what", REFUSED)
def test_nothing_is_written_elsewhere(tmp_path: Path, what: str) -> None:
    done = confined(tmp_path, REFUSED[what])
    assert done.returncode == 1
    assert ("PermissionError" in done.stderr) or ("CalledProcessError" in done.stderr) or ("OSError" in done.stderr)
    assert (tmp_path / "other" / "old").read_text() == "old"
    assert {path.name for path in (tmp_path / "other").iterdir()} == {"old", "open"}


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_than_on_linux_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, platform: str, tmp_path: Path
) -> None:
    monkeypatch.setattr(confinement.sys, "platform", platform)
    assert not confinement.confine([])
    (tmp_path / "a").write_text("x")


def test_a_kernel_without_landlock_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(confinement, "CREATE_RULESET", 100_000)  # a call that no kernel has
    assert not confinement.confine([])
    (tmp_path / "a").write_text("x")
