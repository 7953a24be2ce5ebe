"""What an experiment measures on is not among what its scorers are fitted on."""

import copy
import json
import random
import time

import pandas as pd
import pytest

from actadd.base.errors import UserError
from actadd.config.checks import checked
from actadd.config.files import load
from actadd.data.overlaps import check, overlapping
from actadd.pipeline.graph import Graph
from builders import tiny
from builders.configs import contaminated

CHINESE = "我上周和我的朋友一起去了北京。"
FITTED = ["I think that it was rather good, really.", "Short one", "It is what it is", CHINESE]


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("I think that it", FITTED[0]),
        ("i THINK, that - it!", FITTED[0]),
        ("I think that", None),
        ("I think that i", None),
        ("Short one!", "Short one"),
        ("Short one more of them", None),
        ("It is what it is and so on", FITTED[2]),
        ("It is what it isn't", None),
        ("", None),
        ("我上周和我的朋友一起去了", CHINESE),
        ("我上周和", None),
    ],
)
def test_two_texts_overlap_if_one_begins_as_the_other_does(text, other):
    assert overlapping([text], FITTED).get(text) == other
    assert overlapping([text], FITTED, beginnings=False).get(text) == (
        other if text.startswith("Short one!") else None
    )


def test_it_is_what_comparing_all_pairs_gives():
    """On made-up texts of few words, against the plain definition."""
    draw = random.Random(0)

    def random_texts(count: int) -> list[str]:
        return [" ".join(draw.choices("abc", k=draw.randint(1, 7))) for _ in range(count)]

    texts, others = random_texts(300), random_texts(40)
    for text in set(texts):
        starts = [
            other
            for other in others
            if text == other
            or (f"{text} ".startswith(f"{other} ") and other.count(" ") >= 3)
            or (f"{other} ".startswith(f"{text} ") and text.count(" ") >= 3)
        ]
        assert bool(overlapping([text], others)) == bool(starts), (text, starts)


def test_sixty_thousand_texts_take_a_second():
    draw = random.Random(0)
    words = [f"w{number}" for number in range(500)]
    others = [" ".join(draw.choices(words, k=25)) for _ in range(60_000)]
    texts = [" ".join(other.split()[:6]) for other in others[:1000]]
    started = time.process_time()
    assert len(overlapping(texts, others)) == 1000
    assert time.process_time() - started < 5


# --- what is compared ---


