"""Archives of texts."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from actadd.data.content import File, decoded, plain
from actadd.data.readers.kinds import TextOptions, reader

if TYPE_CHECKING:
    import pandas as pd


ARCHIVES = (".tar", ".xz", ".tgz", ".gz", ".bz2")


@reader()
def documents(file: File, options: TextOptions) -> pd.DataFrame:
    """Files of a tar archive, each one text, however it is compressed."""
    import pandas as pd

    with tarfile.open(file.path) as archive:
        texts = [plain(decoded(content, file.encoding)) for content in _files(archive)]
    return pd.DataFrame({"text": texts}, index=range(1, len(texts) + 1), dtype=object)


def _files(archive: tarfile.TarFile) -> Iterator[bytes]:
    """Contents of an archive's files, and of archives in it: OpenWebText's are in such a one."""
    # Each is read as it comes: going back in a compressed archive means starting again.
    for file in archive:
        stream = archive.extractfile(file) if file.isfile() else None
        if stream is None:
            continue
        if file.name.endswith(ARCHIVES):
            with tarfile.open(fileobj=stream) as inner:
                yield from _files(inner)
        else:
            yield stream.read()
