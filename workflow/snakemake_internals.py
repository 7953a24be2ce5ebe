"""The private interfaces of Snakemake that the workflow uses, each with its reason.

None of them is stable: tests/unit/test_internals.py finds those that an update removed.
"""

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from snakemake.logging import logger
from snakemake.settings.types import RerunTrigger


def shell_prefix(shell) -> str:
    """The shell prefix of another workflow that uses this one as a module, to put before ours.

    `shell.prefix` replaces it, and no public function reads it.
    """
    return shell._process_prefix or ""


def limit_no_rate(workflow) -> None:
    """Remove the rate limit of jobs from a run on this machine.

    With the limit, Snakemake 9.27 searches for jobs every second for each finished job: after a
    hundred jobs, that used half a core. Only clusters need the limit.
    """
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


def rerun_by_time_only(workflow) -> None:
    """Make modification times the only trigger of reruns; those of job files carry the decision.

    Snakemake's memory of params, code and inputs is lost with its folder, and would rerun jobs with
    up-to-date records. The rules of another workflow keep these triggers.
    """
    if not is_module(workflow):
        workflow.dag_settings.rerun_triggers = frozenset([RerunTrigger.MTIME])


def refuse(message: str) -> NoReturn:
    """End Snakemake with a message about a user's mistake.

    In front of an exception's message, Snakemake 9.27 names the line of the Snakefile that raises
    it, which is not where the mistake is.
    """
    logger.error(message)
    sys.exit(1)


def target_rules(workflow) -> set[str]:
    """The rules that `snakemake RULE` runs: those without wildcards."""
    return {rule.name for rule in workflow.rules if not rule.has_wildcards()}


def missing_target(record) -> str:
    """The target that no rule makes, of a record of the log; "" of any other record."""
    exception = "MissingRuleException"
    if getattr(record, "exception", None) != exception:
        return ""
    match = re.search(r"No rule to produce (\S+)", record.getMessage())
    return match[1] if match else ""


def is_forced(workflow) -> bool:
    """Whether the command line forces jobs to run."""
    settings = workflow.dag_settings
    return bool(settings.forceall or settings.forcerun or settings.forcetargets)


def has_several_targets(workflow) -> bool:
    return len(workflow.dag_settings.targets) > 1


def rule_name(workflow, name: str) -> str:
    """The name of one of our rules, also if this workflow is a module of another one."""
    return workflow.modifier.modify_rulename(name)


def is_module(workflow) -> bool:
    """Whether another workflow uses this one as a module, with its own config."""
    return workflow.modifier.skip_configfile


def replaces_config(workflow) -> bool:
    """Whether the command line has --replace-workflow-config."""
    return workflow.config_settings.replace_workflow_config


def command_line_config(workflow) -> dict:
    """The config of --config."""
    return workflow.config_settings.config


def prefix(workflow) -> str:
    """The path prefix that another workflow gives this one as a module."""
    return workflow.modifier.path_modifier.replace_prefix("x").removesuffix("x")


def storage_folder(workflow) -> Path | None:
    """The storage folder on a cluster without a shared working directory; None otherwise."""
    settings = workflow.storage_settings
    if settings.default_storage_provider == "fs":
        return Path(settings.default_storage_prefix)
    return None


# The name of the handler that prints on the terminal.
STREAM_HANDLER = "DefaultStreamHandler"


def prints_as_by_default(workflow) -> bool:
    """Whether this is a run of this workflow, and no option asks for more or less output."""
    settings = workflow.output_settings
    asked = (
        settings.dryrun,
        settings.verbose,
        settings.printshellcmds,
        settings.debug_dag,
        settings.quiet,
    )
    return workflow.is_main_process and not is_module(workflow) and not any(asked)


def job_files(workflow) -> dict[int, str]:
    """The jobs that a run will start, by their number, and their job files; "" for none."""
    return {workflow.dag.jobid(job): str(job.input.get("job", "")) for job in jobs_to_run(workflow)}


def jobs_to_run(workflow) -> Iterator:
    """The jobs that a run will start."""
    return workflow.dag.needrun_jobs()


def report_refusals(workflow, report: Callable[[str], None]) -> None:
    """Call `report` with the message of a batch system that refuses a job.

    Snakemake 9.27 drops the message if the job is a group of jobs.
    """
    executor = workflow.scheduler._executor
    report_job_error = executor.report_job_error

    def with_message(job_info, msg=None, **about):
        if msg:
            report(msg)
        report_job_error(job_info, msg=msg, **about)

    executor.report_job_error = with_message


def program_prefix(shell, folder: Path) -> str:
    """The shell prefix that puts the programs on the path and makes them use UTF-8.

    It replaces Snakemake's own prefix, so it repeats the options that end a job at the first failed
    command.
    """
    before = shell_prefix(shell).replace("{", "{{").replace("}", "}}")
    return (
        f"{before}set -euo pipefail; "
        f"export PYTHONUTF8=1 PYTHONPATH={shlex.quote(str(folder))}"
        "${{PYTHONPATH:+:$PYTHONPATH}}; "
    )
