"""Why a job failed, from its log, its exit code and the messages of the batch system; warnings."""

import re
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# Lines of a log that are printed when its job fails, and their maximum length.
LINES = 12
WIDTH = 400
# The last line of a program that succeeded, see program.py.
ENDED = re.compile(r"took [\d.]+ s")
PROFILE = "profiles/slurm/profile.yaml"
# Exit codes of a shell that cannot start a program.
ENVIRONMENT = "start snakemake in the environment of `make env`: PATH=.venv/bin:$PATH"
SHELL = {
    126: "its program may not be executed",
    127: f"its program is not on PATH; {ENVIRONMENT}",
}
MISSING = re.compile(r"ModuleNotFoundError|ImportError|\S*python\S*: No module named")
EXIT = re.compile(r"(?:non-zero exit status|exit code:?) (\d+)|died with <Signals\.(\w+)")

# Pattern of a batch system's message -> what to change, and where.
REFUSALS = {
    r"invalid account|account or account/partition": f"write slurm_account into {PROFILE}, as"
    " `sacctmgr show associations user=$USER` lists it",
    r"invalid partition|invalid-partition": f"write slurm_partition into {PROFILE}, as `sinfo -s`"
    " lists it",
    r"invalid qos": f"write slurm-qos into {PROFILE}, as `sacctmgr show qos` lists it",
    r"time limit|status is: 'TIMEOUT'|PartitionTimeLimit": "write another runtime (minutes) for the"
    f" rule under set-resources in {PROFILE}, or the slurm_partition of longer jobs",
    r"memory specification|memory limit|status is: 'OUT_OF_MEMORY'|\bOOM\b|oom.kill": "write"
    f" another mem_mb for the rule under set-resources in {PROFILE}, or the slurm_partition of"
    " larger nodes",
    r"node configuration|more processors requested|(CPU|node) count": (
        f"write fewer cores into {PROFILE}, a smaller mem_mb for the rule under set-resources, or"
        " the slurm_partition of larger nodes"
    ),
    r"generic resource|invalid gres": f"write the slurm_partition of GPU nodes into {PROFILE},"
    " or compute.device: cpu into the config",
    r"invalid feature": f"write another constraint for the rule under set-resources in {PROFILE}",
    r"argument list too long|pathname of a file.*too long|script.*(too large|too long)|E2BIG": (
        f"write slurm-pass-command-as-script: true and smaller group-components into {PROFILE}"
    ),
    r"QOSMax|AssocMax|AssocGrp|QOSGrp|QOS policy|submit limit": f"write fewer jobs into {PROFILE},"
    " or a smaller runtime, mem_mb or cores, as your account's limits are",
    r"unable to contact slurm controller|sbatch: (command )?not found": "start the workflow on a"
    " login node, where `sinfo` answers",
}


def remedy(message: str) -> str:
    """What to change after a message of the batch system; "" for an unknown one."""
    for pattern, change in REFUSALS.items():
        if re.search(pattern, message, re.IGNORECASE | re.DOTALL):
            return change
    return ""


def refusal(message: str) -> str:
    """A batch system's message, followed by the remedy if it is known."""
    # After it comes the whole call of sbatch, which may be long.
    message = message.split("sbatch call:")[0].split("sbatch script:")[0].strip()
    return "\n".join(filter(None, [message, (change := remedy(message)) and f"remedy: {change}"]))


def ended_by(message: str) -> str:
    """How a program ended, from Snakemake's message: killed by a signal, or never started.

    "" if it ended by itself: then its log says why.
    """
    match = EXIT.search(message)
    if match is None:
        return ""
    number = int(match[1]) if match[1] else 128 + signal.Signals[match[2]]
    if number in SHELL:
        return SHELL[number]
    if number <= 128 or number - 128 not in list(signal.Signals):
        return ""
    name = signal.Signals(number - 128).name
    why = {
        "SIGKILL": ", as the system does when memory runs out; write a smaller compute.batch_rows"
        " if it does",
        "SIGTERM": ", as a batch system does at the end of the time",
        "SIGXCPU": ", as a limit of the shell does (ulimit -t)",
    }.get(name, "")
    return f"it was killed by {name}{why}. What is finished is kept: run again to go on"


def tail(log: Path, since: float) -> list[str]:
    """The last lines of a job's log, unless it is older than `since` or reports success."""
    try:
        if log.stat().st_mtime < since - 1:
            return []
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    if lines and ENDED.fullmatch(lines[-1]):
        return []
    return [line if len(line) <= WIDTH else f"{line[:WIDTH]}..." for line in lines[-LINES:]]


def warnings(logs: Iterable[str]) -> list[str]:
    """The warnings of this project's programs in a job's logs."""
    lines: list[str] = []
    for log in logs:
        with suppress(OSError):
            text = Path(log).read_text(encoding="utf-8", errors="replace")
            lines += [line for line in text.splitlines() if line.startswith("warning: ")]
    return lines


def reason(rule: str, logs: Iterable[str], ended: str, since: float) -> str:
    """The message about a failed job: how it ended, and the last lines of its logs."""
    parts = [f"{rule}: {ended}"] if ended else []
    for log in logs:
        if lines := tail(Path(log), since):
            parts += [f"{rule} failed; {log} ends so:", *(f"    {line}" for line in lines)]
            if MISSING.match(lines[-1]):
                parts.append(f"    remedy: {ENVIRONMENT}")
    return "\n".join(parts)
