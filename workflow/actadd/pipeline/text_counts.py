"""How many texts a dataset holds and how long they are, as far as that is known before it is made.

Nothing is checked here: a wrong count only makes forecasts wrong.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from actadd.config.files import path_of
from actadd.measure.measures import MEASURES

# --- assumptions ----------------------------------------------------------------------------------
# Of English text; a tokenizer with a small vocabulary makes more tokens of it.
CHARACTERS_PER_TOKEN = 4
# Tokens of a long prompt, of a long text, and of a whole document; of a usual prompt and text.
PROMPT, TEXT, DOCUMENT = 64, 128, 1024
USUAL_PROMPT, USUAL_TEXT = 16, 32
# Texts of a dataset of unknown size, and groups of them.
TEXTS, GROUPS = 1000, 5


@dataclass(frozen=True)
class Text:
    """A text of a dataset, and what an experiment may choose it by."""

    characters: int
    split: str | None = None
    group: str | None = None


class TextCounts:
    """Numbers and lengths of the texts of a config's datasets and experiments."""

    def __init__(self, config: Mapping[str, Any], root: Path):
        """root: the folder that relative paths in the config start from."""
        self.config, self.root = config, root
        self._texts: dict[str, list[Text] | None] = {}
        self._chosen: dict[tuple[str, ...], list[Text] | None] = {}

    def texts(self, dataset: str, split: str = "all", limit: int | None = None) -> int:
        """The most texts of a split of a dataset; `TEXTS` if unknown."""
        chosen = self._of(dataset, split)
        if chosen is not None:
            return min(len(chosen), limit or len(chosen))
        texts, size = self._all(dataset), self._entry(dataset).get("splits", {}).get(split)
        known = TEXTS if size is None or size < 1 else int(size)
        count = known if texts is None else len(texts)
        return int(min(bound for bound in (count, size, limit) if bound and bound >= 1))

    def prompts(self, experiment: str, group: str | None = None) -> int:
        """Number of texts for each condition of an experiment. group: of a condition with one."""
        prompts = self._prompts(experiment)
        dataset, split, limit = prompts["dataset"], prompts["split"], prompts.get("limit")
        groups = [group] if group else prompts.get("group", [])
        chosen = self._of(dataset, split, *groups)
        if limit and prompts.get("each_group"):
            if chosen is not None:
                return sum(min(limit, n) for n in Counter(text.group for text in chosen).values())
            limit *= len(groups) or GROUPS
        if chosen is None:
            return self.texts(dataset, split, limit)
        return min(len(chosen), limit or len(chosen))

    def tokens(self, experiment: str) -> int:
        """The most tokens of one of an experiment's texts."""
        if self._draws(experiment):
            return PROMPT
        prompts = self._prompts(experiment)
        dataset = self._entry(prompts["dataset"])
        whole = dataset.get("format") == "documents" and not dataset["sentences"]
        return int(prompts.get("first_tokens", DOCUMENT if whole else TEXT))

    def usual_tokens(self, experiment: str) -> float:
        """Tokens of one of an experiment's texts on average, BOS included."""
        most, prompts = self.tokens(experiment), self._prompts(experiment)
        dataset = prompts["dataset"]
        texts = self._of(dataset, prompts["split"], *prompts.get("group", []))
        if texts is None and not self._entry(dataset).get("sentences"):
            texts = self._all(dataset)
        if texts:
            characters = mean(text.characters for text in texts)
            return min(1 + characters / CHARACTERS_PER_TOKEN, most)
        if self._draws(experiment):
            return USUAL_PROMPT
        return USUAL_TEXT if most == TEXT else most

    def _entry(self, dataset: str) -> Mapping[str, Any]:
        entry: Mapping[str, Any] = self.config["datasets"][dataset]
        return entry

    def _prompts(self, experiment: str) -> Mapping[str, Any]:
        prompts: Mapping[str, Any] = self.config["experiments"][experiment]["prompts"]
        return prompts

    def _draws(self, experiment: str) -> bool:
        return MEASURES[self.config["experiments"][experiment]["measure"]].draws

    def _all(self, dataset: str) -> list[Text] | None:
        """The texts of a dataset as they stand in the config, or in a file of the user's."""
        if dataset not in self._texts:
            entry = self._entry(dataset)
            if "texts" in entry:
                self._texts[dataset] = [Text(len(text)) for text in entry["texts"]]
            else:
                self._texts[dataset] = list(_rows(entry, self.root)) or None
        return self._texts[dataset]

    def _of(self, dataset: str, split: str, *groups: str) -> list[Text] | None:
        """The texts of a split, and of some groups if any are named; None if unknown."""
        key = dataset, split, *groups
        if key not in self._chosen:
            entry, texts = self._entry(dataset), self._all(dataset)
            unknown = texts is None or "splits" in entry or entry.get("sentences")
            self._chosen[key] = (
                None
                if unknown
                else [
                    text
                    for text in texts or []
                    if split in ("all", text.split) and (not groups or text.group in groups)
                ]
            )
        return self._chosen[key]


def _rows(entry: Mapping[str, Any], root: Path) -> Iterable[Text]:
    """The rows of a dataset's CSV file of the user's; none of any other file."""
    if "source" in entry or "table" in entry or not entry.get("file", "").endswith(".csv"):
        return
    columns = {name: name for name in ("text", "target", "split", "group")}
    columns |= entry.get("columns", {})
    path = path_of(entry["file"], root)
    with (
        suppress(OSError, ValueError, csv.Error),
        path.open(encoding="utf-8", newline="") as stream,
    ):
        for row in csv.DictReader(stream):
            length = sum(len(row.get(columns[name]) or "") for name in ("text", "target"))
            split, group = (row.get(columns[name]) for name in ("split", "group"))
            yield Text(length, split, group)
