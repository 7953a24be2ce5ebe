# Functions for the rules: which files a job reads, and what `all` consists of.

import logging
import threading

from actadd.config import licences
from actadd.pipeline import reasons
from actadd.store import failed_cells
from actadd.results.displays.needs import kind_of
from actadd.pipeline.plan import MEASURES
from actadd.pipeline.resources import Needs
from actadd.pipeline.run_summary import summary
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

CONDA = "../envs/runtime.yml"
NEEDS = Needs(config, Path.cwd())
# What no name of a config is: a wildcard constraint that nothing meets.
NOTHING = "_"


def layer_files(folder: str, model: str) -> list[str]:
    """One file for each layer of a model, 0-indexed block inputs."""
    layers = range(config["models"][model]["layers"])
    return [f"{folder}/layer_{layer:02d}.safetensors" for layer in layers]


def experiments(measure: str, sharded: bool) -> str:
    """Wildcard constraint: the experiments that measure one thing, in shards or in one job."""
    names = [
        name
        for name, entry in config["experiments"].items()
        if entry["measure"] == measure and (entry["shards"] > 1) == sharded
    ]
    return "|".join(names) or NOTHING


def names_of(*sections: str) -> str:
    """Wildcard constraint: the names of the entries in some sections of the config."""
    return "|".join(name for section in sections for name in config[section]) or NOTHING


def subjects() -> str:
    """Wildcard constraint: the models and the shapes whose forward passes are timed."""
    timed = (name for overhead in config["overheads"] for name in PLAN.overhead_subjects(overhead))
    return "|".join(dict.fromkeys(timed)) or NOTHING


def cells_file(model: str, experiment: str) -> str:
    """Where an experiment's completions or log-probabilities lie."""
    measure = config["experiments"][experiment]["measure"]
    return f"results/{measure}/{model}/{experiment}.parquet"


def dataset_source(wildcards):
    """A dataset's file, or the fetched source that holds it; nothing if its texts are inline."""
    entry = config["datasets"][wildcards.dataset]
    if "source" in entry:
        return f"results/sources/{entry['source']}"
    return entry.get("file", [])


def dataset_punkt(wildcards):
    """The fetched source by which a dataset's sentences are cut; nothing if rules do."""
    entry = config["datasets"][wildcards.dataset]
    return f"results/sources/{entry['punkt']}" if "punkt" in entry else []


def overlaps(section: str, name: str) -> list[str]:
    """The record of a comparison with what scorers are fitted on; nothing if none is to be made."""
    return [f"results/overlaps/{section}/{name}.json"] if PLAN.overlap_pairs(section, name) else []


def experiment_overlaps(wildcards):
    return overlaps("experiments", wildcards.experiment)


def scorer_overlaps(wildcards):
    return overlaps("scorers", wildcards.scorer)


def overlaps_datasets(wildcards):
    """The datasets that are compared."""
    pairs = PLAN.overlap_pairs(wildcards.section, wildcards.name)
    names = {pair[side]["dataset"] for pair in pairs for side in ("texts", "others")}
    return [f"results/datasets/{name}.parquet" for name in sorted(names)]


def model_source(wildcards):
    return f"results/sources/{config['models'][wildcards.model]['source']}"


def vector_file(wildcards):
    """The file that holds a vector; nothing if it is made from prompts."""
    return config["vectors"][wildcards.vector].get("file", [])


def experiment_prompts(wildcards):
    dataset = config["experiments"][wildcards.experiment]["prompts"]["dataset"]
    return f"results/datasets/{dataset}.parquet"


def experiment_vectors(wildcards):
    return [
        f"results/vectors/{wildcards.model}/{vector}/vector.safetensors"
        for vector in dict(PLAN.vectors_of(wildcards.model, wildcards.experiment))
    ]


def experiment_choice(wildcards):
    if not config["experiments"][wildcards.experiment].get("choices"):
        return []
    return f"results/choices/{wildcards.model}/{wildcards.experiment}.json"


