"""Another workflow takes this one in as a module: docs/how-to/module.md."""

import re
import shutil

import pytest
import yaml

from builders import tiny

pytestmark = pytest.mark.workflow

PAGE = (tiny.ROOT / "docs/how-to/module.md").read_text()


@pytest.fixture(scope="module")
def outer(tmp_path_factory, tiny_model) -> tiny.Workspace:
    """A workflow of somebody else, with the page's Snakefile and a config and data of its own."""
    inner = tiny.Workspace.create(tmp_path_factory.mktemp("module") / "outer", tiny_model)
    # What lies here belongs to the other workflow: its files, and not one of this project.
    for name in ("Snakefile", "config.yaml", "environment.yml"):
        (inner.folder / name).unlink()
    (inner.folder / "workflow").rename(inner.folder.parent / "workflow")
    for name in ("Snakefile", "environment.yml"):
        (inner.folder.parent / name).write_bytes((tiny.ROOT / name).read_bytes())

    [snakefile] = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    fetched = 'github("OWNER/actadd-pipeline", path="workflow/Snakefile", tag="v0.1.0")'
    assert fetched in snakefile
    by_path = snakefile.replace(fetched, f'"{inner.folder.parent}/workflow/Snakefile"')
    (inner.folder / "Snakefile").write_text(by_path)
    (inner.folder / "config").mkdir()
    joy = {"kind": "pair", "positive": "Joy", "negative": "Grief"}
    settings = tiny.config(vectors={**tiny.CONFIG["vectors"], "joy": joy})
    (inner.folder / "config/steering.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return inner


def test_the_whole_is_planned_under_the_modules_names(outer):
    planned = outer.planned()
    assert {"actadd_model", "actadd_figure"} <= set(planned)
    assert all(rule.startswith("actadd_") for rule in planned), planned
    assert {path.name for path in (outer.folder / "results").iterdir()} == {"jobs"}


def test_what_fails_is_reported_under_the_other_workflows_prefix(outer, tmp_path):
    """Its rules keep their prefix; ours end at what fails, whatever that prefix is."""
    space = outer.copy(tmp_path / "prefixed")
    snakefile = space.folder / "Snakefile"
    rule = "rule mine:\n    output: 'mine.txt'\n    shell: 'echo {{MINE}} $MINE > {output}'\n"
    text = snakefile.read_text()
    snakefile.write_text(f"shell.prefix('set +e; export MINE=mine; ')\n{text}\n{rule}")
    shutil.rmtree(space.folder / "tiny-model")
    printed = space.run(
        "--keep-going", "--latency-wait", "1", "results/sources/tiny", "mine.txt", fails=True
    )
    assert "tiny-model does not exist; write an existing path" in printed
    assert "actadd_fetch failed; results/logs/fetch/tiny.log ends so:" in printed
    assert "filesystem latency" not in printed
    assert (space.folder / "mine.txt").read_text() == "{MINE} mine\n"


def test_a_target_is_computed_with_the_other_workflows_config(outer):
    target = "results/vectors/tiny/joy/norms.csv"
    outer.run(target)
    assert (outer.folder / target).stat().st_size
    record = (outer.folder / "results/vectors/tiny/joy/provenance.json").read_text()
    assert "Grief" in record
    assert not (outer.folder.parent / "results").exists()
    assert outer.planned("--nocolor", target) == {}


def test_with_a_prefix_everything_lies_below_it(outer, finished, tmp_path):
    """Results of a run without one are moved there; then one vector changes."""
    space = outer.copy(tmp_path / "prefixed")
    shutil.rmtree(space.folder / "results", ignore_errors=True)
    shutil.copytree(finished.folder / "results", space.folder / "sub/results", symlinks=True)
    snakefile = space.folder / "Snakefile"
    module = "module actadd:\n"
    snakefile.write_text(snakefile.read_text().replace(module, f'{module}    prefix: "sub/"\n'))
    # Links to the user's own files are relative.
    planned = dict.fromkeys(("fetch", "model", "complete", "default"), 1)
    assert space.planned() == {f"actadd_{rule}": count for rule, count in planned.items()}
    file = space.folder / "config/steering.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["vectors"]["calm"]["positive"] = "Quiet"
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    before = set(space.folder.iterdir())
    space.run("actadd_fig_ratio")
    assert set(space.folder.iterdir()) == before
    figure = "results/figures/ratio.png"
    assert (space.folder / "sub" / figure).read_bytes() != (finished.folder / figure).read_bytes()
    log = space.folder / "sub/results/logs/logprobs/tiny/ratio.log"
    assert "cells: 2 computed, 1 reused" in log.read_text()
    assert space.planned("--", "actadd_fig_ratio") == {}


def test_failed_cells_end_the_other_workflows_run_with_an_error(outer, tmp_path):
    space = outer.copy(tmp_path / "outer")
    file = space.folder / "config/steering.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["models"]["tiny"]["dtype"] = "float16"
    [addition] = settings["experiments"]["ratio"]["conditions"]["actadd"]["additions"]
    addition["coefficient"] = [1, 1e9]
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    printed = space.run("actadd_fig_ratio", fails=True)
    assert "1 cells failed; the next run tries them again" in printed
    assert (space.folder / "results/figures/ratio.png").exists()
    again = set(space.planned("--", "actadd_fig_ratio"))
    assert again >= {"actadd_cells", "actadd_summary", "actadd_figure"}
