"""The content of a file: unpacked, decoded, in lines."""

import bz2
import codecs
import contextlib
import gzip
import io
import lzma
import re
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
# What a file of a form that is not read begins with, or is called, and how to get one that is.
FOREIGN = {
    b"%PDF": "a PDF; save its texts as plain text or CSV",
    b"\xd0\xcf\x11\xe0": "a file of Microsoft Office; save the sheet as CSV UTF-8",
    b"\x80\x04": "a Python pickle, which can run code; save it as Parquet or JSON Lines",
    b"\x80\x05": "a Python pickle, which can run code; save it as Parquet or JSON Lines",
    b"SQLite format 3": "a database; save its table as CSV or JSON Lines",
    b"\x89HDF": "an HDF5 file; save its table as Parquet or CSV",
    b"\x93NUMPY": "a NumPy file; save its texts as JSON Lines",
}
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Misread(ValueError):
    """A file that is not of its format; the message says what to do."""


def suffix_of(name: str) -> str:
    """A file name's ending in lower case, without that of a compression."""
    path = PurePath(name)
    while path.suffix.lower() in COMPRESSED:
        path = path.with_suffix("")
    return path.suffix.lower()


@dataclass(frozen=True)
class File:
    """A file of a dataset.

    encoding: of its text; if None, what a byte order mark says, or UTF-8.
    """

    path: Path
    encoding: str | None = None

    @cached_property
    def suffix(self) -> str:
        """The name's ending without that of a compression; of x.zip, of the file that it holds."""
        suffix = suffix_of(self.path.name)
        if not suffix and zipfile.is_zipfile(self.path):
            with zipfile.ZipFile(self.path) as archive:
                names = members(archive)
            suffix = PurePath(names[0]).suffix.lower() if len(names) == 1 else ""
        return suffix

    def bytes(self) -> bytes:
        """The content, unpacked if it is compressed, whatever the file's name is."""
        return unpacked(self.path.read_bytes())

    def text(self) -> str:
        """The content as text, without a byte order mark."""
        return decoded(self.bytes(), self.encoding)

    def lines(self) -> dict[int, str]:
        """Number -> line without its end; cut at line ends only, as JSON may hold separators."""
        text = self.text()
        if "\n" not in text:
            # Of old Macs.
            text = text.replace("\r", "\n")
        lines = text.removesuffix("\n").split("\n") if text else []
        return {number: line.removesuffix("\r") for number, line in enumerate(lines, 1)}


def unpacked(data: bytes) -> bytes:
    """Content of a compressed file or of a zip archive of one file; other content as it is.

    Raises Misread for an archive of several files, and for formats that are not read.
    """
    if data.startswith(b"\x1f\x8b"):
        return gzip.decompress(data)
    if data.startswith(b"\xfd7zXZ\0"):
        return lzma.decompress(data)
    if data.startswith(b"BZh") and data[4:10] == b"1AY&SY":
        return bz2.decompress(data)
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow as pa

        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            content: bytes = stream.read()
            return content
    if data.startswith(b"PK\x03\x04"):
        return _only_member(data)
    for start, what in FOREIGN.items():
        if data.startswith(start):
            raise Misread(f"it is {what}")
    return data


def members(archive: zipfile.ZipFile) -> list[str]:
    """The files in a zip archive, without what macOS puts beside each."""
    return [
        name for name in archive.namelist() if not name.endswith("/") and "__MACOSX/" not in name
    ]


def _only_member(data: bytes) -> bytes:
    """What a zip archive of one file holds."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = members(archive)
        if "[Content_Types].xml" in names or "mimetype" in names:
            raise Misread("it is a sheet of Excel or LibreOffice; save it as CSV UTF-8")
        if len(names) != 1:
            first = ", ".join(names[:5])
            raise Misread(f"it is a zip archive of {len(names)} files ({first}); unpack it")
        return archive.read(names[0])


def decoded(data: bytes, encoding: str | None) -> str:
    """Bytes as text: in the encoding that the config names, or their byte order mark, or UTF-8.

    A byte order mark is not part of the text.
    """
    marked = [name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)]
    chosen = encoding or (marked[0] if marked else "utf-8")
    if data.startswith(b"PAR1") or data.startswith(b"ARROW1"):
        raise Misread("it is a binary table; write format: parquet or feather")
    if not codecs.lookup(chosen).name.startswith("utf"):
        _refuse_another(data, chosen)
    if not encoding and not marked and (end := _byte_order(data[:200])):
        raise Misread(f"every second byte is 0; write table: {{ encoding: utf-16-{end} }}")
    try:
        text = data.decode(chosen)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Misread(
            f"line {line}: the byte 0x{data[error.start]:02x} is not {chosen}; save the file as "
            "UTF-8, or name its encoding: table: { encoding: cp1252 }"
        ) from error
    return text.removeprefix("\ufeff")


def _byte_order(data: bytes) -> str:
    """le or be if most of every second byte is 0, as in UTF-16, else nothing."""
    even, odd = data[::2], data[1::2]
    for zeros, others, end in ((odd, even, "le"), (even, odd, "be")):
        if 2 * zeros.count(0) > len(zeros) > 3 and not others.count(0):
            return end
    return ""


def _refuse_another(data: bytes, encoding: str) -> None:
    """Latin-1 decodes anything, and "…" would become "â€¦" or a control character in texts."""
    with contextlib.suppress(UnicodeDecodeError):
        if not data.isascii() and data.decode("utf-8"):
            raise Misread(f"it is UTF-8 and not {encoding}; leave table.encoding out")
    if codecs.lookup(encoding).name == "iso8859-1" and (odd := re.search(rb"[\x80-\x9f]", data)):
        line = data.count(b"\n", 0, odd.start()) + 1
        raise Misread(
            f"line {line}: the byte 0x{odd[0].hex()} is not valid {encoding}; write table: "
            "{ encoding: cp1252 }"
        )


def plain(text: str) -> str:
    """A plain text file's text: every line end as one character, without the one at its end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
