"""What a change reruns, and what it leaves: the real workflow on a tiny model."""

import os
import re
import shutil
import stat
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

from actadd.base.files import read_json
from actadd.base.kinds import Kind
from actadd.store import syntax
from actadd.store.digests import Code, changes_no_number, code_digest, module_file, reached
from builders import gates, methods, tiny

pytestmark = pytest.mark.workflow


def edit(space, change) -> None:
    """Changes the workspace's config in place by `change(config)`."""
    settings = tiny.config()
    change(settings)
    space.configure(settings)


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def reversed_keys(value):
    """The same config written in the other order; that of splits has a meaning."""
    if isinstance(value, dict):
        return {
            key: value[key] if key == "splits" else reversed_keys(value[key])
            for key in reversed(value)
        }
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


def test_every_output_exists(finished):
    results = finished.folder / "results"
    for layer in range(tiny.LAYERS):
        assert (results / f"activations/tiny/calm/layer_{layer:02d}.safetensors").exists()
    assert (results / "vectors/tiny/random/vector.safetensors").exists()
    for file in ("completions/tiny/sweep", "scores/tiny/sweep/distinct", "summaries/tiny/ratio"):
        assert (results / f"{file}.parquet").exists()
        record = read_json(results / f"{file}.provenance.json")
        assert record["spec"] and record["code"] and record["versions"]["torch"]
    assert (results / "figures/sweep.png").stat().st_size > 10_000


def test_second_run_has_nothing_to_do(finished):
    assert finished.planned() == {}


def test_touched_sources_reordered_keys_and_1_as_1_0(space):
    for path in [*space.folder.glob("workflow/**/*"), space.folder / "texts.csv"]:
        if path.is_file():
            path.touch()
    settings = reversed_keys(tiny.config())
    settings["experiments"]["ratio"]["conditions"]["actadd"]["additions"][0]["coefficient"] = [
        1.0,
        2.0,
    ]
    space.configure(settings)
    # The order of `conditions` is the order of rows, but it is no part of what a job is.
    assert space.planned() == {}
    settings["datasets"]["prompts"]["splits"] = {"held-out": 2, "development": 2}
    space.configure(settings)
    assert space.planned()["dataset"] == 1, "the first split takes the first rows"


def test_git_switch_away_and_back(space):
    git(space.folder, "init", "-b", "main")
    (space.folder / ".gitignore").write_text("results\n.snakemake\nimports\n__pycache__\n")
    git(space.folder, "add", "-A")
    git(space.folder, "commit", "-m", "one")
    git(space.folder, "switch", "-c", "other")
    for name in ("workflow/actadd/vectors/derivation.py", "config.yaml", "texts.csv"):
        path = space.folder / name
        path.write_text(path.read_text() + "\n# changed\n")
    git(space.folder, "commit", "-am", "two")
    git(space.folder, "switch", "main")
    assert space.planned() == {}


def test_an_added_coefficient_computes_one_cell(space):
    def add(settings):
        addition = settings["experiments"]["ratio"]["conditions"]["actadd"]["additions"][0]
        addition["coefficient"] = [1, 2, -2.5]

    edit(space, add)
    assert space.planned() == {"logprobs": 1, "summary": 1, "figure": 1}
    printed = space.run()
    assert "cells: 1 computed, 3 reused" in space.log("logprobs/tiny/ratio")
    # The run ends with what all its jobs did, and says so once.
    assert printed.count("cells: 1 computed, 3 reused\n") == 1
    assert "figures: 1 in results/figures/" in printed
    assert re.search(r"time of jobs, added up by stage: .*logprobs \d+ s", printed)
    table = (space.folder / "results/summaries/tiny/ratio.csv").read_text()
    assert ",-2.5," in table


def test_a_removed_coefficient_computes_none(space):
    def remove(settings):
        addition = settings["experiments"]["ratio"]["conditions"]["actadd"]["additions"][0]
        addition["coefficient"] = 2

    edit(space, remove)
    space.run()
    assert "cells: 0 computed, 2 reused" in space.log("logprobs/tiny/ratio")


def test_an_added_layer_computes_no_activation_and_no_vector(space):
    def add(settings):
        addition = settings["experiments"]["sweep"]["conditions"]["actadd"]["additions"][0]
        addition["layer"] = [0, 1, 2]

    edit(space, add)
    planned = space.planned()
    assert planned["completions"] == 1 and planned["cells_gather"] == 1  # and what is chosen
    assert not {"activations_tiny", "vectors_tiny", "logprobs", "model"} & set(planned)
    space.run()
    assert "cells: 2 computed, 5 reused" in space.log("completions/tiny/sweep")


