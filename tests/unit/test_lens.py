"""Reading vectors through the unembedding, and their cosines, against plain arithmetic."""

import numpy as np
import pandas as pd
import pytest
import torch

from actadd.base.errors import UserError
from actadd.engine.tokens import Tokens
from actadd.models import loading
from actadd.vectors import logit_lens
from builders import families, tiny
from builders.vectors import write_layer

SPEC = {
    "name": "reading",
    "model": "tiny",
    "vectors": ["token", "other"],
    "top": 5,
    "dtype": "float32",
    "compute": {"device": "cpu", "threads": 1},
}
RAISED = 300

# family -> (the last norm, the modules from there to the logits), written out by hand.
FINAL = {
    "gpt2": ("transformer.ln_f", "lm_head"),
    "gptj": ("transformer.ln_f", "lm_head"),
    "gpt_neox": ("gpt_neox.final_layer_norm", "lm_head"),
    "opt": ("model.decoder.final_layer_norm", "model.decoder.project_out lm_head"),
    "llama": ("model.norm", "lm_head"),
    "mistral": ("model.norm", "lm_head"),
    "qwen2": ("model.norm", "lm_head"),
    "qwen3": ("model.norm", "lm_head"),
    "gemma2": ("model.norm", "lm_head"),
    "gemma3": ("model.norm", "lm_head"),
    "phi": ("model.final_layernorm", "lm_head"),
    "bloom": ("transformer.ln_f", "lm_head"),
    "falcon": ("transformer.ln_f", "lm_head"),
}


@pytest.fixture(scope="module")
def read(prepared, tmp_path_factory):
    """(readings, cosines) of a vector that is one token's unembedding row, and of a longer one."""
    folder = tmp_path_factory.mktemp("vectors")
    model = loading.load(prepared, dtype="float32", device="cpu", threads=1)
    row = model.lm_head.weight[RAISED].detach().numpy()
    row = 0.7 * (row - row.mean())
    rng = np.random.default_rng(0)
    files = {}
    for layer in range(tiny.LAYERS):
        scaled = np.float32(layer + 1)
        rows = np.stack([0 * row, scaled * row, -row / 2])
        files["token"] = write_layer(folder, "token", layer, rows)
        noise = rng.normal(size=(4, 32)).astype(np.float32)
        files["other"] = write_layer(folder, "other", layer, noise)
    files["unasked"] = write_layer(folder, "unasked", 0, np.ones((2, 32), np.float32))
    table, cosines = folder / "table.parquet", folder / "cosines.parquet"
    logit_lens.read_vectors(
        SPEC, model_dir=prepared, vector_files=files, table=table, cosines=cosines
    )
    return pd.read_parquet(table), pd.read_parquet(cosines)


def test_a_tokens_own_direction_raises_that_token_and_its_opposite_lowers_it(read, prepared):
    table, _ = read
    rows = table[(table["vector"] == "token") & (table["rank"] == 0)]
    first = rows.set_index(["position", "direction", "layer"])
    for layer in range(tiny.LAYERS):
        assert first.loc[(1, "up", layer), "token_id"] == RAISED
        assert first.loc[(2, "down", layer), "token_id"] == RAISED
        up, down = (first.loc[(*at, layer), "logit"] for at in ((1, "up"), (2, "down")))
        assert up == pytest.approx(-down, rel=1e-3), "a direction is read, not a size"
    assert (rows.loc[rows["token_id"] == RAISED, "token"] == Tokens(prepared).token(RAISED)).all()


def test_ranks_are_in_order_and_a_zero_row_is_not_read(read):
    table, _ = read
    assert set(table["vector"]) == {"token", "other"} and set(table["model"]) == {"tiny"}
    assert set(table.loc[table["vector"] == "token", "position"]) == {1, 2}
    assert set(table.loc[table["vector"] == "other", "position"]) == {0, 1, 2, 3}
    for (*_, direction), part in table.groupby(["vector", "layer", "position", "direction"]):
        assert list(part["rank"]) == list(range(SPEC["top"]))
        falling = part["logit"].diff().dropna() * (1 if direction == "up" else -1)
        assert (falling <= 0).all()