def table(folder, name: str, texts: list[str]):
    rows = pd.DataFrame({"text": texts, "split": "fit", "group": None, "document": None})
    rows["id"], rows["origin"] = rows.index, [f"{name}:{number}" for number in rows.index]
    rows.to_parquet(folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def test_an_experiment_is_refused_or_counted(tmp_path, capsys):
    (tmp_path / "texts.csv").write_text(tiny.TEXTS)
    texts = {
        "prompts": ["The weather was cold and", "She opened the door because"],
        "labelled": ["The weather was cold and wet."],
    }
    files = {name: table(tmp_path, name, rows) for name, rows in texts.items()}
    job = Graph(checked(contaminated(), tmp_path), tmp_path).overlaps("experiments", "sweep")
    with pytest.raises(UserError) as caught:
        check(job.spec, files, tmp_path / "record.json")
    message = str(caught.value)
    for word in ("experiments.sweep.prompts: 1 of 2", "scorers.mood is fitted on", "labelled:0"):
        assert word in message
    assert not (tmp_path / "record.json").exists()
    assert "experiments.sweep.allow_overlap: true" in message
    allowed = Graph(checked(contaminated(allow_overlap=True), tmp_path), tmp_path)
    job = allowed.overlaps("experiments", "sweep")
    assert check(job.spec, files, tmp_path / "record.json") == {"overlapping": 1}
    [result] = json.loads((tmp_path / "record.json").read_text())["pairs"]
    assert result["overlapping"] == 1 and result["compared"] == [2, 1]
    assert "1 of 2 texts overlap" in capsys.readouterr().out


def test_the_check_is_not_part_of_a_cells_key(tmp_path):
    (tmp_path / "texts.csv").write_text(tiny.TEXTS)
    plans = [
        Graph(checked(contaminated(**changes), tmp_path), tmp_path)
        for changes in ({}, {"allow_overlap": True}, {"scorers": ["distinct"]})
    ]
    assert len({plan.cells("tiny", "sweep").digest for plan in plans}) == 1
    assert not plans[2].overlap_pairs("experiments", "sweep")


def test_other_data_of_choices_and_validations_are_compared_too(tmp_path):
    tiny.write_data(tmp_path)
    config = copy.deepcopy(tiny.CONFIG)
    config["datasets"]["other"] = {"title": "other", "texts": ["a b c d"]}
    plan = Graph(checked(copy.deepcopy(config), tmp_path), tmp_path)
    # Splits of one dataset share nothing.
    assert not plan.overlap_pairs("experiments", "chosen")
    assert not plan.overlap_pairs("scorers", "mood")
    config["experiments"]["chosen"]["prompts"] = {"dataset": "other"}
    config["scorers"]["mood"]["validate"] |= {"dataset": "other", "split": "all"}
    plan = Graph(checked(config, tmp_path), tmp_path)
    [choice] = plan.overlap_pairs("experiments", "chosen")
    assert not choice["refused"] and choice["others"]["dataset"] == "prompts"
    [validation] = plan.overlap_pairs("scorers", "mood")
    assert validation["refused"] and not validation["beginnings"]
    assert "scorers.mood.validate.allow_overlap: true" in validation["remedy"]


def test_prompts_that_are_cut_are_compared_as_they_are_cut(tmp_path):
    rows = {"long": ["a b c d e f g"], "fitted": ["A b c d, x"]}
    files = {name: table(tmp_path, name, texts) for name, texts in rows.items()}
    fit = {"dataset": "fitted", "key": "scorers.s.fit", "use": "scorers.s is fitted on"}
    pair = {"others": fit, "beginnings": True, "refused": False}
    for cut, count in ((None, 0), (5, 0), (4, 1)):
        texts = {"dataset": "long", "key": "p"} | ({"first_tokens": cut} if cut else {})
        spec = {"pairs": [{"texts": texts, **pair}]}
        assert check(spec, files, tmp_path / "r.json") == {"overlapping": count}


# --- the written order of splits ---


def test_a_job_gets_its_splits_in_the_written_order(tmp_path):
    (tmp_path / "texts.csv").write_text(tiny.TEXTS)
    for splits in ({"held-out": 0.5, "fit": 0.5}, {"fit": 0.5, "held-out": 0.5}):
        config = copy.deepcopy(tiny.CONFIG)
        config["datasets"]["prompts"]["splits"] = splits | {"development": 1}
        (tmp_path / "labelled.csv").write_text("text,label\na,1\n")
        job = Graph(checked(config, tmp_path), tmp_path).dataset("prompts")
        assert job.spec["dataset"]["splits"] == [
            *map(list, splits.items()),
            ["development", 1],
        ]


def test_a_later_file_keeps_the_place_of_a_split(tmp_path):
    (tmp_path / "a.yaml").write_text("datasets: { x: { splits: { held-out: 0.2, fit: 0.8 } } }\n")
    (tmp_path / "b.yaml").write_text("datasets: { x: { splits: { fit: 0.7, new: 0.1 } } }\n")
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    above = {"datasets": {"x": {"splits": {"late": 1}}}}
    splits = load(files, above)["datasets"]["x"]["splits"]
    assert list(splits.items()) == [("held-out", 0.2), ("fit", 0.7), ("new", 0.1), ("late", 1)]


def test_a_later_file_that_writes_all_splits_gives_their_order(tmp_path):
    (tmp_path / "a.yaml").write_text("datasets: { x: { title: a, splits: { fit: 8, rest: 2 } } }\n")
    (tmp_path / "b.yaml").write_text("datasets: { x: { splits: { rest: 0.2, fit: 9 } } }\n")
    dataset = load([tmp_path / "a.yaml", tmp_path / "b.yaml"])["datasets"]["x"]
    assert list(dataset) == ["title", "splits"]
    assert list(dataset["splits"].items()) == [("rest", 0.2), ("fit", 9)]