def test_a_figures_option_redraws_that_figure_only(space):
    edit(space, lambda settings: settings["figures"]["sweep"].update(title="Another title"))
    assert space.planned() == {"figure": 1}


def test_an_added_scorer_generates_nothing(space):
    edit(space, lambda s: s["experiments"]["chosen"].update(scorers=["words", "fluency"]))
    jobs = {"scores_shard": 2, "scores_gather": 1, "summary": 1, "scorer_card": 1}
    assert space.planned() == jobs


def test_a_changed_contrast_prompt_redoes_that_vectors_chain(space):
    edit(space, lambda settings: settings["vectors"]["calm"].update(positive="Quiet"))
    assert space.planned() == {
        "activations_tiny": 1,
        "vectors_tiny": 1,
        "logprobs": 1,
        "summary": 1,
        "figure": 1,
    }


@pytest.mark.parametrize(
    ("module", "first", "untouched"),
    [
        (
            "results/figures/sweeps/sweep.py",
            {"figure"},
            {"summary", "scores", "completions", "logprobs"},
        ),
        (
            "engine/decoding/sampler.py",
            {"completions"},
            {"logprobs", "vectors_tiny", "activations_tiny"},
        ),
        ("scorers/text/words.py", {"scores"}, {"completions", "cells_gather", "choice"}),
        ("models/llama2c.py", {"model"}, {"fetch", "dataset"}),
    ],
)
def test_an_edited_module_reruns_the_rules_that_use_it(space, module, first, untouched):
    path = space.folder / "workflow" / "actadd" / module
    # Not a comment, which changes no digest.
    path.write_text(path.read_text() + "\nlist()\n")
    planned = space.planned()
    assert first <= set(planned)
    assert not untouched & set(planned)


def with_every_program() -> dict:
    """The tiny config with something for each program in workflow/programs."""
    config = tiny.config(compute={"batch_rows": "auto"})
    prompts = {"dataset": "texts", "first_tokens": 8}
    conditions = config["experiments"]["ratio"]["conditions"]
    config["experiments"]["moved"] = {
        **{"title": "moved", "measure": "divergence", "models": ["tiny"]},
        **{"prompts": prompts, "conditions": conditions},
    }
    # What it is fitted on is compared with the prompts.
    config["experiments"]["chosen"]["scorers"] = ["words", "mood", "fluency"]
    shape = {"layers": 2, "d_model": 16, "heads": 2, "vocabulary": 50}
    config["overheads"] = {
        "time": {
            **{"positive": "a b", "negative": "c", "shapes": {"small": shape}},
            **{"rows": 2, "tokens": 8, "repeats": 3, "warmup": 1},
        }
    }
    config["lenses"] = {"reading": {"vectors": ["calm"], "models": ["tiny"], "top": 5}}
    ours = {"experiment": "moved", "condition": "actadd", "coefficient": 1, "metric": "kl"}
    claim = {"title": "It moves", "source": "Table 1", "test": {"above": 0}, "ours": ours}
    config["comparison"] = {"claims": {"moves": claim}}
    config["tables"] = {
        "words": {"kind": "methods", "experiment": "chosen", "metrics": ["words.any"]},
        "lens": {"kind": "lens", "lens": "reading"},
        "overhead": {"kind": "overhead", "overhead": "time"},
        "comparison": {"kind": "comparison"},
    }
    compared, gated = methods.config(), gates.gated_config()
    for section in ("datasets", "vectors", "scorers"):
        config[section] = {**compared[section], **gated[section], **config[section]}
    config["method_comparisons"] = compared["method_comparisons"]
    config["tables"]["damage"] = {"kind": "equal_damage", "method_comparison": "c"}
    config["experiments"]["gated"] = gated["experiments"]["gated"]
    config["dose"] = {"dataset": "prompts", "split": "development"}
    [addition] = config["experiments"]["gated"]["conditions"]["gated"]["additions"]
    addition["dose"] = addition.pop("coefficient")
    single = {"method": "actadd", "additions": [{"vector": "calm", "layer": 1, "coefficient": 1}]}
    config["experiments"]["single"] = {
        **config["experiments"]["gated"],
        "conditions": {"unsteered": {"method": "unsteered"}, "calm": single},
        "scorers": ["words"],
    }
    config["pair_checks"] = {"singles": {"vectors": ["calm"], "layer": 1, "models": ["tiny"]}}
    config["tables"]["pairs"] = {
        **{"kind": "pairs", "experiment": "single", "pair_check": "singles"},
        "metrics": ["words.any"],
    }
    for name, table in config["tables"].items():
        table["title"] = f"Table {name}"
    return config