def verification(model: str) -> list[str]:
    """The record of a model's verification; nothing if the rule that makes it ready verifies it."""
    return [f"results/models/{model}.verification.json"] if PLAN.verifies_apart else []


def model_verification(wildcards):
    return verification(wildcards.model)


def scorer_verification(wildcards):
    """The same of the model that a scorer judges by, if it does."""
    entry = config["scorers"][wildcards.scorer]
    return verification(entry["model"]) if "model" in PLAN.scorer_inputs(wildcards.scorer) else []


def overhead_verification(wildcards):
    return verification(wildcards.subject) if overhead_model(wildcards) else []


def batch_shape(model: str) -> list[str]:
    """The proposed batch shape of a model; nothing if the config says how many rows."""
    return [f"results/models/{model}.batch.json"] if PLAN.proposes_rows else []


def experiment_shape(wildcards):
    if config["experiments"][wildcards.experiment]["measure"] == "divergence":
        return []
    return batch_shape(wildcards.model)


def scorer_shape(wildcards):
    """The batch shape of the model that a scorer judges by, if it does."""
    entry = config["scorers"][wildcards.scorer]
    return batch_shape(entry["model"]) if "model" in PLAN.scorer_inputs(wildcards.scorer) else []


def shard_records(folder: str, experiment: str) -> list[str]:
    """Records of the shards that fill the cell store, in the folder of what they are shards of."""
    shards = config["experiments"][experiment]["shards"]
    return [f"{folder}/shard_{shard}_of_{shards}.provenance.json" for shard in range(shards)]


def experiment_shards(measure: str):
    """An input function: records of the shards of an experiment."""
    return lambda wc: shard_records(f"results/{measure}/{wc.model}/{wc.experiment}", wc.experiment)


def score_shards(wildcards):
    folder = f"results/scores/{wildcards.model}/{wildcards.experiment}/{wildcards.scorer}"
    return shard_records(folder, wildcards.experiment)


def attempt_of(record: str):
    """A param: the number of a job's attempt, so that failed cells are tried again."""
    return lambda wildcards: failed_cells.attempt(record.format(**wildcards))


def failed_cells_message(since: float) -> str:
    """What is to be said of cells that failed in this run; nothing if none did."""
    found = failed_cells.failed_since(Path("results/failures").rglob("*.json"), since)
    cells = [
        f"{record.relative_to('results/failures').with_suffix('')}: {label}: {reason}"
        for record, failed in found.items()
        for label, reason in failed.items()
    ]
    if not cells:
        return ""
    more = [f"and {len(cells) - 3} more, see results/failures/"] if len(cells) > 3 else []
    said = [f"{len(cells)} cells failed; the next run tries them again", *cells[:3], *more]
    return "\n".join(said)


def say_what_was_done(since: float):
    """In the process that somebody started, not in those that it starts for its jobs."""
    if workflow.is_main_process and (said := summary(Path("results"), since)):
        logger.info(said)


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
            if said := reasons.reason(record.rule_name, record.log, ended, STARTED):
                logger.error(said)


def refuse_unaccepted():
    """Ends the run before anything of a model is fetched whose terms nobody has accepted.

    Its rule refuses it too; the config's check sees only what its experiments use.
    """
    jobs = (job for job in workflow.dag.needrun_jobs() if job.rule.name == MODEL)
    if missing := licences.unaccepted(config, {job.wildcards.model for job in jobs}):
        said = licences.terms(config, missing)
        raise WorkflowError(f"licences_accepted: not accepted yet: {said}")


def say_refusals():
    """What a batch system says of a job is printed, with its remedy.

    Snakemake 9.27 keeps it to itself if the job is a group of jobs.
    """
    executor = workflow.scheduler._executor
    usual = executor.report_job_error

    def aloud(job_info, msg=None, **about):
        if msg:
            logger.error(reasons.refusal(msg))
        usual(job_info, msg=msg, **about)

    executor.report_job_error = aloud


def choice_tables(wildcards):
    return [
        f"results/summaries/{wildcards.model}/{sweep}.parquet"
        for sweep in PLAN.choice_sources(wildcards.experiment)
    ]


