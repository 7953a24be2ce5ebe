"""A Slurm cluster of one node, this machine, for as long as a test lasts; nothing of it stays.

Debian's packages bring the daemons. Slurm finds its configuration in /etc/slurm alone (an `srun`
within a job looks nowhere else), so a link stands there meanwhile, and what was there comes back.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CONF = Path("/etc/slurm/slurm.conf")
MUNGE = Path("/run/munge")
PACKAGES = {"slurmctld": "slurm-wlm", "munged": "munge"}

# The node is said to have more memory than it may have (config_overrides): jobs ask for what would
# be enough on any machine. Steps that use more than they asked for are killed.
TEMPLATE = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
SlurmctldPort={port}
SlurmdPort={other_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,batch_sched_delay=1
MpiDefault=none
ReturnToService=2
KillWait=5
MinJobAge=900
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=64000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why no cluster can be started here, after trying to install what it takes; "" if it can."""
    if os.geteuid() != 0:
        return "a Slurm cluster of one's own needs root"
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    programs = [package for tool, package in PACKAGES.items() if not shutil.which(tool)]
    if not programs:
        return ""
    if not shutil.which("apt-get"):
        return f"{' and '.join(programs)} and apt-get are not installed"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *programs]):
        done = subprocess.run(
            ["apt-get", "-qq", *command], env=environment, capture_output=True, text=True
        )
        if done.returncode != 0:
            return f"apt-get {' '.join(command)} failed: {done.stderr.strip()[-500:]}"
    return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def wait(what: str, condition: Callable[[], object], seconds: float = 60) -> None:
    """Returns once the condition holds; raises TimeoutError if it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took more than {seconds} s")
        time.sleep(0.2)


@contextmanager
def _munge() -> Iterator[None]:
    """The daemon by which Slurm knows who asks; an already running one is used and left alone."""
    if _answers("sh", "-c", "munge -n | unmunge"):
        yield
        return
    is_new = not MUNGE.exists()
    MUNGE.mkdir(exist_ok=True)
    MUNGE.chmod(0o755)
    shutil.chown(MUNGE, "munge", "munge")
    pid_file = MUNGE / "test.pid"
    command = f"/usr/sbin/munged --pid-file={pid_file}"
    subprocess.run(["su", "-s", "/bin/sh", "munge", "-c", command], check=True)
    try:
        wait("munged", lambda: _answers("sh", "-c", "munge -n | unmunge"))
        yield
    finally:
        _stop(pid_file)
        if is_new:
            shutil.rmtree(MUNGE, ignore_errors=True)


def _stop(pid_file: Path) -> None:
    """Ends a daemon by the number in its file, and waits until it has ended."""
    with suppress(FileNotFoundError, ValueError, ProcessLookupError):
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        with suppress(TimeoutError):
            wait(f"the end of {pid}", lambda: not Path(f"/proc/{pid}").exists(), 20)
        os.kill(pid, signal.SIGKILL)


@contextmanager
def _configuration(folder: Path) -> Iterator[None]:
    host = socket.gethostname().partition(".")[0]
    ours = folder / "slurm.conf"
    ours.write_text(
        TEMPLATE.format(
            host=host,
            folder=folder,
            cpus=os.cpu_count(),
            port=_free_port(),
            other_port=_free_port(),
        )
    )
    is_new = not CONF.parent.exists()
    CONF.parent.mkdir(exist_ok=True)
    kept = CONF.with_name("slurm.conf.kept-by-test")
    if CONF.is_symlink() and not CONF.exists():
        CONF.unlink()  # left by a test that was killed
    if CONF.exists():
        CONF.rename(kept)
    CONF.symlink_to(ours)
    try:
        yield
    finally:
        CONF.unlink()
        if kept.exists():
            kept.rename(CONF)
        if is_new:
            CONF.parent.rmdir()


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """The cluster, from its first answer to its last process; folder: its private place."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    with _munge(), _configuration(folder):
        try:
            subprocess.run(["slurmctld"], check=True)
            wait("slurmctld", lambda: _answers("scontrol", "ping"))
            subprocess.run(["slurmd"], check=True)
            wait("the node", lambda: "idle" in output("sinfo", "--noheader", "--format=%T"))
            yield
        finally:
            with suppress(subprocess.CalledProcessError, TimeoutError):
                output("scancel", "--user=root")
                wait("the last job", lambda: not queue())
            _stop(folder / "slurmd.pid")
            _stop(folder / "slurmctld.pid")


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def queue() -> list[str]:
    """Ids of the jobs that wait or run."""
    return output("squeue", "--noheader", "--format=%i").split()
