# Activation addition (arXiv 2308.10248) as a workflow: config, rules, targets.

import gc
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.20")

WORKFLOW = Path(workflow.current_basedir) / "workflow"
sys.path.insert(0, str(WORKFLOW))

import run_console
import snakemake_internals as internals
from actadd.base.errors import UserError, print_anything
from actadd.config.checks import checked
from actadd.config.files import load
from actadd.pipeline import run_lock
from actadd.pipeline.graph import Graph, target_of

# The modules that are loaded stay until the end. To look through them for garbage, again and again,
# took a fifth of the time of a dry run.
gc.freeze()
gc.set_threshold(50_000)

# So that jobs can start programs as `python -m programs.NAME`.
shell.prefix(internals.program_prefix(shell, WORKFLOW))
print_anything()

# --- config ---------------------------------------------------------------------------------------
# config.yaml on top of its base, then --configfile. Snakemake does not read config.yaml: it would keep
# the last of two equal keys, run `__use_yte__`, and take ten times as long.
DEFAULT = "config.yaml"
FILES = [*filter(Path.exists, [Path(DEFAULT)]), *workflow.configfiles]
if internals.replaces_config(workflow):
    FILES = workflow.configfiles

try:
    if internals.is_module(workflow):
        # As a module of another workflow, it gets that workflow's config.
        written = load([], config)
    elif FILES:
        written = load(FILES, internals.command_line_config(workflow))
        # The report shows them, and machines without a shared disk get them.
        workflow.configfiles = FILES
    else:
        raise UserError(
            f"{Path(DEFAULT).absolute()} does not exist; write it, or --configfile FILE"
        )
except UserError as error:
    internals.refuse(str(error))

# Snakemake's lock remains after a killed run; this file is locked only while the run is alive.
RUNNING = Path(".snakemake/running")

try:
    if "--unlock" in sys.argv:
        run_lock.refuse_if_running(RUNNING)
    config = checked(written, Path.cwd())
except UserError as error:
    internals.refuse(str(error))

GRAPH = Graph(config, Path.cwd())

STARTED = time.time()


onstart:
    internals.limit_no_rate(workflow)
    internals.report_refusals(workflow, lambda text: logger.error(reasons.refusal(text)))
    refuse_unaccepted()
    refuse_without_keys()
    try:
        run_lock.begin(RUNNING, locate(layout.RESULTS))
    except UserError as error:
        raise WorkflowError(str(error)) from None
    begin_console(log)


onerror:
    log_summary(STARTED)


onsuccess:
    log_summary(STARTED)
    # The last job of a target fails then; a run for single files has no such job.
    if failed := failed_cells_message(STARTED):
        raise WorkflowError(failed)


# --- rules ----------------------------------------------------------------------------------------
include: "workflow/rules/common.smk"


logger.addHandler(Reasons())
CONSOLE = run_console.install(workflow)
# As a module of another workflow, the rule has another name.
MODEL = internals.rule_name(workflow, "model")


# Jobs on a cluster get the keys of remote judges in variables, never in a command or a file.
envvars:
    *keys_of_judges(),


# So that Snakemake refuses a target with a name that is not in the config.
wildcard_constraints:
    source=names_of("sources"),
    model=names_of("models"),
    dataset=names_of("datasets"),
    vector=names_of("vectors"),
    experiment=names_of("experiments"),
    scorer=names_of("scorers"),
    display=names_of("figures", "tables"),
    lens=names_of("lenses"),
    pair_check=names_of("pair_checks"),
    overhead=names_of("overheads"),
    method_comparison=names_of("method_comparisons"),
    subject=subjects(),
    target="|".join(GRAPH.targets),
    shard=r"\d+",
    shards=r"\d+",


include: "workflow/rules/fetch.smk"
include: "workflow/rules/activations.smk"
include: "workflow/rules/vectors.smk"
include: "workflow/rules/norms.smk"
include: "workflow/rules/cells.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/summaries.smk"
include: "workflow/rules/choices.smk"
include: "workflow/rules/lenses.smk"
include: "workflow/rules/overhead.smk"
include: "workflow/rules/displays.smk"
include: "workflow/rules/targets.smk"
include: "workflow/rules/report.smk"


# --- targets --------------------------------------------------------------------------------------
rule all:
    """Everything of the config that is not marked as an item of the paper."""
    default_target: True
    input:
        completed("all"),
