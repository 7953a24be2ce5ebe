"""The ledger of measurements and what documents quote of it: `python -m benchmarks.ledger`.

`make bench` adds its results and writes the quotations anew. A quotation stands between
`<!-- ledger: NAME -->` and `<!-- end -->`.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from benchmarks.common import ROOT, Result

LEDGER = ROOT / "benchmarks" / "ledger.csv"
DOCUMENTS = (ROOT / "README.md", ROOT / "benchmarks" / "README.md")
COLUMNS = (
    "date",
    "commit",
    "machine",
    "item",
    "what",
    "value",
    "unit",
    "bound",
    "target",
)
QUOTED = re.compile(r"(<!-- ledger: (\w+) -->)(.*?)(<!-- end -->)", flags=re.DOTALL)


def add(results: list[Result], machine: dict[str, str], ledger: Path = LEDGER) -> None:
    """Add a run's results at the ledger's end. machine: as `common.machine` returns it."""
    from actadd.base.files import write_with

    rows = [
        {
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "commit": machine["commit"],
            "machine": ", ".join(machine[name] for name in ("device", "model", "dtype")),
            **{name: value for name, value in result.row().items() if name in COLUMNS},
            "value": float(f"{result.value:.4g}"),
        }
        for result in results
    ]
    table = pd.concat([read(ledger), pd.DataFrame(rows, columns=list(COLUMNS))])
    write_with(ledger, lambda path: table.to_csv(path, index=False))


def read(ledger: Path = LEDGER) -> pd.DataFrame:
    """All measurements, in the order in which they were made."""
    return pd.read_csv(ledger, dtype={"commit": str}) if ledger.exists() else pd.DataFrame()


def latest(table: pd.DataFrame) -> pd.DataFrame:
    """Of each item the rows of its last run."""
    run = ["date", "commit", "machine"]
    parts = [
        rows[(rows[run] == rows[run].iloc[-1]).all(axis=1)].drop_duplicates("what", keep="last")
        for _, rows in table.groupby("item", sort=False)
    ]
    return pd.concat(parts)


def whole_table(table: pd.DataFrame) -> str:
    """Every figure beside its target: a Markdown table for each machine."""
    lines = []
    for machine, rows in latest(table).groupby("machine", sort=False):
        lines += ["", f"{machine}:", "", "| item | what | measured | target | date, commit |"]
        lines.append("|---|---|---|---|---|")
        for row in rows.itertuples():
            target = "" if pd.isna(row.target) else f"{row.bound} {row.target:g}"
            value = "not measured" if pd.isna(row.value) else f"{row.value:.3g} {row.unit}"
            cells = (row.item, row.what, value, target, f"{row.date}, {row.commit}")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n\n"


def peers(table: pd.DataFrame) -> str:
    """The span of the speed-ups over other libraries that put a setting's samples in one batch."""
    rows = latest(table)
    rows = rows[(rows["item"] == "peers") & (rows["unit"] == "times") & rows["value"].notna()]
    values = rows.loc[~rows["what"].str.contains("a call"), "value"]
    return f"{values.min():.0f} to {values.max():.0f} times"


QUOTATIONS: dict[str, Callable[[pd.DataFrame], str]] = {"table": whole_table, "peers": peers}


def quoted(text: str, table: pd.DataFrame) -> str:
    """A document's text with its quotations as the ledger has them."""
    return QUOTED.sub(lambda found: found[1] + QUOTATIONS[found[2]](table) + found[4], text)


def write_documents() -> None:
    """Write all quotations anew."""
    from actadd.base.files import write_text

    for path in DOCUMENTS:
        write_text(path, quoted(path.read_text(encoding="utf-8"), read()))


if __name__ == "__main__":
    write_documents()
