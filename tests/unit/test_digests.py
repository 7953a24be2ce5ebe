"""What the digest of code is taken over: which edits change it, and which code is reached."""

import json
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from actadd.store import cells, digests, syntax
from builders import tiny

BEFORE = '''
"""A module."""
import logging
import math
from dataclasses import dataclass

import numpy as np
from actadd.base.files import digest

LIMIT = 3


@dataclass
class Options:
    """Options."""
    count: int = option("How many.", 2, minimum=1)


def scale(values: list[float], key: str) -> float:
    """The scaled sum."""
    if not values:
        raise ValueError(f"{key}: nothing to scale; write a number")
    if len(values) > 9:
        raise Refused(413, f"{key}: too many")
    logging.info("scaling %d", len(values))
    print(f"scaling {key}")
    print("kept", file=out)
    total: float = math.fsum(values)
    return np.float32(total) / LIMIT  # the mean of three


@measure(draws=True, readings=1)
def keyed(values):
    return digest(values)
'''


def tree(content: str) -> dict:
    """What of a module's text enters a digest."""
    source = syntax.parse(content.encode())
    parts = {**source.definitions, "": source.on_import}
    return {name: (part.tree, part.uses) for name, part in parts.items()}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # the mean of three", ""),
        ("def scale(", "\n\n\n# A comment.\ndef scale("),
        ('"""The scaled sum."""', '"""The sum, scaled.\n\n    Over all values."""'),
        ('    """The scaled sum."""\n', ""),
        ('"""A module."""', ""),
        ("nothing to scale; write a number", "no values"),
        ("{key}: nothing", "experiments.{key}: {values!r}: nothing"),
        ("{key}: too many", "{key}: more than nine"),
        ("scaling %d", "%d values"),
        ("scaling {key}", "{key} is scaled"),
        ("values: list[float], key: str", "values, key"),
        ("total: float = ", "total = "),
        ('option("How many."', 'option("How many there are."'),
        ("minimum=1", 'title="a number from 1 on", minimum=1'),
        ("np.float32(total) / LIMIT", "(\n        np.float32(total)\n        / LIMIT\n    )"),
        ("import math\n", "import math\nimport os\n"),
        ("readings=1", "readings=2, token_bytes=3, work=scale"),
    ],
)
def test_edits_that_change_no_digest(old, new):
    assert old in BEFORE
    assert tree(BEFORE.replace(old, new)) == tree(BEFORE)


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("/ LIMIT", "* LIMIT", {"scale"}),
        ("LIMIT = 3", "LIMIT = 4", {"LIMIT"}),
        ("import numpy as np", "import torch as np", {"scale"}),
        ("import math\n", "import cmath as math\n", {"scale"}),
        ("base.files import digest", "store.digests import code_digest as digest", {"keyed"}),
        ("ValueError(", "KeyError(", {"scale"}),
        ("Refused(413", "Refused(500", {"scale"}),
        ("if not values", "if values", {"scale"}),
        ('print("kept", file=out)', 'print("left", file=out)', {"scale"}),
        ("count: int", "count: float", {"Options"}),
        ('"How many.", 2', '"How many.", 3', {"Options"}),
        ("minimum=1", "minimum=2", {"Options"}),
        ("@dataclass\n", "@dataclass(frozen=True)\n", {"Options"}),
        ("\n@measure", "\nnp.seterr(all='raise')\n\n@measure", {""}),
        ("draws=True", "draws=False", {"keyed"}),
    ],
)
def test_edits_that_change_the_digest_of_what_was_edited(old, new, changed):
    assert old in BEFORE
    before, after = tree(BEFORE), tree(BEFORE.replace(old, new))
    assert {name for name in before | after if before.get(name) != after.get(name)} == changed


