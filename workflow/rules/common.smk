# What rules ask of the graph: what a job reads and writes, what it needs, and what it is called.

import logging
import os
import threading

from actadd.config import licences
from actadd.pipeline import layout, reasons
from actadd.pipeline.freshness import Freshness
from actadd.pipeline.resources import Needs
from actadd.pipeline.run_summary import summary
from actadd.results.displays.needs import kind_of
from actadd.store import failed_cells
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

CONDA = "../envs/runtime.yml"
# What no name of a config is: a wildcard constraint that nothing meets.
NOTHING = "_"


# What stands before the paths of the layout: a cluster's storage, another workflow's prefix.
PREFIX = internals.prefix(workflow)
FOLDER = (internals.storage_folder(workflow) or Path()) / PREFIX


def at(path: str) -> Path:
    """Where a path of the layout lies, as seen from the working directory."""
    return FOLDER / path


FRESHNESS = Freshness(GRAPH.everything, at)
NEEDS = Needs(config, Path.cwd())


# --- inputs and outputs ---------------------------------------------------------------------------


def reads(stage: str, **names: str):
    """An input function: what a job reads, and the file that says what it is asked to do.

    The latter alone decides whether the job runs; it is written here, before Snakemake compares
    times. names: those that the rule has no wildcard for.
    """

    def inputs(wildcards):
        try:
            job = GRAPH.job(stage, **{**dict(wildcards.items()), **names})
        except UserError as error:
            raise WorkflowError(str(error)) from None
        flagged = str
        if workflow.is_main_process:
            judge(job)
            # A forced job is outdated by somebody's wish: what is below it runs too.
            if FRESHNESS.may_wait(job) and not internals.is_forced(workflow):
                flagged = ancient
        files = {name: [flagged(own(file)) for file in files] for name, files in job.inputs.items()}
        return {"job": job.file, **files}

    return inputs


def own(file) -> str:
    """A path for Snakemake, which puts a module's prefix in front; but not of the user's files."""
    return str(Path(file.path).absolute()) if PREFIX and file.job is None else file.path


def judge(job) -> None:
    """Writes a job's file, and says once why a job whose outputs are there has to run."""
    if job in JUDGED:
        return
    JUDGED.add(job)
    internals.times_alone(workflow)
    FRESHNESS.several = internals.has_several_targets(workflow)
    try:
        state = FRESHNESS.write(job)
    except UserError as error:
        raise WorkflowError(str(error)) from None
    if state.outdated and FRESHNESS.record(job) and job.stage != "complete":
        logger.info(f"{job.name} is outdated: {state.outdated}")


JUDGED = set()


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
    """What stands for all that a named target asks for: the record of its last job."""
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
    """What these experiments measure."""
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
    """The scorers by which a model judges."""
    return "|".join(filter(GRAPH.judges, config["scorers"])) or NOTHING


# --- resources ------------------------------------------------------------------------------------
# What the first attempt gets. A later one (the profile's `retries`) gets twice as much as the one
# before, since what was killed for its memory or its time would be killed again.


def memory(job: str, **names: str):
    """A resource function: megabytes of main memory of a job, see actadd/pipeline/resources.py.

    names: those that the rule has no wildcard for.
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
    """The variables that hold keys of servers that scorers ask, of those that are set here."""
    names = {entry["key_env"] for entry in config["scorers"].values() if "key_env" in entry}
    return sorted(name for name in names if name in os.environ)


def answers(wildcards) -> str:
    """Where a server's answers are kept; nothing for a scorer that asks none."""
    return str(at(layout.ANSWERS)) if GRAPH.asks(wildcards.scorer) else ""


def failures(stage: str) -> str:
    """The note of a job's cells that failed."""
    return str(at(layout.failures(stage)))


# --- report ---------------------------------------------------------------------------------------


def display_labels(section: str):
    """A label function: what the report says beside a figure or a table."""

    def labels(wildcards) -> dict[str, str]:
        texts = GRAPH.display_labels(section, wildcards.display)
        # Snakemake 9.27 takes a label that splits results into halves for a switch between two
        # versions of each, and its page then breaks. Invisible spaces make every value unique.
        unique = "\u200b" * list(config[section]).index(wildcards.display)
        return {name: f"{value}{unique}" for name, value in texts.items()}

    return labels


def display_category(wildcards) -> str:
    """The part of the report in which a table stands."""
    kind = kind_of("tables", config["tables"][wildcards.display])
    return "Paper against ours" if "comparison" in kind.reads else "Tables"


# --- what a run says ------------------------------------------------------------------------------


def failed_cells_message(since: float) -> str:
    """The message on cells that failed in this run; nothing if none did."""
    return failed_cells.message(at(layout.FAILURES), since=since)


def say_what_was_done(since: float):
    """In the process that somebody started, not in those that it starts for its jobs."""
    if workflow.is_main_process and (text := summary(at(layout.RESULTS), since)):
        logger.info(text)


class Reasons(logging.Handler):
    """Says why a job failed as soon as it does, from its log and its exit code.

    Snakemake names the log alone, or prints all of it.
    """

    def __init__(self):
        super().__init__()
        self.thread = threading.local()

    def emit(self, record):
        event = getattr(record, "event", None)
        if event == LogEvent.ERROR:
            # Of the job whose error the same thread reports next.
            self.thread.ended = reasons.ended_by(record.getMessage())
        if event == LogEvent.JOB_ERROR:
            ended, self.thread.ended = getattr(self.thread, "ended", ""), ""
            if text := reasons.reason(record.rule_name, record.log, ended, STARTED):
                logger.error(text)


def refuse_unaccepted():
    """Ends the run before anything of a model is fetched whose terms nobody has accepted.

    Its rule refuses it too; the config's check sees only what its experiments use.
    """
    jobs = (job for job in internals.jobs_to_run(workflow) if job.rule.name == MODEL)
    if missing := licences.unaccepted(config, {job.wildcards.model for job in jobs}):
        text = licences.terms(config, missing)
        raise WorkflowError(f"licences_accepted: not accepted yet: {text}")
