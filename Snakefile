# Activation addition (arXiv 2308.10248) as a workflow: config, rules, targets.

import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.20")

WORKFLOW = Path(workflow.current_basedir) / "workflow"
sys.path.insert(0, str(WORKFLOW))
# Programs are started as `python -m programs.NAME`, wherever the working directory is.
shell.prefix(f"export PYTHONPATH={shlex.quote(str(WORKFLOW))}" "${{PYTHONPATH:+:$PYTHONPATH}}; ")

from actadd.config import checked
from actadd.errors import UserError
from actadd.plan import Plan


# --- config ---------------------------------------------------------------------------------------
configfile: "config.yaml"


try:
    config = checked(config, Path.cwd())
except UserError as error:
    raise WorkflowError(str(error)) from None

PLAN = Plan(config, Path.cwd())


wildcard_constraints:
    source=r"[a-z0-9-]+",
    model=r"[a-z0-9-]+",
    dataset=r"[a-z0-9-]+",
    vector=r"[a-z0-9-]+",
    experiment=r"[a-z0-9-]+",
    scorer=r"[a-z0-9-]+",
    figure=r"[a-z0-9-]+",
    shard=r"\d+",
    shards=r"\d+",


# --- rules ----------------------------------------------------------------------------------------
include: "workflow/rules/common.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/activations.smk"
include: "workflow/rules/vectors.smk"
include: "workflow/rules/completions.smk"
include: "workflow/rules/logprobs.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"


# --- targets --------------------------------------------------------------------------------------
rule all:
    default_target: True
    input:
        everything(),
