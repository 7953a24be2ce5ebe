"""A steering operation from outside: alone and in a mixed batch, in each measure, and its order."""

import textwrap

import numpy as np
import pandas as pd
import pytest
import torch

from actadd import Addition, UserError, generate, steer
from actadd.base.kinds import load_plugin
from actadd.data import datasets
from actadd.engine.batching import left_pad
from actadd.engine.operations import OPERATIONS
from actadd.engine.structure import blocks, model_inputs
from actadd.measure.conditions import expand
from actadd.measure.measurement import measure
from builders.families import tiny as tiny_family
from builders.vectors import write_layer

PLUGIN = '''
    from dataclasses import dataclass

    from actadd.base.kinds import option
    from actadd.engine.operations import Strength, operation


    @dataclass(frozen=True, kw_only=True)
    class Options(Strength):
        coefficient: float = option(
            "Share of the projection that is removed.", 1, swept=True, column="float64"
        )
        sign: int = option("Which projections are removed: those of this sign, or 0 for all.", 0)


    @operation(Options)
    def remove(stream, vectors, options):
        """Take the vector's direction out of the stream."""
        unit = vectors / vectors.norm(dim=-1, keepdim=True)
        projection = (stream * unit).sum(-1, keepdim=True)
        if options.sign:
            projection = projection * (projection * options.sign > 0)
        return stream - options.coefficient * projection * unit
'''
PROMPTS = [[0, 5, 9, 20, 31], [0, 40, 3], [0, 7, 8, 9, 10, 11, 12]]
STEPS = 4
LAYER = 1


@pytest.fixture(scope="module")
def remove(tmp_path_factory):
    file = tmp_path_factory.mktemp("plugin") / "remove_direction.py"
    file.write_text(textwrap.dedent(PLUGIN))
    load_plugin(file)
    return OPERATIONS["remove"]


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request):
    return tiny_family(request.param)


def vector(model, rows: int = 2) -> torch.Tensor:
    width = model.config.get_text_config().hidden_size
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(2)).double()


def removed(read: torch.Tensor, column: int, row: torch.Tensor, share: float) -> None:
    """By hand: the direction taken out of one column of every text of a stream."""
    unit = row / row.norm()
    read[:, column] -= share * (read[:, column] @ unit)[:, None] * unit


def greedy_by_hand(model, prompt: list[int], changes) -> list[int]:
    """Greedy tokens of one unpadded text, read whole at each step, with a plain hook.

    changes(stream, tokens) changes the stream at `LAYER` in place.
    """
    ids = list(prompt)

    def hook(_module, args, kwargs):
        read = (args[0] if args else kwargs["hidden_states"]).clone()
        changes(read, len(ids))
        return ((read, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": read})

    handle = blocks(model)[LAYER].register_forward_pre_hook(hook, with_kwargs=True)
    try:
        with torch.no_grad():
            for _ in range(STEPS):
                logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits
                ids.append(int(logits[0, -1].argmax()))
    finally:
        handle.remove()
    return ids[len(prompt) :]


@pytest.mark.parametrize("use_cache", [True, False])
def test_each_row_of_a_mixed_batch_is_changed_as_if_alone(model, remove, use_cache):
    rows = vector(model)
    out = {"operation": "remove"}
    additions = [
        [Addition(rows, LAYER, 0.5, phase="every_step", **out)],
        [Addition(rows, LAYER, 2.0)],
        [Addition(rows, LAYER, 2.0), Addition(rows, LAYER, operation=remove)],
    ]

    def every_step(read, tokens):
        for column in range(tokens):
            if column < 2:
                removed(read, column, rows[column], 0.5)
            elif column >= len(PROMPTS[0]):
                removed(read, column, rows[1], 0.5)

    def added(read, tokens):
        read[:, :2] += 2 * rows

    def added_then_removed(read, tokens):
        added(read, tokens)
        removed(read, 0, rows[0], 1)
        removed(read, 1, rows[1], 1)

    expected = [
        greedy_by_hand(model, prompt, change)
        for prompt, change in zip(PROMPTS, (every_step, added, added_then_removed), strict=True)
    ]
    ids, mask = left_pad(PROMPTS, 1)
    options = {"additions": additions, "max_new_tokens": STEPS, "use_cache": use_cache}
    assert generate(model, ids, mask, **options).tolist() == expected
    twice = generate(model, ids, mask, samples=2, **options).tolist()
    assert twice == [row for row in expected for _ in range(2)]


def stream_read(model, additions, prompt: list[int]) -> torch.Tensor:
    """What the block of `LAYER` reads of one prompt, [tokens, d_model]."""
    ids, mask = left_pad([prompt])
    seen = []
    with steer(model, additions, mask):
        # Behind the library's hook.
        handle = blocks(model)[LAYER].register_forward_pre_hook(
            lambda _, args, kwargs: seen.append(args[0] if args else kwargs["hidden_states"]),
            with_kwargs=True,
        )
        model(**model_inputs(model, ids, mask))
        handle.remove()
    return seen[0][0]


def test_operations_act_in_the_order_in_which_they_are_written(model, remove):
    rows = vector(model)
    add, out = Addition(rows, LAYER, 2.0), Addition(rows, LAYER, operation="remove")
    added_first, removed_first, removed_only = (
        stream_read(model, additions, PROMPTS[0])[:2]
        for additions in ([add, out], [out, add], [out])
    )
    assert torch.allclose(added_first, removed_only, atol=1e-12)
    assert torch.allclose(removed_first, removed_only + 2 * rows, atol=1e-12)


def test_a_row_without_a_direction_is_unchanged_but_traced(model, remove):
    rows = vector(model)
    rows[0] = 0
    ids, mask = left_pad(PROMPTS[:1])
    trace = []
    with steer(model, [Addition(rows, LAYER, operation="remove")], mask, trace), torch.no_grad():
        logits = model(**model_inputs(model, ids, mask)).logits
    assert logits.isfinite().all()
    assert [(entry.position, entry.norm > 0) for entry in trace] == [(0, False), (1, True)]


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"operation": "removal"}, "'removal' is unknown; write one of .*add, .*remove"),
        ({"operation": "remove", "options": {"share": 1}}, "no option 'share'; .*sign"),
    ],
)
def test_unknown_operations_and_options_are_named(model, remove, options, pattern):
    with pytest.raises(UserError, match=pattern):
        Addition(vector(model), LAYER, 1.0, **options)