@pytest.mark.parametrize(
    ("test", "runs"),
    [
        ("if TYPE_CHECKING:\n    LIMIT = {}\n", False),
        ("if not TYPE_CHECKING:\n    LIMIT = {}\n", True),
        ("if typing.TYPE_CHECKING:\n    pass\nelse:\n    LIMIT = {}\n", True),
    ],
)
def test_what_only_type_checkers_read_changes_no_digest(test, runs):
    assert (tree(test.format(1)) != tree(test.format(2))) == runs


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project of three modules under the name `actadd`, in place of this one."""
    files = {
        "__init__.py": "",
        "one.py": """
            from typing import TYPE_CHECKING
            from actadd import two
            from actadd.two import again as renamed
            if TYPE_CHECKING:
                from actadd.three import Typed

            def direct():
                return two.used()

            def renames():
                return renamed()

            def lazily():
                from actadd.three import late
                return late() + __import__("importlib").import_module("actadd.three").named()

            def given(value: "list[Typed]"):
                return value[0].method()
        """,
        "two.py": """
            import numpy
            from actadd.three import exported as again
            CONSTANT = 1
            def used():
                return CONSTANT
            def unused():
                return numpy.pi
        """,
        "three.py": """
            import torch
            def exported(): return 1
            def late(): return torch.ones(1)
            def named(): return 3
            def other(): return 4
            class Typed:
                def method(self): return named()
        """,
    }
    for name, text in files.items():
        path = tmp_path / "actadd" / name
        path.parent.mkdir(exist_ok=True)
        lines = text.splitlines()
        path.write_text("\n".join(line.removeprefix(" " * 12) for line in lines))
    monkeypatch.setattr(digests, "ROOT", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    forget()
    yield tmp_path / "actadd"
    forget()


CACHES = (
    *(digests.module_file, digests._module_of, digests._assets),
    *(digests.reached, digests.code_digest, syntax.read, syntax._stored),
)


def forget() -> None:
    for cached in CACHES:
        cached.cache_clear()


def test_code_is_reached_by_imports_attributes_annotations_and_names(project):
    code = digests.reached("actadd.one")
    assert code.modules == {"actadd", "actadd.one", "actadd.two", "actadd.three"}
    reached = {f"{module}.{name}" for module, name in code.definitions}
    assert {name for name in reached if ".one." not in name} == {
        "actadd.two.used",
        "actadd.two.CONSTANT",
        "actadd.three.exported",
        "actadd.three.late",
        "actadd.three.named",
        "actadd.three.Typed",
    }
    assert "torch" in code.packages and "numpy" not in code.packages


def test_only_code_that_is_reached_changes_the_digest(project):
    def after(file: str, old: str, new: str) -> str:
        path = project / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        forget()
        digest = digests.code_digest("actadd.one")
        path.write_text(text)
        return digest

    same = digests.code_digest("actadd.one")
    assert after("three.py", "return 4", "return 5") == same
    assert after("two.py", "numpy.pi", "numpy.e") == same
    assert after("two.py", "CONSTANT = 1", "CONSTANT = 2") != same
    assert after("three.py", "return 3", "return 4") != same
    assert after("three.py", "import torch", "import torch\ntorch.manual_seed(0)") != same


OUTSIDE = {
    "__init__.py": "from .all import *\n",
    "kinds/__init__.py": "",
    "kinds/one.py": """
from . import beside
from .. import starred
from ..base import helper as renamed
def one():
    from .late import late
    import outside.later
    return beside.f(), renamed(), starred(), late(), outside.later.f()
