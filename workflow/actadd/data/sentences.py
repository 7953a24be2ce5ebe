"""Sentences of a text: by rules, or by the parameters of NLTK's Punkt for a language."""

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
    """A function that cuts a text as NLTK does; white space inside a sentence stays.

    folder: a source with the files of NLTK's package punkt_tab for one language. key: the config
    key that names it, for messages.
    """
    # Imported here, because importing NLTK takes two seconds.
    from nltk.tabdata import PunktDecoder
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    folders = [folder, folder / "english", folder / "punkt_tab" / "english"]
    missing = {
        path: [file for file in PUNKT_FILES if not (path / file).is_file()] for path in folders
    }
    parameters = min(folders, key=lambda path: len(missing[path]))
    if missing[parameters]:
        files = ", ".join(missing[parameters])
        raise UserError(
            f"{key}: source {folder.name!r} has no {files}; name a source that "
            "holds these files of NLTK's punkt_tab at its top, in english or in punkt_tab/english"
        )

    def lines(file: str) -> list[str]:
        with (parameters / file).open(encoding="utf-8") as stream:
            return list(stream)

    # NLTK's own load_punkt_params opens files in NLTK's folders only.
    decoder, punkt = PunktDecoder(), PunktParameters()
    try:
        punkt.abbrev_types = decoder.txt2set(lines("abbrev_types.txt"))
        punkt.collocations = set(decoder.tab2tups(lines("collocations.tab")))
        punkt.sent_starters = decoder.txt2set(lines("sent_starters.txt"))
        punkt.ortho_context = decoder.tab2intdict(lines("ortho_context.tab"))
    except ValueError as error:
        raise UserError(
            f"{key}: source {folder.name!r} cannot be read as NLTK's punkt_tab: {error}"
        ) from error
    tokenizer = PunktSentenceTokenizer(punkt)

    def cut(text: str) -> Iterable[str]:
        yield from tokenizer.tokenize(text)

    return cut
