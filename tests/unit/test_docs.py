"""What the documents say to type, to write and to look at."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from actadd.config.checks import checked
from actadd.config.files import load
from actadd.engine.operations import OPERATIONS
from actadd.pipeline.graph import target_of
from actadd.vectors.kinds import VECTOR_KINDS
from builders import plugins
from builders.tiny import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md"))
    if path.parent.name not in ("results", "golden")
)
BLOCK = re.compile(r"(?P<before>[^\n]*\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)
# What only sets up the shell, and what other programs do with our files.
SHELL = ("cd", "source", "export", "conda", "pip", "git", "scp", "rsync")


def blocks(kind: str) -> list[tuple[str, str, str]]:
    """(page, line before, text) of the fenced blocks of a kind in all pages."""
    return [
        (str(page.relative_to(ROOT)), result["before"] or "", result["text"])
        for page in PAGES
        for result in BLOCK.finditer(page.read_text(encoding="utf-8"))
        if result["kind"] == kind
    ]


def commands() -> list[tuple[str, str]]:
    """(page, command) of every line that is to be typed, unless it can only be elsewhere."""
    result = {}
    for page, before, text in blocks("sh") + blocks("bash"):
        if "<!-- elsewhere: " in before:
            continue
        for line in re.sub(r"\\\n", " ", text).splitlines():
            if words := shlex.split(line, comments=True):
                while re.match(r"[A-Z_]+=", words[0]) and len(words) > 1:
                    words.pop(0)
                result.setdefault(shlex.join(words), page)
    return [(page, command) for command, page in result.items()]


TUTORIAL = next(text for page, _, text in blocks("yaml") if page.endswith("tutorial.md"))


def written(page: str) -> str:
    """The config that a page asks to be saved, its first whole one."""
    return next(text for name, _, text in blocks("yaml") if name == page and "experiments" in text)


def snakemake(words: list[str], page: str, folder: Path) -> None:
    """A dry run of the command; a config that is not ours is the page's."""
    for index, word in enumerate(words):
        if word.endswith(".yaml") and not (ROOT / word).exists():
            words[index] = str(folder / word)
            (folder / word).write_text(written(page))
    command = [sys.executable, "-m", "snakemake", *words[1:]]
    if not {"--list", "--unlock", "--lint", "--help"} & set(words):
        command.append("--dry-run")
    if "--unlock" in words:
        return
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]


def actadd(words: list[str]) -> None:
    """The command line knows the command, and every option is one of its own."""
    from typer.main import get_command

    from actadd.cli import app

    group = get_command(app)
    if words and words != ["--version"]:
        command = group.commands[words[0]]
        command.make_context(words[0], [word for word in words[1:] if word != "--help"])


@pytest.mark.parametrize(("page", "command"), commands(), ids=[c for _, c in commands()])
def test_what_is_to_be_typed_is_understood(page, command, tmp_path):
    words = shlex.split(command)
    name = Path(words[0]).name
    if name == "make":
        targets = [word for word in words[1:] if "=" not in word]
        done = subprocess.run(["make", "-n", *targets], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    elif name == "snakemake":
        if "config/paper.yaml" in words:
            pytest.skip("a dry run of the whole paper is a test of its own")
        snakemake(words, page, tmp_path)
    elif words[:3] == [words[0], "-m", "actadd"] and name.startswith("python"):
        actadd(words[3:])
    elif words[:2] == ["python", "-c"]:
        subprocess.run([sys.executable, *words[1:]], cwd=ROOT, check=True, capture_output=True)
    elif name == "actadd":
        actadd(words[1:])
    elif words[:3] == [words[0], "-m", "benchmarks"] and name.startswith("python"):
        command = [sys.executable, "-m", "benchmarks", "--help"]
        environment = {"PYTHONPATH": str(ROOT / "workflow"), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        known = set(re.findall(r"--[a-z-]+", done.stdout))
        assert {word for word in words if word.startswith("--")} <= known
    elif name in SHELL:
        for word in words[1:]:
            if re.fullmatch(r"[\w/.-]+\.(txt|lock|yml|yaml)", word):
                assert (ROOT / word).exists(), f"{page}: {word} is not there"
    else:
        pytest.fail(f"{page}: no test knows {command!r}; say <!-- elsewhere: why --> before it")


def test_links_and_pictures_exist():
    for page in PAGES:
        text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if not re.match(r"[a-z]+:", target):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        # What is of one or two prompts is the method of the paper, which has its own page.
        ("directions", {*VECTOR_KINDS} - {"pair", "single", "file"}),
        ("operations", {*OPERATIONS}),
    ],
)
def test_every_direction_and_operation_has_a_page(folder, names):
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (DOCS / folder).glob("*.md")}
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert {*pages} == names
    for name, text in pages.items():
        assert re.findall("^## (.*)$", text, re.MULTILINE) == ["Formula", "Source", "Pitfalls"]
        assert f"{folder}/{name}.md" in menu and "`" + name + "`" in text


