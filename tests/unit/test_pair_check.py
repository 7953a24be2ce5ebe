"""What is known of a contrast pair before sampling, and how far the command line trusts it."""

import numpy as np
import pandas as pd
import pytest

from actadd import UserError
from actadd.base.files import read_json
from actadd.cli import pair as command
from actadd.config.checks import checked
from actadd.engine.additions import Addition
from actadd.engine.logprobs import token_logprobs
from actadd.engine.tokens import Tokens
from actadd.models.loading import load
from actadd.vectors.activations import contrast_ids, contrast_streams
from actadd.vectors.logit_lens import readout
from actadd.vectors.pair_check import OPENINGS, PREDICTORS, PairCheck, check_pairs
from builders import tiny
from builders.commands import actadd
from builders.configs import changed

LAYER, DOSE = 1, 2.0
PAIR = {"kind": "pair", "positive": "the wedding", "negative": "a ship"}


@pytest.fixture(scope="module")
def model(prepared):
    return load(prepared, dtype="float32", device="cpu", threads=1)


@pytest.fixture(scope="module")
def tokens(prepared):
    return Tokens(prepared)


@pytest.fixture(scope="module")
def check(model, tokens):
    return PairCheck(model, tokens, LAYER, DOSE)


def test_the_first_token_is_that_of_steered_openings(check, model, tokens):
    """By the engine's log-probabilities of given texts, token by token."""
    found = check.examine(PAIR)
    streams = contrast_streams(model, contrast_ids(PAIR, tokens))
    vector = (streams["0.positive"] - streams["0.negative"])[LAYER]
    norms = vector.double().norm(dim=1)
    reference = check.reference[1:].astype(np.float64)
    stream = float(np.median(np.linalg.norm(reference, axis=1)))
    usual = float(norms[norms > 0].log().mean().exp())
    assert found["norm"] == pytest.approx(usual / stream, rel=1e-4)
    first = tokens.pieces(f" {PAIR['positive']}")[0]
    addition = Addition(vector, LAYER, DOSE * stream / usual, "front")
    gains = []
    for text in OPENINGS:
        ids = [tokens.bos_id, *tokens.pieces(text)]
        steered, unsteered = (
            token_logprobs(model, [[*ids, first]], [additions], [len(ids)])[0][0][-1]
            for additions in ([addition], [])
        )
        gains.append(float(steered - unsteered))
    assert found["first_token"] == pytest.approx(np.mean(gains), abs=1e-4)
    assert found["divergence"] > 0


def test_the_lens_reads_the_last_row(check, model, tokens):
    found = check.examine(PAIR)
    streams = contrast_streams(model, contrast_ids(PAIR, tokens))
    row = (streams["0.positive"] - streams["0.negative"])[LAYER, -1:]
    logits = readout(model)(row)[0]
    scores = ((logits - logits.mean()) / logits.std(correction=0)).numpy()
    assert found["sharpness"] == pytest.approx(scores.max(), rel=1e-4)
    assert found["tokens"][0] == tokens.token(int(logits.argmax()))
    assert -1 <= found["agreement"] <= 1 and -1 <= found["similarity"] <= 1


def test_a_pair_that_is_exchanged_is_as_far_apart(check):
    turned = {**PAIR, "positive": PAIR["negative"], "negative": PAIR["positive"]}
    one, other = check.examine(PAIR), check.examine(turned)
    for name in ("norm", "similarity", "agreement", "d_prime"):
        assert one[name] == pytest.approx(other[name], rel=1e-4), name
    assert one["first_token"] != pytest.approx(other["first_token"])


def test_what_often_goes_wrong_is_said(check, tokens):
    longer = {**PAIR, "positive": "the wedding guests"}
    assert any("tokens" in line and "padded" in line for line in check.examine(longer)["warnings"])
    spaced = {**PAIR, "positive": " the wedding"}
    assert any("space" in line for line in check.examine(spaced)["warnings"])
    alike = {**PAIR, "positive": "the wedding", "negative": "the ship"}
    assert any("begin with" in line for line in check.examine(alike)["warnings"])


def test_a_vector_longer_than_the_openings_has_no_first_token(check):
    count = min(map(len, check.openings)) + 1
    long = {**PAIR, "positive": {"token_ids": [40] * count}}
    found = check.examine(long)
    assert np.isnan(found["first_token"]) and np.isfinite(found["norm"])


def test_a_layer_that_is_not_there_is_refused(model, tokens):
    with pytest.raises(UserError, match="layer 9 does not exist"):
        PairCheck(model, tokens, 9, DOSE)


def test_pairs_are_tabulated(prepared, tmp_path, check):
    spec = {"name": "c", "layer": LAYER, "dose": DOSE, "dtype": "float32"}
    spec |= {"compute": {"device": "cpu", "threads": 1}, "vectors": [{"name": "v", **PAIR}]}
    check_pairs(spec, model_dir=prepared, output=tmp_path / "c.parquet")
    [row] = pd.read_parquet(tmp_path / "c.parquet").to_dict("records")
    found = check.examine(PAIR)
    assert row["vector"] == "v" and row["model"] == read_json(prepared / "model.json")["model"]
    assert {name: row[name] for name in PREDICTORS} == {name: found[name] for name in PREDICTORS}


