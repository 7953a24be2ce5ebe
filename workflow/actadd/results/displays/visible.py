"""Texts in which everything can be seen."""

import unicodedata

# Categories of characters that leave no mark: controls, directions, halves, private use, line ends.
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
# Categories of letters that a joiner behind them gives another form.
JOINED = ("Lo", "Mn", "Mc")


def escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def visible(text: str) -> str:
    """The text with an escape for each character that leaves no mark, but for line ends.

    Names that differ look different, and no character turns the direction of what follows.
    """
    text = text.replace("\r\n", "\n")
    if text.isascii() and text.isprintable():
        return text
    characters = []
    for index, char in enumerate(text):
        joins = char in "\u200c\u200d" and unicodedata.category(text[index - 1]) in JOINED
        unseen = unicodedata.category(char) in UNSEEN and char != "\n" and not (joins and index)
        characters.append(escape(char) if unseen else char)
    return "".join(characters)
