"""What holds for whatever a config or a file may contain: nothing but a UserError, nothing lost."""

import copy
import csv
import io
import json
import math
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actadd.base.errors import UserError
from actadd.base.files import canonical, canonical_json
from actadd.config.checks import checked
from actadd.config.files import read
from actadd.data import datasets
from actadd.engine.operations import OPERATIONS
from actadd.engine.placement import aligned
from actadd.measure.additions import SWEPT
from actadd.measure.conditions import Condition, expand, grid_size
from actadd.pipeline.graph import Graph
from builders import tiny

# The same examples every time; the deadline is off since other work may hold a machine up.
settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    max_examples=60,
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("repeatable")

# Halves of characters and control characters too.
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
NASTY = st.sampled_from(
    [
        *[
            "",
            " ",
            "~",
            "~root",
            "~nobody-of-this-name",
            "..",
            "../x",
            "/",
            "/etc",
            "a/",
            "a/../..",
            "-",
        ],
        *["\0", "\n", "a\n", "{x}", "$(touch made)", "`x`", "';", "\u202e", "\ufeff", "con", "1e3"],
        *["results", "a" * 300, "null", "all", "scorer_card", "http://u:p@h/?token=x", "%s", "\\"],
    ]
)
KEYS = st.sampled_from(
    [
        *[
            "kind",
            "type",
            "source",
            "models",
            "layer",
            "vector",
            "additions",
            "method",
            "texts",
            "file",
        ],
        *[
            "path",
            "url",
            "choice",
            "depth",
            "splits",
            "prompts",
            "conditions",
            "title",
            "experiment",
        ],
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 0, 1, 10**9, 2**63, 10**400, -(10**400)])
    | st.floats()
    | ANY_TEXT
    | NASTY
    | st.dates()
    | st.binary(max_size=3)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(KEYS | NASTY | ANY_TEXT, inner, max_size=4)
    ),
    max_leaves=8,
)


def key_paths(value, path=()) -> list[tuple]:
    """The path of everything in a config."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    inside = [(key, item) for key, item in items if isinstance(item, (dict, list))]
    direct = [(*path, key) for key in (value if isinstance(value, dict) else range(len(value)))]
    return direct + [key_path for key, item in inside for key_path in key_paths(item, (*path, key))]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder with the files that the tiny config names."""
    folder = tmp_path_factory.mktemp("root")
    tiny.write_data(folder)
    return folder


def put(config: dict, key_path: tuple, value, key=None) -> dict:
    """A copy of a config with another value at a place, or under another key."""
    config = copy.deepcopy(config)
    inside = config
    for part in key_path[:-1]:
        inside = inside[part]
    if key is None or not isinstance(inside, dict):
        inside[key_path[-1]] = value
    else:
        inside[key] = inside.pop(key_path[-1])
    return config


def stays_inside(config: dict, root: Path) -> None:
    """Every output of the jobs of an accepted config lies in results/."""
    results = (root / "results").resolve()
    jobs = Graph(config, root).everything()
    named = [path for job in jobs for paths in job.outputs.values() for path in paths]
    for path in named:
        assert (root / path).resolve().is_relative_to(results) and path == path.strip()
        assert len(Path(path).parts) <= 5 and path.isascii() and path.isprintable()


def accepted_or_said(config: dict, root: Path) -> None:
    try:
        result = checked(config, root)
    except UserError as error:
        assert len(str(error)) < 1500 and len(str(error).splitlines()) <= 5
        str(error).encode()
    else:
        stays_inside(result, root)


@given(key_path=st.sampled_from(key_paths(tiny.CONFIG)), value=VALUES)
@settings(max_examples=400)
def test_any_value_anywhere_is_accepted_or_refused_with_a_message(root, key_path, value):
    accepted_or_said(put(tiny.CONFIG, key_path, value), root)


@given(key_path=st.sampled_from(key_paths(tiny.CONFIG)), key=NASTY | KEYS | ANY_TEXT)
@settings(max_examples=150)
def test_any_key_anywhere_is_accepted_or_refused_with_a_message(root, key_path, key):
    accepted_or_said(put(tiny.CONFIG, key_path, None, key), root)