def test_a_display_shows_pairs_that_were_examined():
    """The check has to have the vectors of the experiment, on its models."""
    entry = {"kind": "pairs", "title": "t", "experiment": "topic", "pair_check": "few"}
    config = changed("figures.f", {**entry, "metrics": ["pirate-words.any"]})
    few = {"vectors": ["pirates"], "models": ["stories15m"], "layer": 2, "dose": 1}
    config["pair_checks"] = {"few": few}
    with pytest.raises(UserError, match=r"figures\.f\.pair_check: .*examine 'pirates-draws'"):
        checked(config, tiny.ROOT)
    config["figures"]["f"]["relative_to"] = "pirates-draws"
    with pytest.raises(UserError, match=r"figures\.f\.pair_check: few is not made on smollm2-135m"):
        checked(config, tiny.ROOT)
    few["models"] = ["smollm2-135m"]
    checked(config, tiny.ROOT)


# --- the command line -----------------------------------------------------------------------------


def measured(folder, model="tiny", count=40, noise=0.1):
    """A study in which the first token foretells the effect, and the norm does not."""
    draw = np.random.default_rng(0)
    table = pd.DataFrame({name: draw.standard_normal(count) for name in PREDICTORS})
    effect = table["first_token"] + noise * draw.standard_normal(count)
    table = table.assign(model=model, pair=range(count), effect=effect, layer=LAYER, dose=DOSE)
    path = folder / "tables" / f"{command.STUDY}.csv"
    path.parent.mkdir(parents=True)
    table.to_csv(path, index=False)
    return path


def test_the_verdict_is_of_the_best_predictor_and_its_interval(tmp_path):
    measured(tmp_path)
    study = command.study(tmp_path, "tiny")
    rho, low, high = study.foretells("first_token")
    assert low < rho < high and rho > 0.9 and abs(study.foretells("norm")[0]) < 0.5
    found = dict.fromkeys(PREDICTORS, 0.0) | {"model": "tiny", "first_token": 99.0}
    said = command.verdict(found, study)
    assert "first_token" in said and "100%" in said and f"{rho:+.2f} [{low:+.2f}" in said
    assert "not on this model" in command.verdict({**found, "model": "other"}, study)
    # Its being the best of all is accounted for: what is left on other pairs, and by chance.
    best = study.best()
    assert (best.name, best.of) == ("first_token", len(PREDICTORS))
    assert f"{best.left_out[0]:+.2f} on the pairs left out" in said and "p = 0.0005" in said


def test_the_best_of_many_that_foretell_nothing_is_not_believed(tmp_path):
    """One of them has an interval without 0, as one of many does."""
    path = measured(tmp_path)
    table = pd.read_csv(path)
    table["effect"] = np.random.default_rng(4).permutation(table["effect"])
    table.to_csv(path, index=False)
    study = command.study(tmp_path, "tiny")
    best = study.best()
    assert abs(best.apparent[0]) > 0.2 and best.p > 0.05
    found = dict.fromkeys(PREDICTORS, 0.0) | {"model": "tiny"}
    assert "Only sampling tells" in command.verdict(found, study)


def test_where_nothing_foretells_the_verdict_says_so(tmp_path):
    path = measured(tmp_path, count=6)
    table = pd.read_csv(path)
    table["effect"] = [0, 1, 0, 1, 0, 1]
    table = table.assign(**{name: [0, 0, 1, 1, 2, 2] for name in PREDICTORS})
    table.to_csv(path, index=False)
    found = dict.fromkeys(PREDICTORS, 0.0) | {"model": "tiny"}
    assert "Only sampling tells" in command.verdict(found, command.study(tmp_path, "tiny"))


def test_a_table_of_something_else_is_refused(tmp_path):
    measured(tmp_path).write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"not a table of measured pairs.*table_is_my_pair_good"):
        command.study(tmp_path, "tiny")


def test_the_study_that_is_shipped_has_at_least_forty_pairs(tmp_path):
    study = command.study(tmp_path, "stories15m")
    assert study.file == command.SHIPPED and study.model == "stories15m"
    assert len(study.pairs) >= 40 and study.pairs["effect"].std() > 0


def test_the_command_answers_with_all_predictors(prepared, tmp_path):
    measured(tmp_path)
    arguments = ("--model", str(prepared), "--results", str(tmp_path))
    said = actadd("pair", "the wedding", "a ship", *arguments)
    lines = {line.split("\t")[0]: line.split("\t") for line in said.splitlines()}
    assert {*PREDICTORS} <= {*lines} and "points to" in said and "layer 1" in said
    assert len(lines["norm"]) == 5