def declares_kinds(module: str) -> bool:
    values = vars(import_module(module)).values()
    return any(isinstance(value, Kind) and value.module == module for value in values)


def test_digests_cover_all_code_that_a_job_runs(tmp_path, tiny_model, monkeypatch):
    """The imports are read from syntax trees; here they are compared with what really runs.

    Every function that the digested code of a job calls is digested too, or in the list of what
    changes no number; a module that is in neither does nothing when it is loaded. And a job's
    digest is that of its program and of the kinds that it uses.
    """
    space = tiny.Workspace.create(tmp_path / "space", tiny_model, with_every_program())
    (space.folder / "questions.csv").write_text(methods.QUESTIONS)
    (space.folder / "kinds.csv").write_text(gates.texts_csv())
    environment = {**space.environment(), "RECORD_CALLS": "1"}
    monkeypatch.setattr(space, "environment", lambda: environment)
    space.run("all", "explorer", "results/tables/scorer_card.csv")
    records = [read_json(path) for path in (space.folder / "imports").glob("*.json")]
    for record in records:
        program = record["program"]
        static = reached(program).modules
        kinds = [m for m in set(record["modules"]) - static if declares_kinds(m)]
        code = reached(program, *kinds)
        assert [program, "work"] in [call[2:] for call in record["calls"]]

        def covered(module: str, name: str, code: Code = code) -> bool:
            return (module, name.split(".")[0]) in code.definitions

        missing = {
            module
            for module in record["modules"]
            if module not in code.modules
            and not changes_no_number(module)
            and not syntax.read(module_file(module)).only_defines
        } | {
            f"{module}.{name}"
            for caller, calling, module, name in record["calls"]
            # What something left out calls is left out with it.
            if covered(caller, calling)
            and not covered(module, name)
            and not changes_no_number(f"{module}.{name}")
        }
        assert not missing, program
        if program != "programs.fetch":
            assert code_digest(program, *kinds) in asked(record, space.folder), (program, kinds)
    programs = {path.stem for path in (space.folder / "workflow/programs").glob("[a-z]*.py")}
    # On a CPU the rule `model` verifies.
    programs -= {"verification"}
    assert {record["program"] for record in records} == {f"programs.{name}" for name in programs}


def asked(record: dict, folder: Path) -> str:
    """What a program was told, by its arguments and by the files of JSON that these name."""
    files = [folder / argument for argument in record["arguments"] if argument.endswith(".json")]
    return " ".join([*record["arguments"], *(file.read_text() for file in files if file.exists())])


def failing_once(space, program: str) -> dict[str, str]:
    """An environment in which the first start of one program fails."""
    folder = space.folder / "shim"
    folder.mkdir()
    marker = folder / "fail"
    marker.touch()
    shim = folder / "python"
    shim.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *{program}*) if [ -e {marker} ]; then rm {marker}; exit 1; fi;; esac\n'
        f'exec {sys.executable} "$@"\n'
    )
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{folder}{os.pathsep}{space.environment()['PATH']}"}


@pytest.mark.parametrize("program", ["programs.vectors", "programs.cells", "programs.summary"])
def test_a_job_that_failed_once_is_redone_with_all_that_follows(space, program, monkeypatch):
    before = (space.folder / "results/figures/ratio.png").read_bytes()
    edit(space, lambda settings: settings["vectors"]["calm"].update(positive="Quiet"))
    environment = {**space.environment(), **failing_once(space, program)}
    monkeypatch.setattr(space, "environment", lambda: environment)
    space.run(fails=True)
    planned = space.planned()
    assert planned["summary"] == 1 and planned["figure"] == 1
    space.run()
    assert space.planned() == {}
    assert (space.folder / "results/figures/ratio.png").read_bytes() != before


