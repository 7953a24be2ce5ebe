"""The paper's config."""

import os
from pathlib import Path

from actadd.config.checks import checked
from actadd.config.files import load
from builders import tiny

TERMS = {"licences_accepted": ["opt-6-7b", "llama-3-8b", "llama-13b"]}
COPIES = Path(os.environ.get("ACTADD_DATA_DIR", tiny.ROOT.parent / "shared" / "data"))
# What the paper counts as words on weddings.
WEDDING_WORDS = [
    "wedding",
    "weddings",
    "wed",
    "marry",
    "married",
    "marriage",
    "bride",
    "groom",
    "honeymoon",
]


def paper_config(overlay: str, changes: dict | None = None) -> dict:
    """The config as the workflow puts it together: config.yaml, the overlay, what --config says."""
    files = [tiny.ROOT / "config.yaml", tiny.ROOT / f"config/{overlay}.yaml"]
    return checked(load(files, changes), tiny.ROOT)
