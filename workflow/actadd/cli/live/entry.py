"""The settings of the page as a config: an experiment that draws the same completions."""

import json
from typing import Any, get_args

import yaml

from actadd.cli.live.request import Asked
from actadd.cli.trial_model import control_seed
from actadd.config.sections.rules import ShortText
from actadd.pipeline import layout
from actadd.scorers.kinds import SCORERS

# Name of the entries that the config gets; with a number behind it if the config has such entries.
NAME = "live"
# The longest text that stands in a config itself.
LONGEST: int = get_args(ShortText)[1].max_length


def config_files(
    asked: Asked, model: str, config: dict[str, Any] | None, dtype: str
) -> dict[str, str]:
    """File name -> text: the config, and behind it a file with the prompt if that is long.

    model: its name in the config. config: on top of which the new one is valid; None without one.
    dtype: in which the page's completions are drawn.
    """
    above: dict[str, Any] = {"models": {}, "vectors": {}, "scorers": {}, **(config or {})}
    name = _free(above)
    config_file, control, vector = f"{name}.yaml", f"{name}-random", asked.vector or name
    several = above["vectors"].get(asked.vector, {}).get("draws", 1) > 1
    vectors: dict[str, Any] = {} if asked.vector else {name: asked.pair}
    added = {"steered": vector}
    if asked.control and not several:
        vectors[control] = {"kind": "random", "like": vector, "seed": control_seed(asked.seed)}
        added["random"] = control
    entries: dict[str, Any] = {}
    if above["models"].get(model, {}).get("dtype", dtype) != dtype:
        entries["models"] = {model: {"dtype": dtype}}
    prompt: dict[str, Any] = {"texts": [asked.prompt]}
    files = {}
    if len(asked.prompt) > LONGEST:
        file = f"{name}.jsonl"
        prompt, files = {"file": file}, {file: json.dumps({"text": asked.prompt}) + "\n"}
    entries["datasets"] = {name: {"title": "a prompt of actadd serve", **prompt}}
    if vectors:
        entries["vectors"] = vectors
    entries["experiments"] = {name: _experiment(asked, model, name, added, above)}
    target = layout.output("cells", "table", measure="completions", model=model, experiment=name)
    head = [f"# snakemake --cores all {target} --configfile {config_file}"]
    if model not in above["models"]:
        head.append(f"# The config has no model {model}; docs/how-to/model.md says how to add it.")
    if several:
        head.append(f"# {vector} has several draws; the page adds the first, and no control.")
    body = yaml.safe_dump(
        entries, sort_keys=False, allow_unicode=True, width=96, default_flow_style=None
    )
    return {config_file: "\n".join([*head, body]), **files}


def _free(config: dict[str, Any]) -> str:
    """A name that no entry of the config has."""
    taken = {
        name.removesuffix("-random")
        for section in ("datasets", "vectors", "experiments")
        for name in config.get(section, {})
    }
    names = [NAME, *(f"{NAME}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def _experiment(
    asked: Asked, model: str, name: str, added: dict[str, str], config: dict[str, Any]
) -> dict[str, Any]:
    """added: condition -> the vector that it adds."""
    seed = {} if config.get("seed") == asked.seed else {"seed": asked.seed}
    addition = {
        "layer": asked.layer,
        "dose" if asked.dosed else "coefficient": asked.strength,
        "position": asked.position,
    }
    conditions = {
        condition: {"method": "actadd", "additions": [{"vector": vector, **addition}], **seed}
        for condition, vector in added.items()
    }
    return {
        "title": f"{added['steered']} at layer {asked.layer}, as tried live",
        "measure": "completions",
        "models": [model],
        "prompts": {"dataset": name},
        "samples": asked.samples,
        "max_new_tokens": asked.tokens,
        "sampling": vars(asked.sampling),
        "conditions": {"unsteered": {"method": "unsteered", **seed}, **conditions},
        "scorers": [
            scorer
            for scorer, entry in config["scorers"].items()
            if not (SCORERS[entry["kind"]].reads or SCORERS[entry["kind"]].asks)
        ],
    }