def test_conditions_take_its_defaults_and_record_what_is_not_usual(remove):
    addition = {"vector": "v", "layer": [1, 2], "operation": "remove", "sign": -1}
    both = expand({"out": {"method": "actadd", "additions": [addition]}})
    assert [condition.additions[0].coefficient for condition in both] == [1, 1]
    record = both[0].additions[0].record()
    assert (record["operation"], record["sign"], record["coefficient"]) == ("remove", -1, 1)
    added = {**addition, "operation": "add", "coefficient": 1}
    plain = expand({"in": {"method": "actadd", "additions": [added]}})
    assert "operation" not in plain[0].additions[0].record()


@pytest.mark.parametrize("measured", ["completions", "logprobs", "divergence"])
def test_it_is_measured_from_conditions_to_the_table(remove, prepared, tmp_path, measured):
    texts = {"name": "t", "title": "t", "texts": ["The bride went home", "We said that the sea"]}
    datasets.prepare(texts, None, tmp_path / "t.parquet")
    rows = np.random.default_rng(0).standard_normal((2, 32)).astype(np.float32)
    file = write_layer(tmp_path, "v", LAYER, 100 * rows)
    addition = {"vector": "v", "layer": LAYER, "operation": "remove", "coefficient": [0, 1]}
    spec = {
        **{"name": "e", "measure": measured, "model": "tiny", "prompts": {"split": "all"}},
        **{"dtype": "float32", "compute": {"device": "cpu", "threads": 1}, "batch_rows": 8},
        **{"samples": 2, "max_new_tokens": 4, "sampling": {"temperature": 0}, "seed": 0},
        "conditions": {
            "unsteered": {"method": "unsteered"},
            "removed": {"method": "actadd", "additions": [addition]},
        },
    }

    def table(**changes) -> pd.DataFrame:
        measure(
            {**spec, **changes},
            model_dir=prepared,
            texts_file=tmp_path / "t.parquet",
            vector_files={"v": file},
            choice=None,
            store=tmp_path / "store",
            output=tmp_path / "o.parquet",
        )
        return pd.read_parquet(tmp_path / "o.parquet")

    cells = table()
    assert cells["failed"].isna().all()
    column = {"completions": "completion", "logprobs": "logprob", "divergence": "kl"}[measured]
    unsteered, nothing, all_of_it = (
        cells[cells["coefficient"].fillna(-1) == coefficient][column].tolist()
        for coefficient in (-1, 0, 1)
    )
    assert nothing == unsteered
    assert all_of_it != unsteered or measured == "completions"
    assert cells[cells["condition"] == "removed"]["additions"].str.contains("remove").all()
    # The same vector, layer and strength by another operation is another cell.
    added = {**addition, "operation": "add"}
    conditions = {"removed": {"method": "actadd", "additions": [added]}}
    keys = set(table(conditions=conditions)["cell"])
    assert not keys & set(cells["cell"])
