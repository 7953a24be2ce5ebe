"""The comparison as a document: sections with a sentence and a table each."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from actadd.results.comparison import numbers
from actadd.results.comparison.rows import count_verdicts
from actadd.results.markup import latex_table, markdown_table


class Section(NamedTuple):
    """A part of the document; the first one has no heading."""

    heading: str
    sentence: str
    table: pd.DataFrame | None


def numbers_and_claims(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a comparison for reading, indexed by what is compared and at which x."""
    position = rows["x_name"] + " " + rows["x"].map(_short)
    series = rows["title"] + ": " + rows["series"]
    layer = rows["layer"].map(lambda layer: f", layer {layer}" if layer else "")
    claims = (rows["kind"] == "claim").to_numpy()
    columns = {
        "compared": (series + layer).where(~claims, rows["title"]),
        "at": position.str.strip(),
        "value": rows["y_name"],
        "published": [
            _number(value) + (f" ({precision})" if precision else "")
            for value, precision in zip(rows["published"], rows["precision"], strict=True)
        ],
        "ours": [_estimate(row) for row in rows.to_dict("records")],
        **{name: rows[name] for name in ("model", "data", "source", "verdict", "reason")},
    }
    return pd.DataFrame(columns).set_index(["compared", "at"])


def sections(table: pd.DataFrame, facts: dict[str, Any]) -> list[Section]:
    """The document's sections. facts: what `compare` returns."""
    number_rows, claim_rows = (table[table["kind"] == kind] for kind in ("number", "claim"))
    counts = _sentence("Claims", facts["claims"])
    parts = [Section("", f"{_sentence('Published numbers', facts['numbers'])} {counts}", None)]
    if len(claim_rows):
        claims = numbers_and_claims(claim_rows).reset_index("at", drop=True)
        claims = claims.drop(columns=["published", "data"]).rename(columns={"value": "test"})
        parts.append(Section("Claims of the paper, and ours", counts, claims))
    if facts["series"]:
        largest = pd.DataFrame(facts["series"]).rename(
            columns={"name": "comparison", "y_name": "value", "max_deviation": "largest"}
        )
        largest = largest.assign(at=largest["at"].map(_short)).set_index(["comparison", "model"])
        heading = "Largest deviations where model and data are the published ones"
        parts.append(Section(heading, "", largest))
    for item, part in number_rows.groupby("item", sort=False):
        heading = f"Numbers: {item}"
        sentence = _sentence("Numbers", count_verdicts(part, numbers.VERDICTS))
        ours = part[part["ours"].notna()]
        if ours.empty:
            reasons = ", ".join(sorted(set(part["reason"].str.replace(r" at .*", "", regex=True))))
            parts.append(Section(heading, f"{sentence} None of ours: {reasons}.", None))
        else:
            rows = numbers_and_claims(ours).drop(columns="source")
            parts.append(Section(heading, sentence, rows))
    return parts


def markdown(parts: list[Section]) -> str:
    texts = ["# The paper's numbers and ours"]
    for heading, sentence, table in parts:
        texts += [f"## {heading}"] if heading else []
        texts += [sentence] if sentence else []
        texts += [markdown_table(table)] if table is not None else []
    return "\n\n".join(texts) + "\n"


def latex(parts: list[Section]) -> str:
    """The tables in LaTeX; sentences of sections without a table stand before them as comments."""
    texts = [f"% {part.sentence}" for part in parts if part.table is None]
    tables = ((heading, sentence, table) for heading, sentence, table in parts if table is not None)
    texts += [
        latex_table(
            table, caption=f"{heading}. {sentence}".rstrip(), label=f"tab:comparison-{number}"
        )
        for number, (heading, sentence, table) in enumerate(tables, start=1)
    ]
    return "\n".join(texts)


def _sentence(subject: str, counts: dict[str, int]) -> str:
    verdicts = "; ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    return f"{subject}: {verdicts or 'none'}."


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4g}"


def _estimate(row: dict[Any, Any]) -> str:
    if np.isnan(row["low"]):
        return _number(row["ours"])
    return f"{row['ours']:.4g} [{row['low']:.4g}, {row['high']:.4g}]"


def _short(x: str) -> str:
    """An x value for reading: -0.04999999999999993 as -0.05."""
    return f"{float(x):.4g}" if "." in x and x.replace(".", "").strip("-").isdigit() else x
