# Activation addition (arXiv 2308.10248) as a workflow: config, rules, targets.

import shlex
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.20")

WORKFLOW = Path(workflow.current_basedir) / "workflow"
sys.path.insert(0, str(WORKFLOW))
# Programs are started as `python -m programs.NAME`, wherever the working directory is, and read and
# write UTF-8 whatever the locale is. A prefix takes the place of Snakemake's own, by which a job ends
# at the first command that fails; that of a workflow that takes this one in as a module stays.
shell.prefix(
    (shell._process_prefix or "").replace("{", "{{").replace("}", "}}") + "set -euo pipefail; "
    f"export PYTHONUTF8=1 PYTHONPATH={shlex.quote(str(WORKFLOW))}"
    "${{PYTHONPATH:+:$PYTHONPATH}}; "
)

from actadd.pipeline import run_lock
from actadd.config.checks import checked
from actadd.config.files import load
from actadd.base.errors import UserError, print_anything
from actadd.pipeline.plan import Plan

print_anything()

# --- config ---------------------------------------------------------------------------------------
# config.yaml on top of what it builds on, then --configfile. They are read here, with line numbers,
# before Snakemake reads them: it would keep the last of two equal keys, and run `__use_yte__`.
FILES = [*filter(Path.exists, [Path("config.yaml")]), *workflow.configfiles]
if workflow.config_settings.replace_workflow_config:
    FILES = workflow.configfiles

try:
    if workflow.modifier.skip_configfile:
        # As a module of another workflow, the config comes from there.
        written = load([], config)
    else:
        written = load(FILES, workflow.config_settings.config)
except UserError as error:
    raise WorkflowError(str(error)) from None


configfile: "config.yaml"


# Snakemake's lock outlives a run that was killed; this file is held as long as the run is alive.
RUNNING = Path(".snakemake/running")

try:
    if "--unlock" in sys.argv:
        run_lock.refuse_if_running(RUNNING)
    config = checked(written, Path.cwd())
except UserError as error:
    raise WorkflowError(str(error)) from None

PLAN = Plan(config, Path.cwd())

STARTED = time.time()


onstart:
    # For its rate limit, Snakemake 9.27 looks for jobs once a second anew for every job that has
    # finished: after a hundred jobs that took half a core. Only clusters need the limit.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None
    say_refusals()
    refuse_unaccepted()
    try:
        run_lock.begin(RUNNING, Path("results"))
    except UserError as error:
        raise WorkflowError(str(error)) from None


onerror:
    say_what_was_done(STARTED)


onsuccess:
    say_what_was_done(STARTED)
    # Jobs with failed cells succeed, so that all others go on; the run as a whole has not.
    if failed := failed_cells_message(STARTED):
        raise WorkflowError(failed)


# --- rules ----------------------------------------------------------------------------------------
include: "workflow/rules/common.smk"


logger.addHandler(Reasons())
# As a module of another workflow, the rule has another name.
MODEL = workflow.modifier.modify_rulename("model")


# A name that the config does not have is no target: Snakemake says so.
wildcard_constraints:
    source=names_of("sources"),
    model=names_of("models"),
    dataset=names_of("datasets"),
    vector=names_of("vectors"),
    experiment=names_of("experiments"),
    scorer=names_of("scorers"),
    display=names_of("figures", "tables"),
    lens=names_of("lenses"),
    overhead=names_of("overheads"),
    subject=subjects(),
    shard=r"\d+",
    shards=r"\d+",


include: "workflow/rules/fetch.smk"
include: "workflow/rules/activations.smk"
include: "workflow/rules/vectors.smk"
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
        with_intermediates(OWN, OWN_EXPERIMENTS),
        "results/tables/scorer_card.csv",