NAMED = ("sources", "models", "datasets", "vectors", "scorers", "experiments", "figures")


@given(
    section=st.sampled_from(NAMED),
    name=NASTY | ANY_TEXT | st.from_regex(r"[a-z0-9-]{1,8}", fullmatch=True),
)
def test_no_accepted_name_escapes_the_results_folder(root, section, name):
    """An entry of that name is added, and whatever can refer to it does."""
    config = tiny.config()
    config[section][name] = next(iter(config[section].values()))
    try:
        result = checked(config, root)
    except UserError:
        return
    assert Path(name).name == name and "." not in name
    stays_inside(result, root)


@given(content=ANY_TEXT | st.binary(max_size=40) | VALUES)
@settings(max_examples=150)
def test_any_file_is_a_config_or_refused_with_a_message(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    if isinstance(content, str):
        content = content.encode(errors="surrogatepass")
    elif not isinstance(content, bytes):
        content = yaml.dump(content).encode(errors="surrogatepass")
    file.write_bytes(content)
    try:
        assert isinstance(read(file), dict)
    except UserError as error:
        assert str(file) in str(error)


# --- canonical JSON ------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def turned_round(value):
    """The same with every mapping's keys in the other order."""
    if isinstance(value, dict):
        return {key: turned_round(value[key]) for key in reversed(value)}
    return [turned_round(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_canonical_json_says_the_same_and_only_once(value):
    text = canonical_json(value)
    assert json.loads(text) == canonical(value) == value
    assert canonical_json(json.loads(text)) == text == canonical_json(turned_round(value))
    assert "\n" not in text


# --- conditions ----------------------------------------------------------------------------------


def one_or_many(values, most: int):
    return values | st.lists(values, min_size=1, max_size=most, unique=True)


ADDITIONS = st.fixed_dictionaries(
    {
        "vector": st.sampled_from(["a", "b"]),
        "layer": one_or_many(st.integers(0, 5), 3),
        "coefficient": one_or_many(st.integers(-4, 4), 3),
    },
    optional={
        "source_layer": one_or_many(st.integers(0, 5), 2),
        "position": one_or_many(st.sampled_from(["front", "middle", "back"]), 2),
        "dimensions": one_or_many(st.sampled_from([0.25, 0.5]), 2),
    },
)
CONDITIONS = st.dictionaries(
    st.sampled_from(["one", "two", "three"]),
    st.fixed_dictionaries(
        {"method": st.just("actadd"), "additions": st.lists(ADDITIONS, min_size=1, max_size=2)},
        optional={"seed": one_or_many(st.integers(0, 3), 2)},
    ),
    min_size=1,
)


def identities(conditions: list[Condition]) -> list[tuple[str, str]]:
    return [
        (each.name, canonical_json([[a.record() for a in each.additions], each.seed]))
        for each in conditions
    ]


@given(CONDITIONS)
def test_a_grid_is_spelled_out_whole_and_in_one_order(entries):
    result = expand(entries)
    assert len(result) == grid_size(entries)
    told = identities(result)
    assert len(set(told)) == len(told)
    assert told == identities(expand(turned_round(entries)))
    for condition in result:
        for addition in condition.additions:
            assert not any(isinstance(getattr(addition, field), list) for field in SWEPT)


# --- operations ----------------------------------------------------------------------------------

SIZES = st.floats(1e-3, 1e3)


@given(st.integers(0, 10**6), st.integers(2, 40), SIZES, SIZES, st.floats(-360, 360))
def test_what_operations_keep_and_set(seed, width, stream_size, vector_size, strength):
    draw = torch.Generator().manual_seed(seed)
    s, v = (
        size * torch.randn(3, width, generator=draw, dtype=torch.float64)
        for size in (stream_size, vector_size)
    )
    u = v / v.norm(dim=-1, keepdim=True)
    number = partial(torch.tensor, dtype=torch.float64)

    def new(name: str, amount: float) -> torch.Tensor:
        kind = OPERATIONS[name]
        return kind(s, v, kind.options(**{kind.strength: amount}))

    norm, close = s.norm(dim=-1), {"rtol": 1e-9, "atol": 1e-9 * stream_size}
    for name in ("rotate", "add_preserving_norm"):
        assert torch.allclose(new(name, strength).norm(dim=-1), norm, **close)
    turned = new("rotate", strength)
    cosine = (turned * s).sum(-1) / norm**2
    assert torch.allclose(cosine, number(math.cos(math.radians(strength))), **close)
    clamped = new("clamp", strength)
    far = {"rtol": 1e-9, "atol": 1e-9 * (stream_size + 360)}
    assert torch.allclose((clamped * u).sum(-1), number(strength), **far)
    assert torch.allclose(clamped - strength * u, new("ablate", 1), **far)
    share = abs(strength) / 360
    assert torch.allclose((new("ablate", share) * u).sum(-1), (1 - share) * (s * u).sum(-1), **far)
    for name in ("rotate", "add_preserving_norm", "ablate"):
        assert torch.equal(new(name, 0.0), s)


# --- datasets ------------------------------------------------------------------------------------

# Text as it is in files: quotes, separators, numbers, any line end; no halves of characters.
TEXTS = st.lists(
    st.text(st.characters(codec="utf-8") | st.sampled_from("\"',;\t\n\r 0"), max_size=12)
    | st.sampled_from(["007", "1e5", "NA", "null", "True", "nan", '"', '""', "a\r\nb", "[1]", "-"]),
    max_size=5,
)


def kept(texts: list[str]) -> list[str]:
    """What a dataset promises of its texts: as they are but for NULs, equal rows once."""
    result = [text.replace("\0", "") for text in texts]
    return list(dict.fromkeys(text for text in result if text.strip()))


def as_csv(texts: list[str]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([["text", "number"], *([text, 1] for text in texts)])
    return stream.getvalue()


@given(texts=TEXTS, form=st.sampled_from(["csv", "json", "jsonl"]), mark=st.booleans())
@settings(max_examples=150)
def test_a_file_gives_its_texts_exactly(tmp_path_factory, texts, form, mark):
    folder = tmp_path_factory.getbasetemp()
    rows = [{"text": text} for text in texts]
    content = {
        "csv": as_csv(texts),
        "json": json.dumps(rows),
        "jsonl": "\n".join(json.dumps(row, ensure_ascii=False) for row in rows),
    }[form]
    source, output = folder / f"any.{form}", folder / "any.parquet"
    source.write_text("\ufeff" * mark + content, encoding="utf-8", newline="")
    spec = {"name": "x", "file": source.name}
    if not kept(texts):
        with pytest.raises(UserError, match=r"datasets\.x"):
            datasets.prepare(spec, source, output)
        return
    datasets.prepare(spec, source, output)
    table = datasets.read(output, None, "")
    assert list(table["text"]) == kept(texts)
    assert all(origin.startswith(f"{source.name}:") for origin in table["origin"])


@given(
    content=st.binary(max_size=60)
    | st.text(st.sampled_from('text,"\n\r;{}[]:0 \t\\u'), max_size=60),
    form=st.sampled_from(["csv", "json", "jsonl", "lines", "text", "lama", "documents"]),
)
@settings(max_examples=200)
def test_a_file_of_anything_is_read_or_refused_with_a_message(tmp_path_factory, content, form):
    folder = tmp_path_factory.getbasetemp()
    source = folder / "odd"
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    spec = {"name": "x", "file": source.name, "format": form}
    try:
        datasets.prepare(spec, source, folder / "odd.parquet")
    except UserError as error:
        assert str(error).startswith("datasets.x")


# --- alignment -----------------------------------------------------------------------------------


@given(
    position=st.sampled_from(["front", "middle", "back", "all"]),
    rows=st.integers(1, 40),
    tokens=st.integers(1, 40),
)
def test_a_vector_that_exceeds_its_prompt_is_refused(position, rows, tokens):
    fits = rows == 1 if position == "all" else rows <= tokens
    if not fits:
        with pytest.raises(UserError):
            aligned(position, rows, tokens)
        return
    positions = aligned(position, rows, tokens)
    assert set(positions) <= set(range(tokens))
    assert len(positions) == (tokens - 1 if position == "all" else rows)
