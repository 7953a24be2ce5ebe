"""The published numbers beside ours, and the paper's claims tested on ours.

A number is compared only where model and data are the published ones; elsewhere it is shown as not
comparable, and the claims say whether the effect has the published direction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata, spearmanr

from actadd.base.errors import UserError
from actadd.base.files import write_text, write_with
from actadd.results.markup import latex_table, markdown_table

NUMBER_VERDICTS = ("matches", "same direction", "differs", "not comparable", "not run")
CLAIM_VERDICTS = (
    "same direction, interval excludes none",
    "same direction, within noise",
    "differs, within noise",
    "differs",
    "not run",
)
COLUMNS = [
    "kind",
    "name",
    "title",
    "item",
    "series",
    "layer",
    "x_name",
    "x",
    "y_name",
    "published",
    "precision",
    "source",
    "ours",
    "low",
    "high",
    "model",
    "data",
    "deviation",
    "verdict",
    "reason",
]
BOUNDS = {"mean": ("low", "high"), "difference": ("difference_low", "difference_high")}
# Columns that a table of published numbers has at least.
PUBLISHED = {"item", "x", "y"}
MONOTONE = {"increasing": 1, "decreasing": -1}
FEWEST_POINTS = 3
DRAWS = 2000


def compare(
    spec: dict,
    *,
    published: Path | None,
    summaries: list[Path],
    csv: Path,
    markdown: Path,
    latex: Path,
    parquet: Path,
    norms: Sequence[Path] = (),
) -> dict[str, Any]:
    """One row for each published number and model of ours, and one for each claim and model.

    spec: `comparisons`, `claims` and `context` (what each experiment's data is). published: the
    reference table. summaries: the experiments' tables. norms: of vectors, which appear as the
    experiment "norms", see `norm_rows`. Returns counts of verdicts and, for each
    series compared on the published model and data, its largest deviation.
    """
    reference = read_published(published)
    ours = _read_summaries(summaries)
    context = dict(spec.get("context", {}))
    if norms:
        ours = pd.concat([ours, norm_rows(norms, spec["relative_to"])], ignore_index=True)
        context["norms"] = {"data": "the contrast prompts themselves"}
    numbers, used = [], set()
    for name, entry in spec.get("comparisons", {}).items():
        rows = _numbers(name, entry, reference, ours, context)
        used.update(rows.index)
        numbers.append(rows)
    rest = reference.drop(sorted(used)).assign(
        kind="number", verdict="not run", reason="no comparison in the config", model="", data=""
    )
    claims = [
        row
        for name, entry in spec.get("claims", {}).items()
        for row in _claim(name, entry, ours, context)
    ]
    table = pd.concat([*numbers, rest, pd.DataFrame(claims)], ignore_index=True)
    table = table.reindex(columns=COLUMNS)
    for column in ("published", "ours", "low", "high", "deviation"):
        table[column] = table[column].astype(np.float64)
    texts = table.columns.difference(["published", "ours", "low", "high", "deviation"])
    table[texts] = table[texts].fillna("").astype(str)
    facts = {
        "numbers": _counts(table[table["kind"] == "number"], NUMBER_VERDICTS),
        "claims": _counts(table[table["kind"] == "claim"], CLAIM_VERDICTS),
        "series": _series(table),
    }
    write_with(parquet, lambda path: table.to_parquet(path, index=False))
    write_with(csv, lambda path: table.to_csv(path, index=False, float_format="%.10g"))
    parts = _report(table, facts)
    write_text(markdown, _markdown(parts))
    write_text(latex, _latex(parts))
    return facts


def read_published(path: Path | None) -> pd.DataFrame:
    """The reference table: all text, as `x` may be a name, and the number in `published`.

    Raises UserError if it is no CSV, lacks a column or has a y that is no number.
    """
    if path is None:
        return pd.DataFrame(columns=["item", "published"])
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise UserError(
            f"comparison.published: {path} cannot be read as CSV: {str(error)[:200]}; write a "
            "table of comma-separated columns in UTF-8"
        ) from error
    missing = sorted(PUBLISHED - set(table))
    if missing:
        raise UserError(
            f"comparison.published: {path} has no column {missing[0]!r}; it has "
            f"{', '.join(map(str, table))}"
        )
    numbers = pd.to_numeric(table["y"], errors="coerce")
    for place in numbers.index[numbers.isna()]:
        raise UserError(
            f"comparison.published: {path}, row {place + 1}: y is {table['y'][place]!r}, no "
            "number; write one"
        )
    return table.assign(published=table["y"].astype(np.float64)).drop(columns="y")


def _read_summaries(paths: list[Path]) -> pd.DataFrame:
    frames = [pd.read_parquet(path) for path in paths]
    if not frames:
        return pd.DataFrame(columns=["model", "experiment", "metric", "mean", "low", "high", "k"])
    table = pd.concat(frames, ignore_index=True)
    # A metric of the first K ranks has its K in its name.
    return table.assign(k=table["metric"].str.extract(r"_at_(\d+)$", expand=False).astype(float))


def norm_rows(paths: Sequence[Path], relative_to: str) -> pd.DataFrame:
    """Norms of vectors as rows of a summary: a condition is a vector, position a number as text.

    Metrics log10_norm, and norm_ratio: over the norm of the vector relative_to, a single prompt's,
    at the same layer and position (paper, Fig. 8).
    """
    names = {path: (path.parent.parent.name, path.parent.name) for path in paths}
    table = pd.concat(
        [pd.read_csv(path).assign(model=names[path][0], condition=names[path][1]) for path in paths]
    )
    place = ["model", "layer", "position"]
    usual = table[table["condition"] == relative_to].set_index(place)["vector_norm"]
    table = table.join(usual.rename("usual"), on=place)
    positive = table["vector_norm"].where(table["vector_norm"] > 0)
    found = {
        "norm_ratio": table["vector_norm"] / table["usual"],
        "log10_norm": np.log10(positive),
    }
    shared = table[["model", "condition", "layer"]].assign(
        experiment="norms", position=table["position"].astype(str), low=np.nan, high=np.nan
    )
    return pd.concat(
        [shared.assign(metric=metric, mean=values) for metric, values in found.items()]
    )


# --- choosing rows ---


def _select(table: pd.DataFrame, filters: dict) -> pd.DataFrame:
    """The rows that equal every filter; null means that the cell is empty."""
    for column, value in filters.items():
        if column not in table:
            if value is None:
                continue
            return table.iloc[:0]
        cells = table[column]
        if value is None:
            found = cells.isna() | (cells == "")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numeric = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
            found = np.isclose(numeric, value)
        else:
            found = cells.astype(str) == str(value)
        table = table[found]
    return table


def _check_selector(key: str, selector: dict, ours: pd.DataFrame, context: dict) -> None:
    experiment = selector.get("experiment")
    if experiment not in context:
        raise UserError(
            f"{key}.experiment: no experiment {experiment!r}; write one of {sorted(context)}"
        )
    there = set(context[experiment].get("metrics") or [])
    there |= set(ours.loc[ours["experiment"] == experiment, "metric"])
    metric = selector.get("metric")
    if metric is not None and there and metric not in there:
        raise UserError(
            f"{key}.metric: experiment {experiment} has no metric {metric!r}; "
            f"write one of {sorted(there)}"
        )


def _models(ours: pd.DataFrame, *experiments: str) -> list[str]:
    """The models that ran the experiments; one without a name where none did."""
    return sorted(set(ours.loc[ours["experiment"].isin(experiments), "model"])) or [""]


def _values(rows: pd.DataFrame, y: str) -> pd.DataFrame:
    """Columns ours, low, high of `mean` or of `difference`, and failed; a missing one is empty."""
    columns = dict(zip(("ours", "low", "high"), (y, *BOUNDS[y]), strict=True))
    found = {name: rows.get(column, np.nan) for name, column in columns.items()}
    return pd.DataFrame({**found, "failed": rows.get("failed")}, index=rows.index)


def _by_x(key: str, rows: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Columns x, ours, low, high, one row for each x."""
    if x not in rows:
        rows = rows.iloc[:0].assign(**{x: []})
    rows = rows[rows[x].notna()]
    repeated = rows.loc[rows[x].duplicated(), x]
    if len(repeated):
        raise UserError(
            f"{key}: several rows of model {rows['model'].iloc[0]} have {x} {repeated.iloc[0]}; "
            f"add filters that leave one, such as condition, group, layer or coefficient"
        )
    return _values(rows, y).assign(x=rows[x])


def _one(key: str, rows: pd.DataFrame) -> pd.Series | None:
    """The only row, or None if there is none or its mean is empty."""
    if len(rows) > 1:
        raise UserError(
            f"{key}: {len(rows)} rows of model {rows['model'].iloc[0]} match; "
            f"add filters that leave one, such as condition, group, layer or coefficient"
        )
    return None if rows["mean"].isna().all() else rows.iloc[0]


# --- numbers ---


def _numbers(
    name: str, entry: dict, reference: pd.DataFrame, ours: pd.DataFrame, context: dict
) -> pd.DataFrame:
    key = f"comparison.comparisons.{name}"
    wanted = _select(reference, entry["published"])
    if wanted.empty:
        raise UserError(
            f"{key}.published: no published number has {entry['published']}; "
            f"the items are {sorted(set(reference['item']))}"
        )
    _check_selector(f"{key}.ours", entry["ours"], ours, context)
    experiment, x, y = entry["ours"]["experiment"], entry.get("x"), entry.get("y", "mean")
    rows = _select(ours, entry["ours"])
    frames = []
    for model in _models(ours, experiment):
        own = rows[rows["model"] == model]
        if x:
            found = _by_x(f"{key}.ours", own, x, y)
            found = found.assign(point=[_point(value) for value in found.pop("x")])
        else:
            single = _one(f"{key}.ours", own)
            found = _values(own if single is None else own.iloc[:1], y).assign(point="")
        points = [_point(value) if x else "" for value in wanted["x"]]
        # A merge drops the index, by which the caller knows which numbers had a comparison.
        merged = (
            wanted.assign(point=points).merge(found, on="point", how="left").drop(columns="point")
        )
        merged.index = wanted.index
        frames.append(
            merged.assign(
                kind="number",
                name=name,
                title=entry["title"],
                model=model,
                data=context[experiment].get("data", ""),
            )
        )
    table = pd.concat(frames)
    judged = [_judge(entry, row, context[experiment]) for row in table.to_dict("records")]
    return table.assign(
        deviation=[deviation for deviation, _, _ in judged],
        verdict=[verdict for _, verdict, _ in judged],
        reason=[reason for _, _, reason in judged],
    )


def _point(value: Any) -> str:
    """What x values are matched by: a number to six decimals, or a name as it is."""
    try:
        return f"{round(float(value), 6) + 0.0:.6f}"
    except ValueError:
        return str(value)


def _judge(entry: dict, row: dict, about: dict) -> tuple[float, str, str]:
    """(deviation, verdict, reason) of one number."""
    experiment = entry["ours"]["experiment"]
    if np.isnan(row["ours"]):
        if not row["model"]:
            return np.nan, "not run", f"experiment {experiment} was not run"
        if isinstance(row["failed"], str):
            return np.nan, "not run", f"the condition failed: {row['failed']}"
        where = f" at {entry['x']} {row['x']}" if entry.get("x") else ""
        return np.nan, "not run", f"no such row of experiment {experiment}{where}"
    reasons = []
    if row["model"] not in entry["models"]:
        reasons.append(f"other model: published on {' or '.join(entry['models'])}")
    data = entry.get("data")
    if data and data not in (about.get("data"), about.get("dataset")):
        reasons.append(f"other data: published on {data}")
    if reasons:
        return np.nan, "not comparable", "; ".join(reasons)
    published, value = row["published"], row["ours"]
    deviation = value - published
    tolerance = entry["tolerance"]
    allowed = max(tolerance.get("absolute", 0.0), tolerance.get("relative", 0.0) * abs(published))
    # So much more than the tolerance that 0.874 and 0.875 are 0.001 apart.
    if abs(deviation) <= allowed + 1e-12:
        return deviation, "matches", f"within {allowed:.4g}"
    reason = f"off by {deviation:+.4g}, allowed {allowed:.4g}"
    if row["low"] <= published <= row["high"]:
        reason += "; the published value lies in our 95 % interval"
    neutral = entry.get("neutral")
    if neutral is not None and (value - neutral) * (published - neutral) > 0:
        return deviation, "same direction", f"{reason}; both on one side of {neutral:g}"
    return deviation, "differs", reason


# --- claims ---


@dataclass(frozen=True)
class Evidence:
    """An estimate of ours with its interval, and how far it lies on the claim's side.

    margin: (estimate, low, high) of the distance by which the claim holds; negative if it does not.
    """

    value: tuple[float, float, float]
    margin: tuple[float, float, float]
    note: str = ""

    @property
    def verdict(self) -> str:
        estimate, low, high = self.margin
        if estimate > 0:
            kind = "interval excludes none" if low > 0 else "within noise"
            return f"same direction, {kind}"
        return "differs" if high < 0 else "differs, within noise"


def _claim(name: str, entry: dict, ours: pd.DataFrame, context: dict) -> list[dict]:
    """A row for each model that ran what the claim is about."""
    key = f"comparison.claims.{name}"
    test, argument = _test(entry["test"])
    selectors = {"ours": entry.get("ours")}
    if test == "greater_than":
        selectors["test.greater_than"] = argument
    elif test == "ordered":
        selectors = {f"test.ordered[{i}]": selector for i, selector in enumerate(argument)}
    for place, selector in selectors.items():
        _check_selector(f"{key}.{place}", selector or {}, ours, context)
    experiments = list(dict.fromkeys(s["experiment"] for s in selectors.values()))
    shared = {
        "kind": "claim",
        "name": name,
        "title": entry["title"],
        "item": "claims",
        "series": name,
        "x_name": entry.get("x", ""),
        "y_name": _in_words(test, argument),
        "source": entry["source"],
        "data": "; ".join(str(context[e].get("data", "")) for e in experiments),
    }
    rows = []
    for model in _models(ours, *experiments):
        own = ours[ours["model"] == model]
        chosen = [
            (f"{key}.{place}", _select(own, selector)) for place, selector in selectors.items()
        ]
        found = _evidence(test, argument, entry, chosen)
        if isinstance(found, str):
            rows.append({**shared, "model": model, "verdict": "not run", "reason": found})
            continue
        value, low, high = found.value
        note = found.note or ("" if not np.isnan(found.margin[1]) else "no interval")
        rows.append(
            {
                **shared,
                "model": model,
                **{"ours": value, "low": low, "high": high},
                "verdict": found.verdict,
                "reason": note,
            }
        )
    return rows


def _test(test: str | dict) -> tuple[str, Any]:
    if isinstance(test, str):
        return test, None
    [(name, argument)] = test.items()
    return name, argument


def _in_words(test: str, argument: Any) -> str:
    if test == "near":
        return f"within {argument[1]:g} of {argument[0]:g}"
    if test in ("above", "below"):
        return f"{test} {argument:g}"
    return test.replace("_", " ")


def _evidence(
    test: str, argument: Any, entry: dict, chosen: list[tuple[str, pd.DataFrame]]
) -> Evidence | str:
    """The evidence on one model, or why there is none."""
    y = entry.get("y", "mean")
    if test in MONOTONE:
        [(key, rows)] = chosen
        return _monotone(_by_x(key, rows, entry["x"], y), entry["x"], MONOTONE[test])
    found = [_one(key, rows) for key, rows in chosen]
    missing = [key for (key, _), row in zip(chosen, found, strict=True) if row is None]
    lost = [reason for _, rows in chosen for reason in _values(rows, y)["failed"].dropna()]
    if missing and lost:
        return f"the condition failed: {lost[0]}"
    if missing:
        return f"no row matches {', '.join(missing)}"
    values = [_triple(row, y) for row in found]
    if test in ("greater_than", "ordered"):
        # Ascending lists are compared neighbour by neighbour; the weakest pair decides.
        order = range(1, len(found)) if test == "ordered" else [0]
        step = -1 if test == "ordered" else 1
        pairs = [_gap(found[i], found[i + step], y) for i in order]
        value = min(pairs, key=lambda pair: pair.margin[0])
        if len(pairs) == 1:
            return value
        # Wrong beyond noise if any pair is; right beyond noise if all are.
        low, high = (min(pair.margin[i] for pair in pairs) for i in (1, 2))
        return Evidence(value.value, (value.margin[0], low, high), "smallest step of the order")
    [value] = values
    estimate, low, high = value
    if test == "near":
        target, allowed = argument
        # An estimate exactly at the edge is near.
        margin = np.nextafter(allowed, np.inf) - abs(estimate - target)
        furthest = max(abs(low - target), abs(high - target))
        nearest = max(low - target, target - high, 0.0)
        if np.isnan(low):
            furthest = nearest = np.nan
        return Evidence(value, (margin, allowed - furthest, allowed - nearest))
    if test == "above":
        return Evidence(value, (estimate - argument, low - argument, high - argument))
    return Evidence(value, (argument - estimate, argument - high, argument - low))


def _triple(row: pd.Series, y: str) -> tuple[float, float, float]:
    return tuple(float(row.get(column, np.nan)) for column in (y, *BOUNDS[y]))


def _gap(above: pd.Series, below: pd.Series, y: str) -> Evidence:
    """The difference of two rows: the paired one where one of them is unsteered, if we have it.

    Otherwise the two intervals are combined as of independent estimates (Zou and Donner 2008),
    which is wider than it need be where both share their prompts.
    """
    a, b = _triple(above, y), _triple(below, y)
    gap = a[0] - b[0]
    for row, baseline, sign in ((above, below, 1), (below, above, -1)):
        estimate, *bounds = (sign * value for value in _triple(row, "difference"))
        same = all(row.get(name) == baseline.get(name) for name in ("experiment", "metric"))
        unsteered = baseline.get("method") == "unsteered"
        if y == "mean" and same and unsteered and np.isclose(estimate, gap, atol=1e-6):
            value = (gap, min(bounds), max(bounds))
            return Evidence(value, value, "paired over prompts")
    low = gap - np.hypot(a[0] - a[1], b[2] - b[0])
    high = gap + np.hypot(a[2] - a[0], b[0] - b[1])
    value = (gap, float(low), float(high))
    note = "no interval" if np.isnan(low) else "intervals combined as independent"
    return Evidence(value, value, note)


def _monotone(points: pd.DataFrame, x: str, sign: int) -> Evidence | str:
    """Spearman's rank correlation; its interval lets each mean vary within its own interval."""
    points = points.dropna(subset=["ours"])
    if len(points) < FEWEST_POINTS:
        return f"{len(points)} values of {x}, {FEWEST_POINTS} needed"
    places = points["x"].astype(float).to_numpy()
    means = points["ours"].to_numpy(np.float64)
    if np.ptp(means) == 0:
        nothing = (0.0, np.nan, np.nan)
        return Evidence(nothing, nothing, f"all {len(points)} means are equal")
    rho = float(spearmanr(places, means).statistic)
    # A mean without an interval is one that all prompts share: it does not vary.
    spread = ((points["high"] - points["low"]) / 3.92).to_numpy(np.float64)
    low = high = np.nan
    if not np.isnan(spread).all():
        noise = np.random.Generator(np.random.Philox(key=0)).normal(size=(DRAWS, len(points)))
        drawn = rankdata(means + noise * np.nan_to_num(spread), axis=1)
        rhos = np.corrcoef(rankdata(places), drawn)[0, 1:]
        low, high = (float(value) for value in np.percentile(rhos, [2.5, 97.5]))
    value = (rho, low, high)
    margin = value if sign > 0 else (-rho, -high, -low)
    note = f"rho = {rho:.2f} over {len(points)} values of {x}"
    return Evidence(value, margin, note + ("; no interval" if np.isnan(low) else ""))


# --- what is reported ---


def _counts(table: pd.DataFrame, verdicts: tuple[str, ...]) -> dict[str, int]:
    counts = table["verdict"].value_counts()
    return {verdict: int(counts.get(verdict, 0)) for verdict in verdicts}


def _series(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The largest deviation of every series that was compared on its own model and data."""
    judged = table[table["deviation"].notna()]
    found = []
    keys = ["name", "model", "series", "layer", "y_name"]
    for values, part in judged.groupby(keys, sort=False):
        worst = part.loc[part["deviation"].abs().idxmax()]
        found.append(
            {
                **dict(zip(keys, values, strict=True)),
                "numbers": len(part),
                "matches": int((part["verdict"] == "matches").sum()),
                "max_deviation": float(abs(worst["deviation"])),
                "at": worst["x"],
            }
        )
    return found


def numbers_and_claims(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a comparison as they are read; the index says what is compared."""
    place = rows["x_name"] + " " + rows["x"].map(_short)
    what = rows["title"] + ": " + rows["series"]
    layer = rows["layer"].map(lambda layer: f", layer {layer}" if layer else "")
    claims = (rows["kind"] == "claim").to_numpy()
    found = {
        "compared": (what + layer).where(~claims, rows["title"]),
        "at": place.str.strip(),
        "value": rows["y_name"],
        "published": [
            _number(value) + (f" ({precision})" if precision else "")
            for value, precision in zip(rows["published"], rows["precision"], strict=True)
        ],
        "ours": [_estimate(row) for row in rows.to_dict("records")],
        **{name: rows[name] for name in ("model", "data", "source", "verdict", "reason")},
    }
    return pd.DataFrame(found).set_index(["compared", "at"])


def _report(table: pd.DataFrame, facts: dict) -> list[tuple[str, str, pd.DataFrame | None]]:
    """(heading, sentence, table) of each part of what is written to be read."""
    numbers, claims = (table[table["kind"] == kind] for kind in ("number", "claim"))
    counts = facts["numbers"], facts["claims"]
    told = _sentence("Published numbers", counts[0]) + " " + _sentence("Claims", counts[1])
    parts: list[tuple[str, str, pd.DataFrame | None]] = [("", told, None)]
    if len(claims):
        shown = numbers_and_claims(claims).reset_index("at", drop=True)
        shown = shown.drop(columns=["published", "data"]).rename(columns={"value": "test"})
        parts.append(("Claims of the paper, and ours", _sentence("Claims", counts[1]), shown))
    if facts["series"]:
        worst = pd.DataFrame(facts["series"]).rename(
            columns={"name": "comparison", "y_name": "value", "max_deviation": "largest"}
        )
        worst = worst.assign(at=worst["at"].map(_short)).set_index(["comparison", "model"])
        heading = "Largest deviations where model and data are the published ones"
        parts.append((heading, "", worst))
    for item, part in numbers.groupby("item", sort=False):
        told = _sentence("Numbers", _counts(part, NUMBER_VERDICTS))
        ours = part[part["ours"].notna()]
        if ours.empty:
            reasons = ", ".join(sorted(set(part["reason"].str.replace(r" at .*", "", regex=True))))
            parts.append((f"Numbers: {item}", f"{told} None of ours: {reasons}.", None))
        else:
            shown = numbers_and_claims(ours).drop(columns="source")
            parts.append((f"Numbers: {item}", told, shown))
    return parts


def _markdown(parts: list[tuple[str, str, pd.DataFrame | None]]) -> str:
    texts = ["# The paper's numbers and ours"]
    for heading, told, table in parts:
        texts += [f"## {heading}"] if heading else []
        texts += [told] if told else []
        texts += [markdown_table(table)] if table is not None else []
    return "\n\n".join(texts) + "\n"


def _latex(parts: list[tuple[str, str, pd.DataFrame | None]]) -> str:
    tables = [(heading, told, table) for heading, told, table in parts if table is not None]
    texts = [f"% {told}" for heading, told, table in parts if table is None]
    texts += [
        latex_table(table, caption=f"{heading}. {told}".rstrip(), label=f"tab:comparison-{number}")
        for number, (heading, told, table) in enumerate(tables, start=1)
    ]
    return "\n".join(texts)


def _sentence(subject: str, counts: dict[str, int]) -> str:
    found = "; ".join(f"{n} {name}" for name, n in counts.items() if n)
    return f"{subject}: {found or 'none'}."


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4g}"


def _estimate(row: dict) -> str:
    if np.isnan(row["low"]):
        return _number(row["ours"])
    return f"{row['ours']:.4g} [{row['low']:.4g}, {row['high']:.4g}]"


def _short(x: str) -> str:
    """An x value for reading: -0.04999999999999993 as -0.05."""
    return f"{float(x):.4g}" if "." in x and x.replace(".", "").strip("-").isdigit() else x
