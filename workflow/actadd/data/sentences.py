"""Cutting a text into sentences: by rules, or by what NLTK's Punkt learned of a language."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from actadd.base.errors import UserError

PUNKT_FILES = ("abbrev_types.txt", "collocations.tab", "sent_starters.txt", "ortho_context.tab")


def by_rules(text: str) -> Iterator[str]:
    """Sentences with single spaces; an empty line ends one."""
    from syntok import segmenter

    for paragraph in segmenter.analyze(text):
        for tokens in paragraph:
            yield " ".join("".join(token.spacing + token.value for token in tokens).split())


def by_punkt(folder: Path, key: str) -> Callable[[str], Iterable[str]]:
    """What cuts a text as NLTK does with the files in `folder`; white space inside is kept.

    folder: a source with the files of NLTK's package punkt_tab for one language. key: the config
    key that named it, for messages.
    """
    # Only here: importing NLTK takes two seconds.
    from nltk.tabdata import PunktDecoder
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    places = [folder, folder / "english", folder / "punkt_tab" / "english"]
    missing = {
        place: [file for file in PUNKT_FILES if not (place / file).is_file()] for place in places
    }
    place = min(places, key=lambda place: len(missing[place]))
    if missing[place]:
        raise UserError(
            f"{key}: source {folder.name!r} has no {', '.join(missing[place])}; name a source that "
            "holds these files of NLTK's punkt_tab at its top, in english or in punkt_tab/english"
        )

    def lines(file: str) -> list[str]:
        with (place / file).open(encoding="utf-8") as stream:
            return list(stream)

    # Not by NLTK's load_punkt_params, which opens files in NLTK's own folders only.
    decoder, learned = PunktDecoder(), PunktParameters()
    try:
        learned.abbrev_types = decoder.txt2set(lines("abbrev_types.txt"))
        learned.collocations = set(decoder.tab2tups(lines("collocations.tab")))
        learned.sent_starters = decoder.txt2set(lines("sent_starters.txt"))
        learned.ortho_context = decoder.tab2intdict(lines("ortho_context.tab"))
    except ValueError as error:
        raise UserError(
            f"{key}: source {folder.name!r} cannot be read as NLTK's punkt_tab: {error}"
        ) from error
    return PunktSentenceTokenizer(learned).tokenize
