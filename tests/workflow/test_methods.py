"""Methods compared at equal damage, from config to figure and table."""

import numpy as np
import pandas as pd
import pytest

from actadd.base.files import read_json
from builders import methods

RESULTS = "results/equal_damage/tiny/c"


@pytest.mark.workflow
def test_methods_are_compared_from_config_to_table(space):
    (space.folder / "questions.csv").write_text(methods.QUESTIONS)
    space.configure(methods.config())
    space.run("--", "fig_c", "table_c")

    folder = space.folder / RESULTS
    curves = pd.read_parquet(folder / "curves.parquet")
    readings = pd.read_parquet(folder / "readings.parquet")
    chosen = read_json(space.folder / "results/choices/tiny/c.json")["add"]
    assert set(curves[curves["condition"] == "add"]["layer"]) == {chosen["layer"]}
    settings = curves.groupby("condition")["strength"].nunique().to_dict()
    assert settings["add"] == settings["random-love-hate"] == 3 and settings["prompting"] == 0
    assert curves[curves["role"] == "control"]["draws"].eq(2).all()
    assert set(curves["damage"]) == {"disfluency", "divergence", "knowledge"}
    divergence = curves[curves["damage"] == "divergence"]
    # What is not changed directly diverges all the same, the more the stronger.
    assert divergence["cost"].gt(0).all()

    # A reading is the summary's numbers, interpolated.
    summary = pd.read_parquet(space.folder / "results/summaries/tiny/c.parquet")
    summary = summary[(summary["metric"] == "mood.probability") & (summary["condition"] == "add")]
    add = curves[(curves["condition"] == "add") & (curves["damage"] == "divergence")]
    assert add["effect"].to_numpy() == pytest.approx(summary["difference"].to_numpy())
    first = readings[(readings["condition"] == "add") & (readings["at"] == 0.01)].iloc[0]
    share = 0.01 / add["cost"].iloc[0]
    assert share < 1 and first["strength"] == pytest.approx(2 * share)
    assert first["effect"] == pytest.approx(share * add["effect"].iloc[0])
    never = readings[readings["at"] == 1000]
    assert never["effect"].isna().all() and never["reason"].eq("never reached").all()
    prompts = readings[(readings["reference"] == "prompting") & (readings["role"] == "method")]
    read = prompts[prompts["reason"] == ""]
    assert len(read) and read["minus_point"].notna().all()

    table = pd.read_csv(space.folder / "results/tables/c.csv")
    assert "never reached" in set(table["effect"])
    caption = (space.folder / "results/tables/c.rst").read_text()
    assert "No shuffled control" in caption and "judges its own disfluency" in caption
    assert (space.folder / "results/figures/c.png").stat().st_size > 10_000

    before = {path.name: path.read_bytes() for path in folder.glob("*.csv")}
    space.run("--forcerun", "equal_damage", "--", "fig_c", "table_c")
    assert before == {path.name: path.read_bytes() for path in folder.glob("*.csv")}
    assert np.isfinite(curves["cost"]).all()
