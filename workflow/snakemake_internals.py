"""The private interfaces of Snakemake that the workflow uses, each with its reason.

Snakemake promises none of them: tests/unit/test_internals.py says which are gone after an update.
"""

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from snakemake.settings.types import RerunTrigger


def shell_prefix(shell) -> str:
    """The prefix of another workflow that takes this one in, so that it stays in front of ours.

    `shell.prefix` replaces it, and nothing public reads it.
    """
    return shell._process_prefix or ""


def limit_no_rate(workflow) -> None:
    """Takes the rate limit off a run on this machine.

    For it, Snakemake 9.27 looks for jobs once a second anew for every job that has finished: after
    a hundred jobs that took half a core. Only clusters need the limit.
    """
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


def times_alone(workflow) -> None:
    """Lets nothing but times decide what runs, which the jobs' files tell.

    What Snakemake remembers of params, code and inputs is lost with its folder, and would run jobs
    whose records say that nothing has changed. The rules of another workflow keep it.
    """
    if not is_module(workflow):
        workflow.dag_settings.rerun_triggers = frozenset([RerunTrigger.MTIME])


def is_forced(workflow) -> bool:
    """Whether somebody has asked for jobs to run that need not."""
    settings = workflow.dag_settings
    return bool(settings.forceall or settings.forcerun or settings.forcetargets)


def has_several_targets(workflow) -> bool:
    return len(workflow.dag_settings.targets) > 1


def rule_name(workflow, name: str) -> str:
    """What a rule of ours is called where this workflow is a module of another one."""
    return workflow.modifier.modify_rulename(name)


def is_module(workflow) -> bool:
    """Whether another workflow takes this one in, with a config of its own."""
    return workflow.modifier.skip_configfile


def replaces_config(workflow) -> bool:
    """Whether --replace-workflow-config was given."""
    return workflow.config_settings.replace_workflow_config


def command_line_config(workflow) -> dict:
    """What --config says."""
    return workflow.config_settings.config


def prefix(workflow) -> str:
    """What another workflow that takes this one in puts before the paths of its rules."""
    return workflow.modifier.path_modifier.replace_prefix("x").removesuffix("x")


def storage_folder(workflow) -> Path | None:
    """The folder in place of the working directory, on a cluster without a shared one."""
    settings = workflow.storage_settings
    if settings.default_storage_provider == "fs":
        return Path(settings.default_storage_prefix)
    return None


def jobs_to_run(workflow) -> Iterator:
    """The jobs that a run is going to start."""
    return workflow.dag.needrun_jobs()


def report_refusals(workflow, report: Callable[[str], None]) -> None:
    """Calls `report` with what a batch system says of a job that it refuses.

    Snakemake 9.27 keeps it to itself if the job is a group of jobs.
    """
    executor = workflow.scheduler._executor
    usual = executor.report_job_error

    def aloud(job_info, msg=None, **about):
        if msg:
            report(msg)
        usual(job_info, msg=msg, **about)

    executor.report_job_error = aloud


def program_prefix(shell, folder: Path) -> str:
    """The shell prefix by which programs are found, wherever the working directory is.

    They read and write UTF-8 whatever the locale is. A prefix takes the place of Snakemake's own,
    by which a job ends at the first command that fails.
    """
    before = shell_prefix(shell).replace("{", "{{").replace("}", "}}")
    return (
        f"{before}set -euo pipefail; "
        f"export PYTHONUTF8=1 PYTHONPATH={shlex.quote(str(folder))}"
        "${{PYTHONPATH:+:$PYTHONPATH}}; "
    )