@pytest.mark.parametrize("family", families.FAMILIES)
def test_every_family_is_read_as_by_hand(family):
    model = families.tiny(family)
    norm, after = model.get_submodule(FINAL[family][0]), FINAL[family][1].split()
    torch.manual_seed(1)
    with torch.no_grad():
        for module in (norm, model.lm_head):
            if getattr(module, "bias", None) is not None:
                module.bias.normal_()
        norm.weight.normal_(1, 0.3)
        rows = torch.randn(4, 32, dtype=torch.float64)
        centred = (
            rows - rows.mean(-1, keepdim=True) if isinstance(norm, torch.nn.LayerNorm) else rows
        )
        expected = centred / centred.pow(2).mean(-1, keepdim=True).sqrt()
        expected = expected * (norm.weight + family.startswith("gemma"))
        for name in after:
            expected = expected @ model.get_submodule(name).weight.T
    result = logit_lens.readout(model)(rows)
    assert result.dtype == torch.float32
    assert torch.allclose(result, expected.float(), atol=1e-3)
    assert not any(module._forward_hooks for module in model.modules()), "hooks are removed"


def test_cosines_by_hand():
    one = {0: np.array([[0, 0], [1.0, 0]]), 1: np.array([[0, 0], [1.0, 1]])}
    two = {0: np.array([[9, 9], [0, 2.0], [0, 0]]), 1: np.array([[9, 9], [2.0, 2], [0, 0]])}
    zero = {0: np.zeros((2, 2))}
    last = {0: np.array([[3.0, 0]])}
    table = logit_lens.cosine_table({"one": one, "two": two, "zero": zero, "last": last})
    key = ["kind", "vector", "other", "layer", "other_layer"]
    cosine = table.set_index(key)["cosine"]
    compared = table.set_index(key)["compared"]
    assert cosine["layers", "one", "one", 0, 1] == pytest.approx(0.5**0.5)
    assert cosine["vectors", "one", "two", 0, 0] == pytest.approx(0)
    assert cosine["vectors", "one", "two", 1, 1] == pytest.approx(1)
    assert compared["vectors", "one", "two", 1, 1] == "mean"
    assert compared["vectors", "one", "last", 0, 0] == "rows"
    assert cosine["vectors", "one", "last", 0, 0] == pytest.approx(1)
    assert np.isnan(cosine["vectors", "one", "zero", 0, 0])
    assert ("vectors", "one", "zero", 1, 1) not in cosine.index


def test_cosines_are_symmetric_with_ones_on_the_diagonal(read):
    _, table = read
    columns = ["kind", "vector", "other", "layer", "other_layer"]
    diagonal = table[(table["vector"] == table["other"]) & (table["layer"] == table["other_layer"])]
    assert len(diagonal) and np.allclose(diagonal["cosine"], 1)
    turned = table.rename(
        columns={
            "vector": "other",
            "other": "vector",
            "layer": "other_layer",
            "other_layer": "layer",
        }
    )
    both = table.merge(turned, on=columns, suffixes=("", "_turned"))
    assert len(both) == len(table) and np.allclose(both["cosine"], both["cosine_turned"])
    assert table["cosine"].abs().max() <= 1 + 1e-9


def test_mistakes_are_named(prepared, tmp_path):
    def attempt(**changes):
        logit_lens.read_vectors(
            {**SPEC, "vectors": ["a"], **changes},
            model_dir=prepared,
            vector_files={"a": write_layer(tmp_path, "a", 0, np.ones((2, 8), np.float32))},
            table=tmp_path / "t.parquet",
            cosines=tmp_path / "c.parquet",
        )

    with pytest.raises(UserError, match=r"lenses\.reading\.vectors: no vector 'b' .* there are a"):
        attempt(vectors=["b"])
    with pytest.raises(UserError, match="a has width 8, the model tiny 32"):
        attempt()