def test_a_failed_dataset_job_is_redone_after_its_file_changed(space, monkeypatch):
    """The file stands in no config: its content's digest is in the spec all the same."""
    path = space.folder / "texts.csv"
    path.write_text(path.read_text() + "The pilot took the vessel out of the harbour,b\n")
    os.utime(path, (1, 1))  # an older file put back, as rsync and tar do
    environment = {**space.environment(), **failing_once(space, "programs.dataset")}
    monkeypatch.setattr(space, "environment", lambda: environment)
    space.run(fails=True)
    assert space.planned() == {"dataset": 1, "logprobs": 1, "summary": 1, "figure": 1}
    space.run()
    table = pd.read_parquet(space.folder / "results/summaries/tiny/ratio.parquet")
    assert table[table["group"] == "b"]["n_prompts"].max() == 3


def test_edited_weights_behind_a_path_are_noticed(space):
    weights = space.folder / "tiny-model/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(bytes(content))
    before = read_json(space.folder / "results/models/tiny/model.json")["weights"]
    assert {"fetch", "model", "completions", "logprobs"} <= set(space.planned())
    space.run("--", "results/logprobs/tiny/ratio.parquet")
    assert read_json(space.folder / "results/models/tiny/model.json")["weights"] != before
    assert "cells: 3 computed, 0 reused" in space.log("logprobs/tiny/ratio")


def test_what_only_captions_say_redraws_figures_only(space):
    def rename(settings):
        settings["datasets"]["texts"]["title"] = "other words"
        settings["scorers"]["distinct"]["note"] = "a note"

    edit(space, rename)
    assert space.planned() == {"figure": 2, "scorer_card": 1}


def test_two_runs_give_the_same_bytes(finished, tmp_path, tiny_model):
    again = tiny.Workspace.create(tmp_path / "again", tiny_model)
    again.run()
    first, second = finished.outputs(), again.outputs()
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_a_cells_bytes_do_not_depend_on_the_other_cells(space):
    """Each cell alone, in another order, and in shards, against all of them in one job."""
    together = {
        path.relative_to(space.folder): path.read_bytes()
        for path in space.folder.glob("results/store/*/*.parquet")
    }
    shutil.rmtree(space.folder / "results/store")

    def shard(settings):
        settings["experiments"]["sweep"]["shards"] = 3

    edit(space, shard)
    space.run("--forcerun", "cells_gather", "cells_shard", "cells", "scores")
    apart = {
        path.relative_to(space.folder): path.read_bytes()
        for path in space.folder.glob("results/store/*/*.parquet")
    }
    assert apart == together
    assert "cells: 2 computed, 0 reused" in space.log("completions/tiny/sweep_0_of_3")


def test_a_damaged_cell_is_noticed_and_computed_again(space):
    store = space.folder / "results/store"
    for path in store.glob("*/*.parquet"):
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 0xFF
        path.write_bytes(bytes(content))
    expected = (space.folder / "results/logprobs/tiny/ratio.parquet").read_bytes()
    space.run("--forcerun", "cells", "--", "results/logprobs/tiny/ratio.parquet")
    assert "is damaged" in space.log("logprobs/tiny/ratio")
    assert (space.folder / "results/logprobs/tiny/ratio.parquet").read_bytes() == expected


def test_what_is_outdated_is_made_again_without_snakemakes_records(space, tmp_path, tiny_model):
    """Its metadata lost and times in order, Snakemake sees nothing; the records beside files do."""
    shutil.rmtree(space.folder / ".snakemake")
    settings = tiny.config()
    settings["vectors"]["calm"]["positive"] = "Quiet"
    space.configure(settings)
    printed = space.run("--rerun-triggers", "mtime")
    assert "activations/tiny/calm is outdated: contrast.positive" in printed
    clean = tiny.Workspace.create(tmp_path / "clean", tiny_model, settings)
    clean.run()
    assert space.outputs() == clean.outputs()


def test_the_catalogs_entry_point_plans_the_same(space):
    assert space.planned("-s", "workflow/Snakefile") == {}
    shutil.rmtree(space.folder / "results/figures")
    assert space.planned("-s", "workflow/Snakefile") == {"figure": 2}


def test_parsing_imports_no_torch_and_no_pandas():
    code = (
        "import sys; sys.path.insert(0, 'workflow'); "
        "import actadd.config.checks, actadd.pipeline.graph; "
        "heavy = ('torch', 'transformers', 'pandas', 'sklearn', 'plotly'); "
        "print([module for module in heavy if module in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tiny.ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
