"""What all downloads share: attempts, and which failures are worth another one; plain URLs."""

import shutil
from pathlib import Path
from typing import Any

from tenacity import Retrying

from actadd.base.errors import UserError, one_line
from actadd.base.files import system_error
from actadd.base.retries import TemporaryFailure, attempts
from actadd.data.sources.archives import unpack

ATTEMPTS = 4
# Between lines of progress: often enough for a person, seldom enough for a log file.
PROGRESS_SECONDS = 5


def tries(name: str, action: str) -> Retrying:
    """The attempts of an action for a source."""
    remedy = (
        "Check the network (a compute node may have none: fetch on the head node), or use a local "
        "copy with type: path"
    )
    return attempts(ATTEMPTS, f"sources.{name}: {action}", remedy)


def temporary(error: Exception) -> Exception:
    """What to raise for a failed download; the error itself where waiting does not help."""
    if system_error(error):
        return error
    return TemporaryFailure(one_line(error)[:300])


def fetch_url(
    name: str, spec: dict[str, Any], folder: Path, scratch: Path, _pins: dict[str, Any]
) -> dict[str, Any]:
    """Download a URL into `folder`, or the members of the archive that it is; returns no pins."""
    import requests
    from tqdm import tqdm

    file = spec.get("file") or spec["url"].split("?")[0].rsplit("/", 1)[-1]
    if file in ("", ".", ".."):
        raise UserError(f"sources.{name}.url: {spec['url']} names no file; add the key file")
    download = scratch / Path(file).name
    for attempt in tries(name, f"getting {spec['url']}"):
        with attempt:
            try:
                with requests.get(spec["url"], stream=True, timeout=60) as reply:
                    if reply.status_code in (401, 403, 404, 410):
                        raise UserError(
                            f"sources.{name}.url: {spec['url']} answered {reply.status_code}; "
                            "check the address"
                        )
                    reply.raise_for_status()
                    size = int(reply.headers.get("Content-Length", 0)) or None
                    bar = tqdm(total=size, unit="B", unit_scale=True, mininterval=PROGRESS_SECONDS)
                    with bar, download.open("wb") as output:
                        for chunk in reply.iter_content(1 << 20):
                            output.write(chunk)
                            bar.update(len(chunk))
            except requests.RequestException as error:
                raise temporary(error) from error
    if not spec.get("members"):
        shutil.move(download, folder / file)
    for target, member in spec.get("members", {}).items():
        unpack(name, download, member, folder / target, scratch)
    return {}
