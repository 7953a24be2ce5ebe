# Functions of the rules: inputs, outputs, constraints, resources and labels, from the graph.

import logging
import os
import threading

from actadd.base.files import read_json
from actadd.config import licences
from actadd.pipeline import layout, reasons, targets
from actadd.pipeline.costs import Costs
from actadd.pipeline.freshness import Freshness
from actadd.pipeline.resources import Needs
from actadd.pipeline.run_progress import expected_seconds
from actadd.pipeline.run_summary import summary
from actadd.results.displays import needs
from actadd.store import failed_cells
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

CONDA = "../envs/runtime.yml"
# A wildcard constraint that no name of a config matches.
NOTHING = "_"


# Prefixes of the layout's paths: of another workflow, and a cluster's storage.
PREFIX = internals.prefix(workflow)
FOLDER = (internals.storage_folder(workflow) or Path()) / PREFIX


def locate(path: str) -> Path:
    """A path of the layout, relative to the working directory."""
    return FOLDER / path


FRESHNESS = Freshness(GRAPH.everything, locate)
NEEDS = Needs(GRAPH, locate)


# --- inputs and outputs ---------------------------------------------------------------------------


def reads(stage: str, **names: str):
    """An input function: a job's inputs and its job file.

    The job file alone decides whether the job runs; it is written here, before Snakemake compares
    times. names: the names that are not wildcards of the rule.
    """

    def inputs(wildcards):
        try:
            job = GRAPH.job(stage, **{**dict(wildcards.items()), **names})
        except UserError as error:
            raise WorkflowError(str(error)) from None
        flag = str
        if workflow.is_main_process:
            write_job_file(job)
            # If jobs are forced, those below them run too.
            if FRESHNESS.inputs_are_ancient(job) and not internals.is_forced(workflow):
                flag = ancient
        files = {
            name: [flag(input_path(file)) for file in files] for name, files in job.inputs.items()
        }
        return {"job": job.file, **files}

    return inputs


def input_path(file) -> str:
    """A path for Snakemake; the user's files are absolute, so that it adds no module's prefix."""
    return str(Path(file.path).absolute()) if PREFIX and file.job is None else file.path


def write_job_file(job) -> None:
    """Write a job's file once, and log why a job with outputs is outdated."""
    if job in WRITTEN:
        return
    WRITTEN.add(job)
    internals.rerun_by_time_only(workflow)
    FRESHNESS.several_targets = internals.has_several_targets(workflow)
    try:
        state = FRESHNESS.write(job, internals.is_forced(workflow))
    except UserError as error:
        raise WorkflowError(str(error)) from None
    if state.outdated and FRESHNESS.record(job) and job.stage != "complete":
        logger.info(f"{job.name} is outdated: {state.outdated}")


WRITTEN = set()


def path(stage: str, output: str) -> str:
    """The pattern of one output of a stage."""
    [pattern] = layout.outputs(stage)[output]
    return pattern


def writes(stage: str, but: str = "", **names) -> dict:
    """The outputs of a rule, as patterns; `but`: one that the rule states itself."""
    folders = layout.STAGES[stage].folders
    return {
        output: directory(*paths) if output in folders else paths
        for output, paths in layout.outputs(stage, **names).items()
        if output != but
    }


def completed(target: str) -> str:
    """The input of a named target: the record of its last job."""
    [record] = layout.outputs("complete", target=target)["provenance"]
    return record


# --- wildcard constraints -------------------------------------------------------------------------


def _entries(sharded: bool) -> dict[str, dict]:
    return {
        name: entry
        for name, entry in config["experiments"].items()
        if (entry["shards"] > 1) == sharded
    }


def experiments(sharded: bool) -> str:
    """The experiments that are measured in shards, or in one job."""
    return "|".join(_entries(sharded)) or NOTHING


def measures(sharded: bool) -> str:
    """The measures of these experiments."""
    names = {entry["measure"]: None for entry in _entries(sharded).values()}
    return "|".join(names) or NOTHING


def names_of(*sections: str) -> str:
    """The names of the entries in some sections of the config."""
    return "|".join(name for section in sections for name in config[section]) or NOTHING


def subjects() -> str:
    """The models and the shapes whose forward passes are timed."""
    timed = (name for each in config["overheads"] for name in GRAPH.overhead_subjects(each))
    return "|".join(dict.fromkeys(timed)) or NOTHING


def judges() -> str:
    """The scorers that run a model."""
    return "|".join(filter(GRAPH.judges, config["scorers"])) or NOTHING


# --- resources ------------------------------------------------------------------------------------
# Of the first attempt. Each later one (the profile's `retries`) gets twice as much, since a job that
# was killed for its memory or time would be killed again.


def memory(job: str, **names: str):
    """A resource function: megabytes of main memory of a job, see actadd/pipeline/resources.py.

    names: the names that are not wildcards of the rule.
    """
    return lambda wc, attempt: need(job, wc, names).megabytes * 2 ** (attempt - 1)


def minutes(job: str, **names: str):
    """A resource function: minutes that a job may take."""
    return lambda wc, attempt: need(job, wc, names).minutes * 2 ** (attempt - 1)


def need(job: str, wildcards, names: dict[str, str]):
    return getattr(NEEDS, job)(**dict(wildcards.items()), **names)


gpus = NEEDS.gpus


def scorer_gpus(wildcards) -> int:
    return NEEDS.scorer_gpus(wildcards.scorer)


