"""Fetching: packages, addresses and paths, with what goes wrong on the way."""

import errno
import hashlib
import io
import json
import os
import shutil
import socket
import tarfile
import threading
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from actadd.base.errors import UserError
from actadd.base.files import read_json, write_json
from actadd.data.sources import downloads
from actadd.data.sources.fetch import fetch

BODY = b"some weights, " * 10_000
COMMIT = "c" * 40
SUM = hashlib.sha256(BODY).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Serves BODY; the path says what goes wrong, and how often."""

    requests = 0

    def do_GET(self):
        Server.requests += 1
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        if self.path.startswith("/busy") and Server.requests < 3:
            self.send_error(503)
            return
        body = b"other bytes" if self.path.startswith("/wrong") else BODY
        if self.path.startswith("/archive"):
            body = archive()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        broken = self.path.startswith("/broken") or (
            self.path.startswith("/once") and Server.requests < 2
        )
        self.wfile.write(body[: len(body) // 2] if broken else body)

    def log_message(self, *arguments):
        pass


def archive() -> bytes:
    """A zip that holds a tar that holds a file, and a plain file."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        info = tarfile.TarInfo("folder/deep.txt")
        info.size = len(BODY)
        tar.addfile(info, io.BytesIO(BODY))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as zipped:
        zipped.writestr("data/inner.tar.gz", inner.getvalue())
        zipped.writestr("data/plain.txt", "plain")
    return outer.getvalue()


@pytest.fixture
def address(monkeypatch):
    monkeypatch.setenv("ACTADD_RETRY_SECONDS", "0")
    Server.requests = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def get(tmp_path):
    return partial(fetch, target=tmp_path / "target", lock=tmp_path / "lock.json")


def test_an_address_is_checked_against_its_sum(get, address, tmp_path):
    get("x", {"type": "url", "url": f"{address}/weights.bin", "sha256": {"weights.bin": SUM}})
    assert (tmp_path / "target/weights.bin").read_bytes() == BODY


@pytest.mark.parametrize("path", ["once", "busy"])
def test_a_passing_failure_is_tried_again(get, address, tmp_path, path):
    get("x", {"type": "url", "url": f"{address}/{path}", "sha256": {path: SUM}})
    assert (tmp_path / "target" / path).read_bytes() == BODY


@pytest.mark.parametrize(
    ("path", "pattern"),
    [("broken", "Connection broken"), ("missing", "404"), ("wrong", "sha256")],
)
def test_a_lasting_failure_leaves_nothing(get, address, tmp_path, path, pattern):
    with pytest.raises(UserError, match=pattern) as caught:
        get("x", {"type": "url", "url": f"{address}/{path}", "sha256": {path: SUM}})
    assert "sources.x" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["lock.json.lock"]


def test_members_of_archives_inside_archives(get, address, tmp_path):
    members = {"a/deep.txt": "data/inner.tar.gz!folder/deep.txt", "plain.txt": "data/plain.txt"}
    spec = {"type": "url", "url": f"{address}/archive.zip", "members": members}
    get("x", spec)
    assert (tmp_path / "target/a/deep.txt").read_bytes() == BODY
    assert (tmp_path / "target/plain.txt").read_text() == "plain"
    with pytest.raises(UserError, match=r"no member 'data/none\.txt'"):
        get("y", {**spec, "members": {"z": "data/none.txt"}})


@pytest.mark.parametrize(
    ("spec", "pattern"),
    [
        ({"url": "{}/"}, "names no file"),
        ({"url": "{}/weights.bin", "members": {"a": "b"}}, r"weights\.bin is not .*archive"),
    ],
)
def test_an_address_that_cannot_serve_is_reported_plainly(get, address, spec, pattern):
    with pytest.raises(UserError, match=pattern):
        get("x", {"type": "url", **spec, "url": spec["url"].format(address)})


def test_an_unpinned_source_is_locked_at_first_use(get, address, tmp_path, capsys):
    spec = {"type": "url", "url": f"{address}/weights.bin"}
    get("x", spec)
    assert "first use" in capsys.readouterr().out
    assert read_json(tmp_path / "lock.json")["x"]["sha256"] == {"weights.bin": SUM}
    get("x", spec)
    with pytest.raises(UserError, match=r"differs from .*lock\.json in sha256"):
        get("x", {**spec, "url": f"{address}/wrong", "file": "weights.bin"})


