"""The table of families in the documentation, and the sweep that makes it."""

import pytest
import transformers

from builders.tiny import ROOT
from tools import sweep

PAGE = ROOT / "docs/reference/families.md"


def rows() -> dict[str, list[str]]:
    """Family -> the cells behind it."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells[1:]}


def test_the_table_is_of_this_version_and_has_every_family():
    assert f"transformers {transformers.__version__}," in PAGE.read_text()
    assert list(rows()) == sweep.all_families()


def test_no_family_is_silently_wrong():
    for family, (outcome, dtype, *tries, why) in rows().items():
        assert outcome in ("right", "refused", "not built"), family
        assert "wrong" not in tries, family
        assert why or outcome == "right", "a sentence says why"
        if outcome == "right":
            assert dtype in ("float64", "float32")
            assert tries[sweep.TRIES.index("draws")] == "right"


@pytest.mark.nightly
def test_every_family_is_what_the_table_says():
    from builders import families  # noqa: F401  (its softmax knows float64)

    for family, (outcome, *_) in rows().items():
        assert sweep.swept(family)["outcome"] == outcome, family