def keys_of_judges() -> list[str]:
    """The variables that are set and hold the key of a scorer's server."""
    names = {entry["key_env"] for entry in config["scorers"].values() if "key_env" in entry}
    return sorted(name for name in names if name in os.environ)


def answers(wildcards) -> str:
    """The folder of a server's answers; "" for a scorer without a server."""
    return str(locate(layout.ANSWERS)) if GRAPH.asks(wildcards.scorer) else ""


def failures(stage: str) -> str:
    """The note of a job's failed cells."""
    return str(locate(layout.failures(stage)))


def note(stage: str) -> str:
    """Where a job notes which of its cells it computed."""
    return str(locate(layout.note(stage)))


# --- report ---------------------------------------------------------------------------------------


def chosen_layers(model: str, experiment: str) -> set[int]:
    """The layers at which an experiment adds its vectors, once they have been chosen."""
    file = locate(str(layout.output("choice", "choice", model=model, experiment=experiment)))
    if not file.is_file():
        return set()
    return {rule["layer"] for rule in read_json(file).values() if rule.get("layer") is not None}


def display_labels(section: str):
    """A label function: the labels of a figure or a table in the report."""

    def labels(wildcards) -> dict[str, str]:
        texts = GRAPH.display_labels(section, wildcards.display, chosen_layers)
        # Snakemake 9.27 treats a label with two values as a toggle between two versions of each
        # result, which breaks its page. Invisible spaces make every value unique.
        unique = "\u200b" * list(config[section]).index(wildcards.display)
        return {name: f"{value}{unique}" for name, value in texts.items()}

    return labels


def needed(wildcards, input):
    """The arguments that name what a figure or table reads."""
    return " ".join(f"--{need} {input.get(need)}" for need in needs.NEEDS)


def display_category(wildcards) -> str:
    """The section of the report that holds a table."""
    kind = needs.kind_of("tables", config["tables"][wildcards.display])
    return "Paper against ours" if "comparison" in kind.reads else "Tables"


# --- messages of a run ----------------------------------------------------------------------------


def failed_cells_message(since: float) -> str:
    """The message about cells that failed in this run; "" if none failed."""
    return failed_cells.message(locate(layout.FAILURES), since=since)


def begin_console(logs: list[str]):
    """Start the short output of a run on this machine; on a cluster, Snakemake's own is printed."""
    if CONSOLE is None:
        return
    if not workflow.local_exec:
        CONSOLE.give_back()
        return
    costs, jobs = Costs(GRAPH, locate), {job.file: job for job in WRITTEN}
    expected = {
        number: expected_seconds(costs, jobs.get(file))
        for number, file in internals.job_files(workflow).items()
    }
    CONSOLE.begin(expected, workflow.cores, logs)


def log_summary(since: float):
    """Log the summary of the run, in the main process only, not in those of its jobs."""
    if CONSOLE is not None:
        CONSOLE.end()
    if workflow.is_main_process and (text := summary(locate(layout.RESULTS), since, config)):
        logger.info(CONSOLE.folded(text) if CONSOLE is not None else text)


class Reasons(logging.Handler):
    """Logs why a job failed as soon as it fails, from its log and its exit code.

    Snakemake only names the log, or prints all of it. Warnings in the log of a finished job are
    logged too.
    """

    def __init__(self):
        super().__init__()
        self.thread = threading.local()
        self.logs = {}

    def emit(self, record):
        event = getattr(record, "event", None)
        if event == LogEvent.ERROR:
            # It belongs to the job whose error the same thread reports next.
            self.thread.ended = reasons.ended_by(record.getMessage())
            missing = internals.missing_target(record)
            if missing and (
                text := targets.problem(missing, config, internals.target_rules(workflow))
            ):
                logger.error(text)
        if event == LogEvent.JOB_ERROR:
            ended, self.thread.ended = getattr(self.thread, "ended", ""), ""
            if text := reasons.reason(record.rule_name, record.log, ended, STARTED):
                logger.error(text)
        if event == LogEvent.JOB_INFO:
            self.logs[record.jobid] = record.log
            if workflow.dryrun and record.rule_name == MODEL:
                warn_unaccepted(record.wildcards["model"])
        if event == LogEvent.JOB_FINISHED:
            for line in reasons.warnings(self.logs.pop(record.job_id, [])):
                logger.warning(line)


def refuse_without_keys():
    """End the run before it computes anything for a scorer whose server needs a missing key."""
    jobs = internals.jobs_to_run(workflow)
    scorers = {job.wildcards.scorer for job in jobs if "scorer" in job.wildcards.keys()}
    for name in sorted(scorers):
        variable = config["scorers"][name].get("key_env")
        if variable and not os.environ.get(variable):
            raise WorkflowError(
                f"scorers.{name}.key_env: the environment variable {variable} holds no key; set it "
                "to the key of your account (to any text, if all answers are kept), or take this "
                "scorer out of the experiments"
            )


def warn_unaccepted(model: str):
    """Say in a dry run what `refuse_unaccepted` says in a run, which a dry run does not reach."""
    if licences.unaccepted(config, [model]):
        logger.warning(f"licences_accepted: not accepted yet: {licences.terms(config, [model])}")


def refuse_unaccepted():
    """End the run before it fetches a model whose licence was not accepted.

    The rule refuses the model too; the check of the config covers only models of experiments.
    """
    jobs = (job for job in internals.jobs_to_run(workflow) if job.rule.name == MODEL)
    if missing := licences.unaccepted(config, {job.wildcards.model for job in jobs}):
        text = licences.terms(config, missing)
        raise WorkflowError(f"licences_accepted: not accepted yet: {text}")