def test_a_path_is_linked_not_copied(get, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.txt").write_text("a")
    get("x", {"type": "path", "path": str(tmp_path / "mine")})
    assert (tmp_path / "target/a.txt").is_symlink()
    assert (tmp_path / "target/a.txt").read_text() == "a"


def test_the_hub_offline_says_what_to_do(get, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setenv("ACTADD_RETRY_SECONDS", "0")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"sources\.x.*(type: path|HF_HUB_OFFLINE)"):
        get("x", {"type": "hub", "repository": "openai-community/gpt2", "revision": "0" * 40})


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's API that a snapshot needs; class attributes say what goes wrong."""

    protocol_version = "HTTP/1.1"
    FILES: ClassVar = {"config.json": b"{}", "model.safetensors": BODY}
    # Where every connection is cut, once or for ever; and whether bytes are changed on the way.
    cut: int | None = None
    cuts = 0
    wrong = False
    ranges: ClassVar[list[str]] = []

    def _answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        if self.path.startswith("/api/"):
            files = [
                {"type": "file", "path": name, "size": len(body), "oid": "1" * 40}
                for name, body in self.FILES.items()
            ]
            result = (
                files if "/tree/" in self.path else {"id": "a/b", "sha": COMMIT, "siblings": []}
            )
            self._answer(json.dumps(result).encode(), Content_Type="application/json")
            return
        name = self.path.rsplit("/", 1)[-1]
        body = self.FILES[name]
        about = {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if Hub.wrong and self.command == "GET":
            body = b"x" + body[1:]
        status, start = 200, 0
        if asked := self.headers.get("Range"):
            Hub.ranges.append(asked)
            start, status = int(asked.removeprefix("bytes=").split("-")[0]), 206
            about["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        if self.command == "GET" and name == "model.safetensors" and Hub.cuts:
            Hub.cuts -= 1
            self.send_response(status)
            for field, value in {**about, "Content-Length": str(len(body) - start)}.items():
                self.send_header(field, value)
            self.end_headers()
            self.wfile.write(body[start : max(start, Hub.cut)])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self._answer(body[start:], status, **about)

    do_HEAD = do_GET

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(monkeypatch):
    """An imitation of the hub on this machine, which the hub's own client talks to."""
    import huggingface_hub.constants as constants
    from huggingface_hub import file_download

    monkeypatch.setenv("ACTADD_RETRY_SECONDS", "0")
    Hub.cut, Hub.cuts, Hub.wrong, Hub.ranges = len(BODY) // 3, 0, False, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    # The client waits a second before it goes on; what it does is the same.
    monkeypatch.setattr(file_download.time, "sleep", lambda _seconds: None)
    yield {"type": "hub", "repository": "a/b", "revision": COMMIT}
    server.shutdown()
    server.server_close()


def test_a_hub_download_that_breaks_in_the_middle_goes_on_where_it_was(get, hub, tmp_path):
    Hub.cuts = 2
    facts = get("x", {**hub, "sha256": {"model.safetensors": SUM}})
    assert (tmp_path / "target/model.safetensors").read_bytes() == BODY
    assert Hub.ranges[0] == f"bytes={len(BODY) // 3 // 1024 * 1024}-"
    assert facts["sha256"].keys() == {"config.json", "model.safetensors"}


def test_a_hub_download_that_always_breaks_is_given_up_with_a_message(get, hub, tmp_path):
    Hub.cuts = 10**6
    with pytest.raises(UserError, match=r"sources\.x: getting a/b from the hub failed 4 times"):
        get("x", hub)
    assert [path.name for path in tmp_path.iterdir()] == ["lock.json.lock"]


@pytest.mark.parametrize("pinned", ["config", "lock file"])
def test_wrong_bytes_of_the_hub_are_refused(get, hub, tmp_path, pinned):
    if pinned == "config":
        hub = {**hub, "sha256": {"model.safetensors": SUM}}
    else:
        get("x", hub)
        shutil.rmtree(tmp_path / "target")
    Hub.wrong = True
    with pytest.raises(UserError, match=r"sources\.x.*sha256"):
        get("x", hub)
    assert not (tmp_path / "target").exists()


@pytest.fixture
def cache(hub, tmp_path, monkeypatch):
    """A hub cache that holds the repository, as loading a model by its name leaves it."""
    import huggingface_hub.constants as constants
    from huggingface_hub import snapshot_download

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    snapshot_download("a/b")
    return tmp_path / "cache" / "models--a--b"


def unplugged(monkeypatch, how):
    import huggingface_hub.constants as constants

    if how == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    else:
        # Nobody listens there.
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


@pytest.mark.parametrize("how", ["offline", "no network"])
@pytest.mark.parametrize("revision", [COMMIT, None])
@pytest.mark.parametrize("files", [None, ["*.safetensors"]])
def test_what_the_hub_cache_holds_needs_no_network(
    get, hub, cache, tmp_path, monkeypatch, how, revision, files, capsys
):
    unplugged(monkeypatch, how)
    spec = {"type": "hub", "repository": "a/b"}
    spec |= {"revision": revision} if revision else {}
    facts = get("x", spec | ({"files": files} if files else {}))
    assert facts["revision"] == COMMIT and facts["sha256"]["model.safetensors"] == SUM
    assert (tmp_path / "target/config.json").exists() == (files is None)
    assert str(cache / "snapshots" / COMMIT) in capsys.readouterr().out
    assert "x" in read_json(tmp_path / "lock.json")


def test_what_the_hub_cache_holds_in_part_does_not_do(get, hub, cache, tmp_path, monkeypatch):
    get("x", hub)
    shutil.rmtree(tmp_path / "target")
    (cache / "snapshots" / COMMIT / "model.safetensors").unlink()
    unplugged(monkeypatch, "offline")
    with pytest.raises(UserError, match=r"sources\.x: HF_HUB_OFFLINE .*a/b.*type: path"):
        get("x", hub)
    # The client knows no more what is missing; the lock file does.
    shutil.rmtree(cache / "trees", ignore_errors=True)
    with pytest.raises(UserError, match=r"sources\.x: HF_HUB_OFFLINE .*a/b.*type: path"):
        get("x", hub)


def test_another_revision_than_the_hub_cache_holds(get, hub, cache, monkeypatch):
    unplugged(monkeypatch, "offline")
    with pytest.raises(UserError, match=rf"HF_HUB_OFFLINE .*{'d' * 40}"):
        get("x", {**hub, "revision": "d" * 40})


def test_a_path_to_a_hub_cache_is_its_one_snapshot(get, cache, tmp_path):
    for number, folder in enumerate((cache, cache.parent)):
        get("x", {"type": "path", "path": str(folder)}, target=tmp_path / str(number))
        assert (tmp_path / str(number) / "model.safetensors").read_bytes() == BODY
        assert not (tmp_path / str(number) / "snapshots").exists()
    (cache / "snapshots" / ("e" * 40)).mkdir()
    for folder in (cache, cache.parent):
        with pytest.raises(UserError, match=r"sources\.x\.path: .* 2 snapshots") as caught:
            get("x", {"type": "path", "path": str(folder)})
        assert str(cache / "snapshots" / COMMIT) in str(caught.value)


def test_a_path_to_a_hub_cache_without_a_snapshot(get, cache):
    shutil.rmtree(cache / "snapshots" / COMMIT)
    with pytest.raises(UserError, match=r"sources\.x\.path: .* no snapshot"):
        get("x", {"type": "path", "path": str(cache)})


def test_a_full_disk_is_not_retried_as_a_network_error(get, address, tmp_path, monkeypatch):
    """It is not tried again, and the message names the disk."""

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(downloads, "unpack", full)
    spec = {"type": "url", "url": f"{address}/archive.zip", "members": {"a": "b"}}
    with pytest.raises(OSError, match="No space left on device") as caught:
        get("x", spec)
    assert caught.value.filename == str(tmp_path / "target")
    assert Server.requests == 1 and [path.name for path in tmp_path.iterdir()] == ["lock.json.lock"]


@pytest.mark.network
def test_a_member_of_a_published_source_archive(get, tmp_path):
    """Downloaded and unpacked without running its setup.py."""
    prefix = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
    part = {
        "name": "vaderSentiment",
        "version": "3.3.2",
        "file": "vaderSentiment-3.3.2.tar.gz",
        "sha256": "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        "members": {"movies.txt": f"{prefix}!hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"},
    }
    try:
        get("x", {"type": "package", "parts": [part]})
    except UserError as error:
        if "failed 4 times" in str(error):
            pytest.skip(f"the package index cannot be reached: {error}")
        raise
    lines = (tmp_path / "target/movies.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) > 10_000 and lines[0].count("\t") == 2
    with pytest.raises(UserError, match="sha256"):
        get("x", {"type": "package", "parts": [{**part, "sha256": "0" * 64}]})
    with pytest.raises(UserError, match="no file 'vaderSentiment-9'"):
        get("x", {"type": "package", "parts": [{**part, "file": "vaderSentiment-9"}]})


@pytest.mark.parametrize("network", [True, False])
def test_only_a_program_with_a_network_asks_the_hub(network, tmp_path, monkeypatch):
    from actadd.pipeline import program

    monkeypatch.setattr(os, "environ", {"HOME": str(tmp_path), "PATH": os.environ["PATH"]})
    record = str(tmp_path / "provenance.json")
    write_json(tmp_path / "job.json", {"job": "j", "code": "c", "spec": {}, "inputs": {}})
    job = str(tmp_path / "job.json")
    monkeypatch.setattr("sys.argv", ["x", "--job", job, "--provenance", record])
    seen = []
    program.run("", lambda *_: seen.append(os.environ.get("HF_HUB_OFFLINE")), network=network)
    assert seen == [None if network else "1"]


@pytest.mark.parametrize("odd", ["\u200b", "\x1b[200~"])
def test_a_token_that_no_header_can_hold_is_reported_without_its_value(tmp_path, monkeypatch, odd):
    monkeypatch.setenv("HF_TOKEN", f"hf_a{odd}canary")
    entry = {"type": "hub", "repository": "a/b"}
    with pytest.raises(UserError, match=r"^sources\.new: HF_TOKEN holds") as caught:
        fetch("new", entry, tmp_path / "new", tmp_path / "lock.json")
    assert "canary" not in str(caught.value)
