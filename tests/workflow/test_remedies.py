"""What a message names as the remedy is typed here, and then it works."""

import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from actadd.base.errors import UserError
from actadd.base.files import read_json, write_json
from actadd.data.sources.fetch import fetch
from actadd.store.provenance import record_text
from builders import tiny
from builders.tiny import actadd, typed

pytestmark = pytest.mark.workflow

TRIAL = ("--positive", "Love", "--negative", "Hate", "--layer", "1", "--tokens", "3")


def test_terms_of_a_model_are_asked_for_whatever_asks_for_it(tmp_path, tiny_model):
    """A target, `try` and the rule itself; what the messages name accepts them."""
    terms = {"licence": "X licence", "licence_terms": "https://example.org/x"}
    gated = {**tiny.CONFIG["models"]["tiny"], **terms}
    settings = tiny.config(models={**tiny.CONFIG["models"], "gated": gated})
    space = tiny.Workspace.create(tmp_path / "space", tiny_model, settings)

    # A dry run plans the fetch, and says that a run will be refused.
    assert "gated (X licence, https://example.org/x)" in space.run("-n", "results/models/gated")
    printed = space.run("results/models/gated", fails=True)
    assert "gated (X licence, https://example.org/x)" in printed
    assert not (space.folder / "results/sources").exists(), "nothing is fetched"
    printed = space.run("--no-hooks", "results/models/gated", fails=True)
    assert "model failed; results/logs/model/gated.log ends so:" in printed
    [option] = re.findall(r"--config 'licences_accepted=\[gated\]'$", printed, re.MULTILINE)[:1]

    output = actadd(space, "try", "--model", "gated", *TRIAL, "I went home", code=1)
    command = output.split("this makes it ready: ")[1].strip()
    assert command.endswith(option) and "https://example.org/x" in output
    typed(space, command.replace("--cores all", "--cores 1"))
    assert "steered 1" in actadd(space, "try", "--model", "gated", *TRIAL, "I went home")


def test_cells_are_computed_anew_in_the_way_that_the_run_names(space):
    target = "results/logprobs/tiny/ratio.parquet"
    expected = (space.folder / target).read_bytes()
    printed = space.run("--forcerun", "cells", "--", target)
    assert "cells: 0 computed, 3 reused" in printed
    [command] = re.findall(r"actadd (store --forget) EXPERIMENT", printed)
    assert "ratio: 4 files removed" in actadd(space, *command.split(), "ratio")
    printed = space.run(target)
    assert "cells: 3 computed, 0 reused" in printed and "--forget" not in printed
    assert (space.folder / target).read_bytes() == expected
    assert "there are: chosen, ratio, sweep" in actadd(space, "store", "--forget", "other", code=1)


def test_shards_and_scores_are_computed_again_too(space):
    actadd(space, "store", "--forget", "chosen")
    assert not list((space.folder / "results/completions/tiny/chosen").glob("*"))
    planned = space.planned()
    assert planned["cells_shard"] == 2 and planned["scores"] == 1


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("results/models/tini", "no model 'tini' (did you mean 'tiny'?)"),
        ("fig_nope", "no target 'fig_nope'"),
    ],
)
def test_an_unknown_name_is_not_a_target(space, target, words):
    printed = space.run("-n", target, fails=True)
    assert words in printed and "Traceback" not in printed


def test_a_file_that_another_config_made_is_made_again(space):
    compared = "results/validation/mood.json"
    space.run(compared)
    record = space.folder / "results/validation/mood.provenance.json"
    record.write_text(record_text({**read_json(record), "job": "0" * 16}))
    assert "validation/mood is outdated" in space.run(compared)
    assert space.planned(compared) == {}


def test_a_pin_that_is_to_change_is_deleted_in_the_lock_file(tmp_path, monkeypatch):
    """Of an address, here one of this machine."""
    monkeypatch.setenv("ACTADD_RETRY_SECONDS", "0")
    (tmp_path / "served").mkdir()
    file, lock = tmp_path / "served/x.txt", tmp_path / "sources.lock.json"
    handler = partial(SimpleHTTPRequestHandler, directory=str(file.parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    get = partial(
        fetch,
        "x",
        {"type": "url", "url": f"http://127.0.0.1:{server.server_port}/x.txt"},
        tmp_path / "got",
        lock,
    )
    try:
        file.write_text("old")
        get()
        file.write_text("new")
        with pytest.raises(UserError, match=r"delete the entry 'x' there"):
            get()
        write_json(lock, {name: pin for name, pin in read_json(lock).items() if name != "x"})
        get()
        assert (tmp_path / "got/x.txt").read_text() == "new"
    finally:
        server.shutdown()
        server.server_close()
