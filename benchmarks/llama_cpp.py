"""A native build of llama.cpp's server, from the sources that llama-cpp-python carries."""

import os
import subprocess
import sys
import tarfile
from functools import cache
from pathlib import Path

from benchmarks.against_peers import SCRIPTS

REQUIREMENT = SCRIPTS / "requirements" / "llama-cpp-source.txt"
SOURCES = "vendor/llama.cpp"
OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
)
SECONDS = 3600


@cache
def built(scratch: Path) -> Path | None:
    """`llama-server` with this machine's instructions; None where it cannot be built."""
    folder = scratch.absolute() / "environments" / "llama_cpp_source"
    server = folder / "build" / "bin" / "llama-server"
    done = folder / "installed"
    if done.exists() and done.read_text() == REQUIREMENT.read_text():
        return server
    print("  compiling llama.cpp, which takes minutes, once", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    package = REQUIREMENT.read_text().strip()
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    configure = ["cmake", "-S", folder / "source" / SOURCES, "-B", folder / "build", *OPTIONS]
    # Without a number, make starts everything at the same time.
    jobs = ["--parallel", str(os.cpu_count() or 1)]
    compile_ = ["cmake", "--build", folder / "build", "--target", "llama-server", *jobs]
    try:
        _run([*download, "--no-binary", ":all:", "--dest", folder, package])
        _unpack(next(folder.glob("*.tar.gz")), folder / "source")
        _run(configure)
        _run(compile_)
    except (subprocess.SubprocessError, OSError, StopIteration) as error:
        message = getattr(error, "stderr", None) or str(error)
        print(f"  llama.cpp cannot be built here: {message[-1000:]}", flush=True)
        return None
    done.write_text(REQUIREMENT.read_text())
    return server


def _run(command: list) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)


def _unpack(archive: Path, target: Path) -> None:
    """The sources of llama.cpp alone, without the archive's first folder."""
    with tarfile.open(archive) as files:
        members = []
        for member in files:
            _, _, path = member.name.partition("/")
            if path.startswith(SOURCES) and not member.issym():
                member.name = path
                members.append(member)
        files.extractall(target, members, filter="data")
