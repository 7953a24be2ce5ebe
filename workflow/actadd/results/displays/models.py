"""One property on several models: effect, control, damage and the setting that was chosen."""

from typing import Any

import numpy as np
import pandas as pd

from actadd.base.intervals import detectable
from actadd.measure.additions import strength_of
from actadd.results.displays.kinds import Sources
from actadd.results.displays.labels import read_norms
from actadd.results.displays.model_options import ModelOptions
from actadd.results.intervals import columns
from actadd.results.reliability.card import Estimate, Unmeasured
from actadd.results.reliability.directions import additions_of, positions
from actadd.results.reliability.effects import cost_ratio, mean_of
from actadd.results.reliability.evidence import Evidence, Setting


def gather(options: ModelOptions, sources: Sources) -> pd.DataFrame:
    """One row for each model.

    layer, blocks: as chosen; strength: in words, as chosen. dose: the largest norm of what is added
    at a position over the residual stream's at that layer, NaN for an operation that adds no
    multiple of the vector. unsteered: mean of the metric. gain, control, prompting: paired
    differences from unsteered; net: gain minus control's; all with low and high. detectable: of
    net. wrong: share of prompts whose metric moved against the aim of the choice. damage: geometric
    mean over prompts of the ratio to unsteered, with low and high. failed: why there are no
    numbers.
    """
    rows = []
    for model, experiment in sources.tables:
        evidence = Evidence(sources.values(model, experiment))
        rows.append({"model": model, **_row(options, sources, model, evidence)})
    return pd.DataFrame(rows)


def _row(options: ModelOptions, sources: Sources, model: str, evidence: Evidence) -> dict[str, Any]:
    settings = {str(each.iloc[0]["condition"]): each for each in evidence.settings}
    steered, control = settings[options.steered], settings[options.control]
    chosen = steered.iloc[0]
    [addition] = additions_of(chosen)
    norms = read_norms({key: path for key, path in sources.norms.items() if key[0] == model})
    added = positions([addition], norms)
    value, unit = float(chosen["coefficient"]), strength_of(addition)
    row: dict[str, Any] = {
        "layer": int(chosen["layer"]),
        "blocks": sources.facts.more["layers"][model],
        "strength": f"{'c =' if unit == 'coefficient' else unit} {value:g}",
        "dose": np.nan if isinstance(added, Unmeasured) else max(each.dose for each in added),
        "failed": evidence.failed(steered, options.metric),
    }
    gain = evidence.changes(steered, options.metric)
    of_control = evidence.changes(control, options.metric)
    net = of_control.rsub(gain[0].reindex(of_control.index), axis=0).dropna()
    changes = {"gain": gain, "control": of_control, "net": net}
    if options.prompting:
        changes["prompting"] = evidence.changes(settings[options.prompting], options.metric)
    for name, each in changes.items():
        row |= columns(name, mean_of(each))
    unsteered = evidence.unsteered(steered, options.metric)
    return row | {
        "unsteered": float("nan") if unsteered is None else unsteered.mean(),
        "detectable": detectable(net.mean(axis=1).to_numpy()),
        "wrong": float((sources.facts.more["aim"] * gain[0] < 0).mean()),
        "prompts": len(gain),
        **_damage(evidence, steered, options.damage),
    }


def _damage(evidence: Evidence, setting: Setting, metric: str) -> dict[str, float]:
    ratio = cost_ratio(evidence, setting, metric)
    return columns("damage", ratio if isinstance(ratio, Estimate) else Estimate(*[np.nan] * 3))
