"""PREADD: two contexts and one continuation, against each context read whole and alone."""

from dataclasses import asdict

import pandas as pd
import pytest
import torch

from actadd.data import datasets
from actadd.engine.batching import left_pad
from actadd.engine.decoding.generation import generate
from actadd.engine.decoding.sampling import FINISHED, Sampling, draws
from actadd.engine.tokens import Tokens
from actadd.measure.experiment import Experiment
from actadd.measure.measurement import measure
from actadd.models import loading
from builders import reference, tiny
from builders.families import tiny as tiny_family

STEPS = 7
SAMPLING = Sampling(temperature=0.9, top_p=0.8, frequency_penalty=0.7)
PROMPTS = [[0, 5, 17, 33, 2, 64], [0, 8, 9], [0, 40, 41, 42, 43, 44, 45, 46, 47]]
# Prefixes of different lengths, the first without tokens of its prompt, the others with some.
PREFIXES = [[70, 71, 72, 73], [8, 8, 9, 90], [21]]


@pytest.fixture(scope="module", params=["gpt2", "llama", "bloom"])
def model(request):
    return tiny_family(request.param)


@pytest.fixture(scope="module")
def uniforms():
    return torch.rand(len(PROMPTS), STEPS, dtype=torch.float64, generator=torch.manual_seed(5))


def others() -> list[list[int]]:
    return [
        [prompt[0], *prefix, *prompt[1:]] for prompt, prefix in zip(PROMPTS, PREFIXES, strict=True)
    ]


def run(model, uniforms, contrast, rows=slice(None), **options):
    contexts = PROMPTS[rows] + (others()[rows] if contrast is not None else [])
    ids, mask = left_pad(contexts, pad_id=1)
    sampling = options.pop("sampling", SAMPLING)
    return generate(
        model,
        ids,
        mask,
        contrast=contrast,
        sampling=sampling,
        uniforms=uniforms[rows],
        max_new_tokens=STEPS,
        **options,
    ).tolist()


def expected(model, uniforms, contrast, sampling=SAMPLING):
    return [
        reference.contrasted(model, prompt, other, contrast, row.tolist(), asdict(sampling))
        for prompt, other, row in zip(PROMPTS, others(), uniforms, strict=True)
    ]


@pytest.mark.parametrize("contrast", [-2.5, 0.6, 2.0])
def test_it_is_both_contexts_alone_combined(model, uniforms, contrast):
    result = run(model, uniforms, contrast)
    assert result == expected(model, uniforms, contrast)
    assert result != run(model, uniforms, None), "the contrast should change something"


def test_completions_without_a_cache(model, uniforms):
    result = run(model, uniforms, -1.5, use_cache=False)
    assert result == expected(model, uniforms, -1.5)


def test_strength_zero_is_no_contrast_and_one_the_other_context(model, uniforms):
    assert run(model, uniforms, 0.0) == run(model, uniforms, None)
    sampling = Sampling(temperature=0.9, top_p=0.8, frequency_penalty=0)
    ids, mask = left_pad(others(), pad_id=1)
    swapped = generate(
        model, ids, mask, sampling=sampling, uniforms=uniforms, max_new_tokens=STEPS
    ).tolist()
    assert run(model, uniforms, 1.0, sampling=sampling) == swapped


def test_a_padded_batch_equals_each_row_alone(model, uniforms):
    """Here rows are padded to the longest contrasted context, alone to their own."""
    together = run(model, uniforms, -2.0)
    for row in range(len(PROMPTS)):
        assert run(model, uniforms, -2.0, rows=slice(row, row + 1)) == [together[row]]


def test_the_penalty_counts_the_own_context_only(model, uniforms):
    sampling = Sampling(temperature=1.0, top_p=0.9, frequency_penalty=50.0)
    result = run(model, uniforms, 0.4, sampling=sampling)
    assert result == expected(model, uniforms, 0.4, sampling)
    for prompt, row in zip(PROMPTS, result, strict=True):
        assert not set(row) & set(prompt) and len(set(row)) == len(row)


def test_a_prefix_full_of_the_likeliest_token_does_not_penalise_it(model):
    """The own context's likeliest token stands in the prefix many times: it is drawn all the same.

    With strength 0 the contrasted logits do not count, so only its counting could matter.
    """
    prompt = PROMPTS[0]
    likeliest = int(
        reference.steered_logits(model, None, prompt, [])
        .index_fill(0, torch.tensor(prompt), -torch.inf)
        .argmax()
    )
    ids, mask = left_pad([prompt, [prompt[0], *[likeliest] * 5, *prompt[1:]]], pad_id=1)
    result = generate(
        model,
        ids,
        mask,
        contrast=0.0,
        sampling=Sampling(temperature=1.0, top_p=0.0, frequency_penalty=50.0),
        uniforms=torch.zeros(1, 1, dtype=torch.float64),
        max_new_tokens=1,
    )
    assert result.tolist() == [[likeliest]]


def test_a_stopped_row_ends_and_the_others_go_on(model, uniforms):
    whole = run(model, uniforms, -2.0)
    stop = whole[0][2]

    def cut(row):
        end = row.index(stop) if stop in row else STEPS
        return row[: end + 1] + [FINISHED] * (STEPS - end - 1)

    result = run(model, uniforms, -2.0, stop_ids=[stop])
    expected = [cut(row) for row in whole]
    assert any(FINISHED not in row for row in expected), "some row should go on"
    assert result == expected
    alone = run(model, uniforms, -2.0, rows=slice(0, 1), stop_ids=[stop])
    ended = [token for token in expected[0] if token != FINISHED]
    assert alone == [ended], "no step is made once all rows have ended"