def fragments() -> list[tuple[str, dict]]:
    sections = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    result = []
    for page, _, text in blocks("yaml"):
        part = yaml.safe_load(text)
        if isinstance(part, dict) and part.keys() <= sections["properties"].keys():
            result.append((page, part))
    return result


@pytest.mark.parametrize(("page", "part"), fragments(), ids=[page for page, _ in fragments()])
def test_a_piece_of_config_fits_the_default_one(page, part, tmp_path):
    shutil.copytree(ROOT / "workflow/data", tmp_path / "workflow/data")
    for entry in part.get("datasets", {}).values():
        path = tmp_path / entry.get("file", "")
        if "source" not in entry and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("body,stars,product\nvery good,5,a\n")
    for entry in part.get("models", {}).values():
        entry.setdefault("parameters", 1_000_000)
    # Files of others are tried where they are read.
    vectors = part.get("vectors", {})
    part["vectors"] = {name: e for name, e in vectors.items() if e["kind"] != "file"}
    files = [ROOT / "config.yaml"]
    if any("source" not in entry for entry in part.get("models", {}).values()):
        # Keys beside those that the paper's models have.
        files += [ROOT / "config/paper_small.yaml", ROOT / "config/paper.yaml"]
        part["licences_accepted"] = ["opt-6-7b", "llama-3-8b", "llama-13b"]
    for name in part.get("plugins", []):
        (tmp_path / name).write_text(plugins.example(page))
    (tmp_path / "part.yaml").write_text(yaml.safe_dump(part))
    with plugins.loaded():
        checked(load([*files, tmp_path / "part.yaml"]), tmp_path)