def scorer_needs(wildcards):
    """What a scorer reads besides texts: its fitted classifier, its model, or its source."""
    entry = config["scorers"][wildcards.scorer]
    folders = {
        "classifier": f"results/scorers/{wildcards.scorer}",
        "model": f"results/models/{entry.get('model')}",
        "source": f"results/sources/{entry.get('source')}",
    }
    return [folders[need] for need in PLAN.scorer_inputs(wildcards.scorer) if need in folders]


def judges() -> str:
    """Wildcard constraint: the scorers by which a model judges."""
    return "|".join(filter(PLAN.judges, config["scorers"])) or NOTHING


def scorer_gpus(wildcards) -> int:
    """GPUs that a scorer takes: none if it has nothing to compute with."""
    model = config["scorers"][wildcards.scorer].get("model")
    return gpus(model) if PLAN.judges(wildcards.scorer) else 0


def classifier_texts(wildcards):
    dataset = config["scorers"][wildcards.scorer]["fit"]["dataset"]
    return f"results/datasets/{dataset}.parquet"


def validation_texts(wildcards):
    dataset = config["scorers"][wildcards.scorer]["validate"]["dataset"]
    return f"results/datasets/{dataset}.parquet"


def summary_cells(wildcards):
    return cells_file(wildcards.model, wildcards.experiment)


def score_files(model: str, experiment: str) -> list[str]:
    scorers = config["experiments"][experiment].get("scorers", [])
    return [f"results/scores/{model}/{experiment}/{scorer}.parquet" for scorer in scorers]


def summary_scores(wildcards):
    return score_files(wildcards.model, wildcards.experiment)


def display_inputs(section: str):
    """An input function: what a figure or a table is made from."""
    return lambda wildcards: list(PLAN.display_inputs(section, wildcards.display))


def lens_vectors(wildcards) -> list[str]:
    return [
        f"results/vectors/{wildcards.model}/{vector}/vector.safetensors"
        for vector in config["lenses"][wildcards.lens]["vectors"]
    ]


def overhead_model(wildcards):
    """The model that is timed; a shape with random weights needs no file."""
    if wildcards.subject in config["overheads"][wildcards.overhead]["shapes"]:
        return []
    return f"results/models/{wildcards.subject}"


def display_labels(section: str):
    """A label function: what the report says beside a figure or a table."""

    def labels(wildcards) -> dict[str, str]:
        found = PLAN.display_labels(section, wildcards.display)
        # Snakemake 9.27 takes a label that splits results into halves for a switch between two
        # versions of each, and its page then breaks. Invisible spaces make every value unique.
        unique = "\u200b" * list(config[section]).index(wildcards.display)
        return {name: f"{value}{unique}" for name, value in found.items()}

    return labels


def display_category(wildcards) -> str:
    """The part of the report in which a table stands."""
    kind = kind_of("tables", config["tables"][wildcards.display])
    return "Paper against ours" if "comparison" in kind.reads else "Tables"


def explorer_inputs(experiments: list[str]) -> dict[str, list[str]]:
    return {kind: list(files) for kind, files in PLAN.explorer_inputs(experiments).items()}


def target(section: str, name: str) -> str:
    """The target's name of a figure or a table."""
    return {"figures": "fig_", "tables": "table_"}[section] + name.replace("-", "_")


def target_files(section: str, name: str) -> list[str]:
    """The files of a figure or a table."""
    kinds = {
        "figures": ("png", "svg", "pdf", "rst"),
        "tables": ("csv", "md", "tex", "html", "rst"),
    }[section]
    return [f"results/{section}/{name}.{kind}" for kind in kinds]