# --- as an experiment's condition ---

PREFIX = " wedding bride"


def experiment_spec(**changes) -> dict:
    return {
        "name": "e",
        "measure": "completions",
        "model": "tiny",
        "prompts": {"split": "all"},
        "samples": 2,
        "max_new_tokens": 6,
        "seed": 3,
        "sampling": asdict(SAMPLING),
        "batch_rows": 3,
        "dtype": "float64",
        "compute": {"device": "cpu", "threads": 1},
        "conditions": {
            "unsteered": {"method": "unsteered"},
            "preadd": {"method": "preadd", "prefix": PREFIX, "strength": -1.5},
        },
        **changes,
    }


def completed(prepared, folder, **changes) -> pd.DataFrame:
    texts = tiny.CONFIG["datasets"]["prompts"]["texts"]
    datasets.prepare({"name": "p", "title": "p", "texts": texts}, None, folder / "p.parquet")
    measure(
        experiment_spec(**changes),
        model_dir=prepared,
        texts_file=folder / "p.parquet",
        vector_files={},
        choice=None,
        store=folder / "store",
        output=folder / "o.parquet",
    )
    return pd.read_parquet(folder / "o.parquet")


def test_completions_of_a_contrasted_condition(prepared, tmp_path):
    table = completed(prepared, tmp_path)
    model = loading.load(prepared, dtype="float64", device="cpu", threads=1)
    tokens = Tokens(prepared)
    rows = table[table["method"] == "preadd"]
    assert len(rows) == 8 and set(rows["prefix"]) == {PREFIX}
    for row in rows.itertuples():
        prompt, other = tokens.encode(row.prompt), tokens.encode(row.prompt, PREFIX)
        noise = draws(3, row.prompt, row.sample, 6).tolist()
        expected = reference.contrasted(model, prompt, other, -1.5, noise, asdict(SAMPLING))
        result = row.token_ids.tolist()
        assert result == expected[: len(result)]
        assert len(result) == 6 or result[-1] in tokens.stop_ids
        assert row.completion == tokens.continuation(prompt, result)
    plain = table[table["method"] == "unsteered"]
    assert (
        set(plain["prefix"]) == {""} and plain["completion"].tolist() != rows["completion"].tolist()
    )


def test_the_strength_and_the_prefix_are_part_of_a_cells_key(prepared, tmp_path):
    cells = {}
    for number, details in enumerate(
        [
            {"prefix": PREFIX, "strength": -1.5},
            {"prefix": PREFIX, "strength": -1},
            {"prefix": " ship", "strength": -1.5},
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        preadd = {"preadd": {"method": "preadd", **details}}
        [cells[number]] = completed(prepared, folder, conditions=preadd, samples=1)["cell"].unique()
    assert len(set(cells.values())) == 3


def test_the_contrasted_prefix_is_not_put_before_the_prompt_itself(prepared):
    experiment = Experiment(experiment_spec(), prepared, {}, None)
    preadd = next(c for c in experiment.conditions if c.method == "preadd")
    unsteered = next(c for c in experiment.conditions if c.method == "unsteered")
    [(prompt, _)] = experiment.encode(preadd, ["The ship left"])
    [other] = experiment.contrast(preadd, ["The ship left"])
    pieces = experiment.tokens.pieces(PREFIX)
    assert prompt == experiment.tokens.encode("The ship left")
    assert other == [prompt[0], *pieces, *prompt[1:]]
    assert experiment.contrast(unsteered, ["The ship left"]) == []


@pytest.mark.parametrize("method", ["preadd", "prompting"])
def test_a_prompt_behind_a_space_is_read_with_the_prefix(prepared, method):
    """As PREADD's own code does: the tokenizer reads the prefix, a space and the prompt at once."""
    details = {"method": method, **({"strength": -1} if method == "preadd" else {})}
    prompt = "we took the ship"
    contexts = {}
    for prefix in ("The guests were happy.\n\n ", "The guests were happy.\n\n"):
        spec = experiment_spec(conditions={"a": {**details, "prefix": prefix}})
        experiment = Experiment(spec, prepared, {}, None)
        [condition] = experiment.conditions
        if method == "preadd":
            [contexts[prefix]] = experiment.contrast(condition, [prompt])
        else:
            [(contexts[prefix], _)] = experiment.encode(condition, [prompt])
    pieces = experiment.tokens.pieces
    joined, apart = contexts
    assert contexts[joined] == [0, *pieces(joined + prompt)]
    assert pieces(joined + prompt) != [*pieces(joined), *pieces(prompt)], "one token spans both"
    assert contexts[apart] == [0, *pieces(apart), *pieces(prompt)]


def test_given_texts_keep_their_own_tokens_behind_any_prefix(prepared):
    spec = {
        **experiment_spec(conditions={"a": {"method": "prompting", "prefix": "The guests. "}}),
        "measure": "logprobs",
    }
    experiment = Experiment(spec, prepared, {}, None)
    [condition] = experiment.conditions
    [(ids, _)] = experiment.encode(condition, ["The ship left"])
    pieces = experiment.tokens.pieces
    assert ids == [0, *pieces("The guests. "), *pieces("The ship left")]
    assert experiment.prefix_length(condition) == len(pieces("The guests. "))
