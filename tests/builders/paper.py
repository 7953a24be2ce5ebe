"""The paper's config."""

import os
from pathlib import Path

import yaml
from snakemake.utils import update_config

from actadd.config.checks import checked
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
    """The config as Snakemake puts it together: two files, the overlay, what --config says."""
    config: dict = {}
    for name in ("config/paper_small.yaml", "config.yaml", f"config/{overlay}.yaml"):
        update_config(config, yaml.safe_load((tiny.ROOT / name).read_text(encoding="utf-8")))
    update_config(config, changes or {})
    return checked(config, tiny.ROOT)