def messages() -> list[str]:
    """Every text in our code that may be a message, what it fills in written as "…"."""
    result = []
    for path in (*ROOT.glob("workflow/**/*.py"), *ROOT.glob("workflow/rules/*.smk")):
        source = path.read_text(encoding="utf-8")
        if path.suffix == ".smk":
            result.append(re.sub(r'"\s+f?"', "", re.sub(r"{[^}]*}", "…", source)))
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.JoinedStr):
                parts = [getattr(part, "value", None) for part in node.values]
                result.append("".join(p if isinstance(p, str) else "…" for p in parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                result.append(node.value)
    return [*result, (ROOT / "Makefile").read_text(encoding="utf-8")]


def test_every_message_in_troubleshooting_is_one_that_is_printed():
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    ours = messages()
    quoted = re.findall(r"^### `(.+)`\n\n(<!-- of snakemake -->)?", page, re.MULTILINE)
    assert len(quoted) > 25
    for message, theirs in quoted:
        if theirs:
            continue
        parts = [part.strip() for part in message.split("…") if part.strip()]
        # In order, with anything in place of what is filled in.
        pattern = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
        assert any(pattern.search(text) for text in ours), message


def test_snakemakes_own_messages_are_snakemakes():
    import snakemake

    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    files = [path.read_text() for path in Path(snakemake.__file__).parent.rglob("*.py")]
    quoted = re.findall(r"^### `(.+)`\n\n<!-- of snakemake -->", page, re.MULTILINE)
    assert len(quoted) == 2
    for message in quoted:
        assert any(message in text for text in files), message


def test_the_gallery_has_figures_that_the_config_makes():
    sys.path.insert(0, str(ROOT / "docs"))
    from hooks import gallery
    from measured import FIGURES, GALLERY, read

    config = checked(load([ROOT / "config.yaml"]), ROOT)
    rows = list(read("figures.csv"))
    assert [row["figure"] for row in rows] == list(FIGURES)
    assert {path.stem for path in GALLERY.glob("*.png")} == {*FIGURES}
    assert sum(path.stat().st_size for path in GALLERY.glob("*.png")) < 1_500_000
    targets = {target_of("figures", name) for name in config["figures"]}
    commands = re.findall(r"snakemake --cores all (\S+)", gallery())
    assert len(commands) == len(FIGURES) and {*commands} <= targets
    for row in rows:
        entry = config["figures"][row["figure"]]
        assert row["part"] == ("laboratory" if "study" in entry else "default run")
        assert row["title"] == entry["title"], "run docs/measured.py again"


def test_the_table_of_models_has_its_rows_and_their_origin():
    sys.path.insert(0, str(ROOT / "docs"))
    from hooks import models
    from measured import ROWS, read

    rows = list(read("models.csv"))
    assert [row["steered towards"] for row in rows] == [row[0] for row in ROWS]
    for row in rows:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d [0-9a-f]{7,}", row["made with"])
        value, low, high = map(float, re.findall(r"[+-][\d.]+", row["steered"]))
        assert low < value < high
    assert models().count("\n| ") == len(rows)


def test_the_citation_is_of_this_version():
    sys.path.insert(0, str(ROOT / "docs"))
    from hooks import citation

    import actadd

    assert f"version = {{{actadd.__version__}}}" in citation()


def test_the_command_line_page_names_every_option():
    from typer.main import get_command

    from actadd.cli import app

    sys.path.insert(0, str(ROOT / "docs"))
    from hooks import command_line

    page = command_line()
    for name, command in get_command(app).commands.items():
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        options = [option for each in command.params for option in each.opts]
        assert options and all(option.upper() in section.upper() for option in options), name
    assert not re.search("[─│╭╰]", page)


def test_every_page_is_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert pages and {page for page in pages if not re.search(rf"[ :]{page}$", menu, re.M)} == set()


def test_the_walk_through_of_slurm_fits_profile_and_plugin(tmp_path):
    from snakemake_executor_plugin_slurm.partitions import read_partition_file

    page = (DOCS / "how-to/cluster.md").read_text(encoding="utf-8")
    blocks_ = re.findall(r"<!-- profile: ([^\n]+) -->\n```text\n(.*?)```", page, re.DOTALL)
    [(_, resources), (_, partitions)] = blocks_
    profile = (ROOT / "profiles/slurm/profile.yaml").read_text(encoding="utf-8")
    profile = profile.replace("  # slurm_", "  slurm_")
    entry = yaml.safe_load(resources)["default-resources"]
    assert yaml.safe_load(profile)["default-resources"] == entry
    (tmp_path / "partitions.yaml").write_text(partitions)
    read = read_partition_file(tmp_path / "partitions.yaml")
    assert [each.name for each in read] == ["main", "gpu"]


def test_examples_in_python_are_python():
    for page, _, text in blocks("python"):
        if "snakefile:" not in text:
            compile(text, page, "exec")


def test_every_config_key_is_described_in_the_reference():
    sys.path.insert(0, str(ROOT / "docs"))
    from hooks import config_keys, rule_files

    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    page = config_keys()

    def names(part) -> set[str]:
        result = set()
        if isinstance(part, dict):
            for key, value in part.items():
                if key == "properties" and isinstance(value, dict):
                    result |= {name for name, entry in value.items() if entry}
                result |= names(value)
        elif isinstance(part, list):
            for value in part:
                result |= names(value)
        return result

    written = set(re.findall(r"\w+", page))
    assert names(schema["properties"]) | names(schema["$defs"]) <= written
    rows = [re.split(r"(?<!\\) *\| *", line) for line in page.splitlines() if "<code" in line]
    assert [key for _, key, output, *_ in rows if not output] == []
    assert {len(row) for row in rows} == {5} and len(rows) > 200
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        assert path.name in rule_files()


def test_every_target_is_described_in_the_reference():
    sys.path.insert(0, str(ROOT / "docs"))
    from hooks import rules

    rows = [line.split(" | ") for line in rules().splitlines()[2:]]
    assert [target for target, output in rows if not output.strip(" |")] == []
    assert {"| `all`", "| `explorer`", "| `fig_topic`"} <= {target for target, _ in rows}


def test_docstrings_become_lists_and_code():
    sys.path.insert(0, str(ROOT / "docs"))
    from docstrings import markdown

    text = (
        "Adds.\n\nrows: of a\n    vector.\nlayer: where.\nRaises nothing.\n\n>>> 1\n1\n\n  a table"
    )
    expected = ["Adds.", "- `rows`: of a\n  vector.", "- `layer`: where.", "Raises nothing."]
    assert markdown(text) == "\n\n".join([*expected, "```pycon\n>>> 1\n1\n```", "  a table"])


def test_the_picture_of_the_rules_is_that_of_the_rules_now():
    sys.path.insert(0, str(ROOT / "docs"))
    from rulegraph import IMAGE, rules

    drawn = set(re.findall(r"<title>(\w+)</title>", IMAGE.read_text())) - {"rules"}
    assert drawn == {name for edge in rules() for name in edge}


def test_the_site_is_built_and_asks_no_server(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", tmp_path / "site"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', text)
        assert [url for url in loaded if "canonical" not in url] == [], page.name


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A clone with the environment of these tests; what one page has computed, the next reuses."""
    folder = tmp_path_factory.mktemp("docs") / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    (folder / ".venv").mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (folder / ".venv" / part).symlink_to(Path(sys.prefix) / part)
    (folder / ".venv/.installed").touch()
    return folder


def typed(page: str, clone: Path, *, leave_out: str = "") -> str:
    """What a page's commands print, typed one after another with the real model."""
    script = ["set -e"]
    for name, before, text in blocks("sh"):
        if name == page and "<!-- elsewhere: " not in before:
            lines = text.strip().splitlines()
            script += [line for line in lines if not leave_out or leave_out not in line]
    bin_ = clone / ".venv/bin"
    script = [line.replace("source .venv/bin/activate", f"PATH={bin_}:$PATH") for line in script]
    environment = {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}"}
    command = [shutil.which("bash"), "-c", "\n".join(script)]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.docs
def test_the_readme_from_top_to_bottom(clone):
    """All but the paper at its full size."""
    assert "unsteered" in typed("README.md", clone, leave_out="config/paper.yaml")
    for name in ("report.html", "explorer.html", "figures/topic.pdf", "tables/scorer_card.tex"):
        assert (clone / "results" / name).exists(), name
    assert len(list((clone / "results/figures").glob("*.png"))) > 20


@pytest.mark.docs
def test_the_tutorial_from_top_to_bottom(clone):
    (clone / "mine.yaml").write_text(TUTORIAL)
    printed = typed("docs/tutorial.md", clone)
    assert "unsteered" in printed and "ok:" in printed
    assert (clone / "results/figures/calm.png").exists()
    assert (clone / "results/explorer.html").exists()
    # Its fourth step.
    (clone / "mine.yaml").write_text(TUTORIAL.replace("[-2, 2]", "[-2, 2, 4]"))
    typed("docs/tutorial.md", clone)
    log = (clone / "results/logs/completions/smollm2-135m/calm.log").read_text()
    assert "cells: 2 computed, 5 reused" in log


@pytest.mark.docs
def test_the_held_out_example_from_top_to_bottom(clone):
    (clone / "sad.yaml").write_text(written("docs/held-out.md"))
    assert "ok:" in typed("docs/held-out.md", clone, leave_out="explorer")
    for file in ("figures/sad.png", "choices/stories15m/sad.json", "summaries/stories15m/sad.csv"):
        assert (clone / "results" / file).exists(), file


@pytest.mark.docs
def test_the_librarys_example_prints_what_the_page_says(clone):
    command = ["snakemake", "--cores", "all", "results/models/stories15m"]
    subprocess.run(command, cwd=clone, check=True)
    page = (DOCS / "exchange.md").read_text(encoding="utf-8")
    [(example, printed)] = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL)
    environment = {**os.environ, "PYTHONPATH": str(clone / "workflow")}
    command = [sys.executable, "-c", example]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    assert done.stdout == printed, done.stderr


@pytest.mark.docs
def test_fetching_first_from_top_to_bottom(clone):
    typed("docs/how-to/offline.md", clone)