""",
    "kinds/beside.py": "def f(): return 1\ndef unused(): return 1\n",
    "kinds/late.py": "def late(): return 1\n",
    "later.py": "def f(): return 1\n",
    "base.py": "def helper(): return 1\ndef unused(): return 1\n",
    "all.py": "def starred(): return 1\n",
    "apart.py": "def f(): return 1\n",
}


def test_a_package_from_elsewhere_counts_as_far_as_it_is_reached(tmp_path, monkeypatch):
    """By relative imports, by those of functions, whose modules are not loaded, and by a star."""
    folder = tmp_path / "outside"
    for name, text in OUTSIDE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = set(sys.modules)

    def digest() -> str:
        forget()
        return digests.code_digest("outside.kinds.one")

    try:
        import_module("outside.kinds.one")
        assert "outside.kinds.late" not in sys.modules
        first = digest()
        changing = set()
        for name, text in OUTSIDE.items():
            (folder / name).write_text(text.replace("return 1", "return 2", 1))
            changing |= {name} if digest() != first else set()
            (folder / name).write_text(text)
        assert changing == {"kinds/beside.py", "kinds/late.py", "later.py", "base.py", "all.py"}
        for name in ("kinds/beside.py", "base.py"):
            text = OUTSIDE[name]
            (folder / name).write_text(text.replace("unused(): return 1", "unused(): return 2"))
        assert digest() == first
    finally:
        for name in set(sys.modules) - before:
            del sys.modules[name]
        forget()


def test_an_unreadable_or_damaged_cache_is_ignored(project):
    digest = digests.code_digest("actadd.one")
    [file] = (project.parent / "cache" / "actadd").iterdir()
    assert json.loads(file.read_text())
    for content in (b"", b"{}", b"[1]", b"\x80"):
        file.write_bytes(content)
        forget()
        assert digests.code_digest("actadd.one") == digest
    file.unlink()
    file.mkdir()
    forget()
    assert digests.code_digest("actadd.one") == digest


def test_every_entry_of_no_numbers_exists_and_has_a_reason():
    """A renamed module would else be digested, or left out, without a word."""
    for name, reason in digests.NO_NUMBERS.items():
        module, _, definition = name.rpartition(".")
        file = digests.module_file(name)
        assert file or definition in syntax.read(digests.module_file(module)).definitions, name
        assert len(reason.split()) >= 3


def test_a_module_asked_for_by_name_counts():
    assert digests.code_digest("actadd.base.errors") != digests.code_digest("actadd.base.locks")
    with pytest.raises(ValueError, match=r"actadd\.nowhere"):
        digests.code_digest("actadd.nowhere")


def test_packages_are_those_that_the_code_uses_and_that_can_change_a_number():
    completions = digests.package_versions("actadd.measure.measures.completions")
    assert completions.keys() >= {"torch", "transformers", "tokenizers", "numpy"}
    assert not completions.keys() & {"sklearn", "vaderSentiment", "matplotlib", "json", "actadd"}
    assert "sklearn" in digests.package_versions("actadd.scorers.models.classifier")
    assert digests.package_versions("programs.fetch") == {}


def test_every_file_beside_a_module_counts(tmp_path):
    """The parts of the explorer's page."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(digests.ROOT, tmp_path / "workflow", ignore=ignored)
    code = (
        "from actadd.store.digests import code_digest as d; "
        "print(d('programs.explorer'), d('programs.summary'))"
    )

    def sums() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path / "workflow",
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    first = sums()
    pages = [
        path
        for path in (tmp_path / "workflow/actadd/results/explorer").rglob("*")
        if path.suffix in (".js", ".css", ".html")
    ]
    assert len(pages) >= 3
    for page in pages:
        before = sums()
        page.write_text(page.read_text() + "\n")
        after = sums()
        assert before[0] != after[0] and first[1] == after[1], page


def test_digests_need_no_heavy_import():
    code = (
        "import sys; import actadd.store.digests; "
        "print([m for m in ('torch', 'pandas', 'pyarrow', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tiny.ROOT / "workflow",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("compute", "package"),
    [({"quantization": "8bit"}, "bitsandbytes"), ({"device_map": "auto"}, "accelerate")],
)
def test_packages_by_which_transformers_loads_a_model_count(compute, package):
    modules = ("actadd.measure.measures.completions",)
    assert package not in digests.package_versions(*modules, compute={"device": "cpu"})
    assert package in digests.package_versions(*modules, compute=compute)
    plain, loaded = (cells.cell_key(modules, (), each, spec={}) for each in ({}, compute))
    assert plain != loaded
