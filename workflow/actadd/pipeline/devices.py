"""A workstation's GPUs, shared out among jobs: each of them holds one model at a time.

One lock file stands for each device. The operating system frees a lock when its process ends,
however it ends, so nothing has to be cleaned up after a job that was killed.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import Timeout

from actadd.base import locks
from actadd.base.errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"
# Seconds between two looks at devices that were all taken.
PAUSE = 0.5


@contextmanager
def taken(count: int, job: str) -> Iterator[list[str]]:
    """Waits for `count` free devices; the process sees these and no others while the block runs.

    Must be entered before CUDA is started, which reads CUDA_VISIBLE_DEVICES once. If that is set
    already, as by a cluster's scheduler, only devices in it are taken. With count 0, or where no
    device can be found (whoever needs one will say so), nothing is changed.
    job: what the holder is called in the messages of those who wait for it.
    Raises UserError if there are some devices, but fewer than `count`.
    """
    names = visible() if count else []
    if not names:
        yield []
        return
    if count > len(names):
        raise UserError(
            f"models.*.gpus: {count}, but this job may use only {len(names)}: {', '.join(names)}; "
            "write a smaller number, or run it where there are more"
        )
    with ExitStack() as held:
        chosen = _wait(names, count, job, held)
        before = os.environ.get(VISIBLE)
        os.environ[VISIBLE] = ",".join(chosen)
        # So that numbers mean what nvidia-smi shows, also where the devices differ.
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        try:
            yield chosen
        finally:
            if before is None:
                del os.environ[VISIBLE]
            else:
                os.environ[VISIBLE] = before


def visible() -> list[str]:
    """Names of the devices that this process may use: those it was given, or else all."""
    setting = os.environ.get(VISIBLE)
    if setting is None:
        return list(_installed())
    names: list[str] = []
    for name in map(str.strip, setting.split(",")):
        # As CUDA reads it: the list ends at the first name that is none.
        if not name or name.startswith("-") or name == "NoDevFiles":
            break
        names.append(name)
    return names


def _installed() -> dict[str, str]:
    """Number and UUID of each device that the driver shows to this process."""
    command = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return {}
    rows = (line.split(",") for line in shown.stdout.splitlines() if "," in line)
    return {number.strip(): uuid.strip() for number, uuid in rows}


def _wait(names: list[str], count: int, job: str, held: ExitStack) -> list[str]:
    """The names of `count` devices whose locks are in `held` from now on; all of them or none."""
    folder = Path(tempfile.gettempdir()) / f"actadd-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # By UUID, since a scheduler may show two jobs different devices under one number.
    uuids = _installed()
    files = {name: folder / f"{uuids.get(name, name).replace('/', '_')}.lock" for name in names}
    told = False
    while True:
        busy: list[str] = []
        # One job at a time chooses: two that need two devices each never end up with one each.
        with locks.held(folder / "choosing.lock"), ExitStack() as attempt:
            free: list[str] = []
            for name, file in files.items():
                try:
                    attempt.enter_context(locks.lock(file).acquire(blocking=False))
                except Timeout:
                    busy.append(f"{name} by {file.read_text(encoding='utf-8')}")
                    continue
                free.append(name)
                if len(free) == count:
                    for taken_name in free:
                        text = f"process {os.getpid()} ({job})"
                        files[taken_name].write_text(text, encoding="utf-8")
                    held.push(attempt.pop_all())
                    return free
        if not told:
            print(f"waiting for {count} free of GPU {', '.join(busy)}", flush=True)
            told = True
        time.sleep(PAUSE)
