"""Allocates a workstation's GPUs to jobs, so that each holds one model at a time.

Every device has a lock file. The operating system releases a lock when its process ends, however it
ends, so a killed job leaves nothing to clean up.
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
# Seconds between two attempts while all devices are in use.
PAUSE = 0.5


@contextmanager
def reserve(count: int, job: str) -> Iterator[list[str]]:
    """Wait for `count` free devices; while the block runs, the process sees only these.

    Must be entered before CUDA starts, which reads CUDA_VISIBLE_DEVICES once. If that is already
    set, for example by a cluster's scheduler, only its devices are used. With count 0, or without
    any device (the job that needs one reports that), nothing changes.
    job: the holder's name in the messages of waiting jobs.
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
        # So that CUDA numbers different devices as nvidia-smi does.
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        try:
            yield chosen
        finally:
            if before is None:
                del os.environ[VISIBLE]
            else:
                os.environ[VISIBLE] = before


def visible() -> list[str]:
    """Names of the devices that this process may use: those of CUDA_VISIBLE_DEVICES, or all."""
    setting = os.environ.get(VISIBLE)
    if setting is None:
        return list(_installed())
    names: list[str] = []
    for name in map(str.strip, setting.split(",")):
        # As in CUDA, the list ends at the first invalid name.
        if not name or name.startswith("-") or name == "NoDevFiles":
            break
        names.append(name)
    return names


def _installed() -> dict[str, str]:
    """Number -> UUID of the devices that the driver shows to this process."""
    command = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        output = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    rows = (line.split(",") for line in output.splitlines() if "," in line)
    return {number.strip(): uuid.strip() for number, uuid in rows}


def _wait(names: list[str], count: int, job: str, held: ExitStack) -> list[str]:
    """Wait for `count` free devices and move their locks to `held`; returns their names."""
    folder = Path(tempfile.gettempdir()) / f"actadd-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # By UUID, since a scheduler may give two jobs different devices with the same number.
    uuids = _installed()
    files = {name: folder / f"{uuids.get(name, name).replace('/', '_')}.lock" for name in names}
    reported = False
    while True:
        busy: list[str] = []
        # One job chooses at a time, so that two that need two devices never hold one each.
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
                    for device in free:
                        text = f"process {os.getpid()} ({job})"
                        files[device].write_text(text, encoding="utf-8")
                    held.push(attempt.pop_all())
                    return free
        if not reported:
            print(f"waiting for {count} free of GPU {', '.join(busy)}", flush=True)
            reported = True
        time.sleep(PAUSE)
