"""Locks: on file systems that have none, beside dead and living holders, before any download.

A library that is loaded first answers `flock` as such file systems do; programs are real.
"""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from actadd.base import locks
from actadd.base.errors import UserError
from builders import tiny

SHIM = """
#include <errno.h>
#include <stdlib.h>
int flock(int fd, int operation) {{ errno = {number}; return -1; }}
"""
KINDS = ("ENOSYS", "ENOLCK", "EOPNOTSUPP", "EINVAL", "ESTALE")


@pytest.fixture(scope="module")
def without_locks(tmp_path_factory):
    """The environment of a process whose file systems have no locks: without_locks("ENOLCK")."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    folder = tmp_path_factory.mktemp("shims")

    def environment(kind: str) -> dict[str, str]:
        library = folder / f"{kind}.so"
        if not library.exists():
            source = SHIM.format(number=getattr(errno, kind))
            command = ["gcc", "-shared", "-fPIC", "-x", "c", "-o", str(library), "-"]
            subprocess.run(command, input=source, text=True, check=True)
        return {
            **os.environ,
            "LD_PRELOAD": str(library),
            "PYTHONPATH": str(tiny.ROOT / "workflow"),
            "ACTADD_RETRY_SECONDS": "0",
        }

    return environment


def python(code: str, *arguments, env: dict, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    about = {"capture_output": True, "text": True, "timeout": 60, **options}
    return subprocess.run(command, env=env, **about)


# Counts in a file, which no two processes may read and write at the same time.
COUNT = """
import pathlib, sys
from actadd.base import locks
count = pathlib.Path(sys.argv[1])
for _ in range(20):
    with locks.held(count.with_suffix(".lock")):
        count.write_text(str(int(count.read_text()) + 1))
"""


@pytest.mark.parametrize("kind", [*KINDS, None])
def test_two_processes_take_turns(without_locks, tmp_path, kind):
    env = without_locks(kind) if kind else {**without_locks("ENOSYS"), "LD_PRELOAD": ""}
    count = tmp_path / "count"
    count.write_text("0")
    # Left over from a time with locks, and from somebody who died.
    count.with_suffix(".lock").touch()
    both = [subprocess.Popen([sys.executable, "-c", COUNT, str(count)], env=env) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert count.read_text() == "40"


HOLD = """
import sys, time
from actadd.base import locks
with locks.held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""
TRY = """
import sys
from actadd.base import locks
from actadd.base.errors import UserError
locks.REPORT = 0.1
try:
    with locks.held(sys.argv[1], patience=0.5):
        print("held")
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize("kind", ["ENOLCK", None])
def test_a_living_holder_is_waited_for_and_named_and_a_dead_one_is_not(
    without_locks, tmp_path, kind
):
    env = without_locks(kind) if kind else {**without_locks("ENOSYS"), "LD_PRELOAD": ""}
    file = tmp_path / "x.lock"
    command = [sys.executable, "-c", HOLD, str(file)]
    holder = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        printed = python(TRY, file, env=env).stdout
        assert f"waiting for {file}" in printed and "has held it for" in printed
        if kind:
            assert f"process {holder.pid} of " in printed
        assert "delete the file if it has ended" in printed
    finally:
        holder.kill()
        holder.wait()
    assert python(TRY, file, env=env).stdout == "held\n"


def test_the_file_of_a_dead_holder_elsewhere_is_named_and_once_deleted_it_works(
    without_locks, tmp_path
):
    env, held = without_locks("ENOLCK"), tmp_path / "x.lock.held"
    held.write_text("4242\nelsewhere\n")
    printed = python(TRY, tmp_path / "x.lock", env=env).stdout
    assert f"{held}: process 4242 of elsewhere has held it" in printed
    held.unlink()
    assert python(TRY, tmp_path / "x.lock", env=env).stdout == "held\n"


class Weights(BaseHTTPRequestHandler):
    """Serves a file, and counts how often."""

    served = 0
    body = b"weights" * 1000

    def do_GET(self):
        Weights.served += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def address():
    Weights.served = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Weights)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/weights.bin"
    server.shutdown()
    server.server_close()


FETCH = """
import sys
from pathlib import Path
from actadd.data.sources.fetch import fetch
fetch("x", {"type": "url", "url": sys.argv[1]}, Path("got"), Path("sources.lock.json"))
"""


@pytest.mark.parametrize("kind", ["ENOSYS", "ENOLCK"])
def test_a_source_is_fetched_once_and_its_pins_recorded(without_locks, tmp_path, address, kind):
    (tmp_path / "sources.lock.json.lock").touch()
    done = python(FETCH, address, env=without_locks(kind), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "got/weights.bin").read_bytes() == Weights.body
    assert hashlib.sha256(Weights.body).hexdigest() in (tmp_path / "sources.lock.json").read_text()
    assert Weights.served == 1 and not list(tmp_path.glob("*.held"))


def test_a_lock_that_cannot_be_had_stops_before_the_download(tmp_path, address, monkeypatch):
    from actadd.data.sources.fetch import fetch

    monkeypatch.setattr(locks, "REPORT", 0.1)
    monkeypatch.setattr(locks, "PATIENCE", 0.2)
    spec = {"type": "url", "url": address}
    lock = tmp_path / "sources.lock.json"
    with (
        locks.held(f"{lock}.lock"),
        pytest.raises(UserError, match=r"sources\.lock\.json\.lock: another process has held it"),
    ):
        fetch("x", spec, tmp_path / "got", lock)
    (tmp_path / "nowhere").write_text("a file")
    with pytest.raises(OSError, match="nowhere"):
        fetch("x", spec, tmp_path / "got", tmp_path / "nowhere/sources.lock.json")
    assert Weights.served == 0 and not (tmp_path / "got").exists()


RUN = """
import sys, time
from pathlib import Path
from actadd.pipeline import run_lock
run_lock.begin(Path("running"), Path("results"))
print("held", flush=True)
time.sleep(600)
"""
UNLOCK = """
from pathlib import Path
from actadd.pipeline import run_lock
from actadd.base.errors import UserError
try:
    run_lock.refuse_if_running(Path("running"))
    print("free")
except UserError as error:
    print(error)
"""


def test_a_folder_is_not_unlocked_beside_its_run_without_locks_either(without_locks, tmp_path):
    env = without_locks("EOPNOTSUPP")
    run = subprocess.Popen(
        [sys.executable, "-c", RUN], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        assert run.stdout.readline() == "held\n"
        refused = python(UNLOCK, env=env, cwd=tmp_path).stdout
        assert f"a run is going on in {tmp_path}, process {run.pid}" in refused
    finally:
        run.kill()
        run.wait()
    assert python(UNLOCK, env=env, cwd=tmp_path).stdout == "free\n"
    assert not list(tmp_path.glob("running.*"))
