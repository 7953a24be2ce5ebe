"""Archives as they are downloaded: their sums, and files out of them."""

import shutil
import tarfile
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from actadd.base.errors import UserError


def check_sha256(key: str, sha256: str, expected: str) -> None:
    """Raise UserError, which names the config key, if a file's sha256 is not the expected one."""
    if sha256 != expected:
        raise UserError(
            f"{key}: the file's sha256 is {sha256}, the config says {expected}. The file was "
            "changed or damaged on the way; if the new file is right, write its sum into the config"
        )


def unpack(name: str, archive: Path, member: str, target: Path, scratch: Path) -> None:
    """Append a member of an archive to `target`; "a!b" is member b of the archive that a is.

    Appending joins a file that is published in pieces. name: the source, for messages. scratch: a
    folder for inner archives.
    """
    member, _, inner = member.partition("!")
    output = scratch / "inner" / Path(member).name if inner else target
    try:
        with ExitStack() as stack:
            stream = stack.enter_context(_open_member(archive, member, stack))
            output.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfileobj(stream, stack.enter_context(output.open("ab")))
    except KeyError as error:
        raise UserError(f"sources.{name}: {archive.name} has no member {member!r}") from error
    except (tarfile.TarError, zipfile.BadZipFile) as error:
        raise UserError(
            f"sources.{name}: {archive.name} is not a readable zip or tar archive; check its "
            "address, or leave members out"
        ) from error
    if inner:
        unpack(name, output, inner, target, scratch / "inner")
        output.unlink()


def _open_member(archive: Path, member: str, stack: ExitStack) -> IO[bytes]:
    if archive.suffix in (".whl", ".zip"):
        return stack.enter_context(zipfile.ZipFile(archive)).open(member)
    tar = stack.enter_context(tarfile.TarFile.open(archive))
    stream = tar.extractfile(member)
    if stream is None:
        raise KeyError(member)
    return stream