def with_intermediates(shown: list[tuple[str, str]], experiments: list[str]) -> list[str]:
    """Every file of some figures, tables and experiments, the intermediate ones too.

    Were only figures asked for, a missing intermediate would count as not needed, and a figure
    left over from before a failed run as up to date.
    """
    wanted: set[str] = set()
    vectors: set[tuple[str, str]] = set()
    models: set[str] = set()
    datasets: set[str] = set()
    sources: set[str] = set()
    for section, name in shown:
        entry = config[section][name]
        wanted |= {*target_files(section, name), *PLAN.display_inputs(section, name)}
        for model in PLAN.display_models(entry):
            if "norms" in kind_of(section, entry).reads:
                vectors |= {(model, vector) for vector in PLAN.display_vectors(entry)}
        for model in config["lenses"].get(entry.get("lens"), {}).get("models", []):
            vectors |= {(model, vector) for vector in PLAN.display_vectors(entry)}
        if "overhead" in entry:
            models |= set(config["overheads"][entry["overhead"]]["models"])
    for name in experiments:
        entry = config["experiments"][name]
        datasets.add(entry["prompts"]["dataset"])
        wanted |= set(overlaps("experiments", name))
        for model in entry["models"]:
            vectors |= {(model, vector) for vector, _ in PLAN.vectors_of(model, name)}
            models.add(model)
            wanted |= {cells_file(model, name), *score_files(model, name)}
            if entry["measure"] != "divergence":
                wanted |= set(batch_shape(model))
            wanted |= set(verification(model))
            wanted.add(f"results/summaries/{model}/{name}.parquet")
            if entry.get("choices"):
                wanted.add(f"results/choices/{model}/{name}.json")
    for scorer in PLAN.scorers_of(experiments):
        entry = config["scorers"][scorer]
        needs = PLAN.scorer_inputs(scorer)
        if "validate" in entry:
            wanted.add(f"results/validation/{scorer}.json")
            datasets.add(entry["validate"]["dataset"])
            wanted |= set(overlaps("scorers", scorer))
        if "classifier" in needs:
            wanted.add(f"results/scorers/{scorer}")
            datasets.add(entry["fit"]["dataset"])
        if "model" in needs:
            models.add(entry["model"])
            wanted |= set(batch_shape(entry["model"]))
        if "source" in needs:
            sources.add(entry["source"])
    for model, vector in vectors:
        models.add(model)
        # One file for each job is enough: a failed job's outputs are all removed.
        wanted.add(f"results/vectors/{model}/{vector}/norms.csv")
        wanted.add(f"results/activations/{model}/{PLAN.contrast(vector)}/provenance.json")
    sources |= {config["models"][model]["source"] for model in models}
    for entry in map(config["datasets"].get, datasets):
        sources |= {entry[key] for key in ("source", "punkt") if key in entry}
    wanted |= {f"results/models/{model}" for model in models}
    wanted |= {f"results/datasets/{dataset}.parquet" for dataset in datasets}
    wanted |= {f"results/sources/{source}" for source in sources}
    return sorted(wanted)


def path_source(wildcards) -> list[str]:
    """The user's own files behind a source of type path; the program says it if there are none."""
    given = config["sources"][wildcards.source].get("path")
    if given is None:
        return []
    path = Path(given).expanduser()
    files = path.rglob("*") if path.is_dir() else [path]
    return sorted(str(file) for file in files if file.is_file())


def gpus(model: str | None) -> int:
    """GPUs that a job with a model takes; one without a model of the config takes one."""
    taken = config["models"].get(model, {}).get("gpus", 1)
    return taken if config["compute"]["device"] == "cuda" else 0


# Resources: what the first attempt gets. A later one (the profile's `retries`) gets twice as much
# as the one before, since what was killed for its memory or its time would be killed again.


def memory(job: str, **given: str):
    """A resource function: megabytes of main memory of a job, see actadd/pipeline/resources.py.

    given: what stands for wildcards that the rule does not have.
    """
    return lambda wc, attempt: need(job, wc, given).megabytes * 2 ** (attempt - 1)


def minutes(job: str, **given: str):
    """A resource function: minutes that a job may take."""
    return lambda wc, attempt: need(job, wc, given).minutes * 2 ** (attempt - 1)


def need(job: str, wildcards, given: dict[str, str]):
    return getattr(NEEDS, job)(**dict(wildcards.items()), **given)
