"""`actadd serve`: a page on this machine to steer a model live."""

import os
import secrets
import socket
import sys
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer
import uvicorn

from actadd.base.errors import UserError
from actadd.cli.live.application import application
from actadd.cli.live.session import Session
from actadd.cli.project import DEFAULT, configured
from actadd.cli.trial_model import TrialModel
from actadd.cli.try_out import model_folder, named_vector

# Seconds in which what is being answered may end when the server stops.
GRACE = 2


class Server(uvicorn.Server):
    """A server of one session, which ends with it."""

    def __init__(self, session: Session, key: str) -> None:
        self.session = session
        options: dict[str, Any] = {
            "http": "h11",
            "ws": "none",
            "lifespan": "off",
            "log_level": "warning",
            "access_log": False,
            "server_header": False,
            "timeout_graceful_shutdown": GRACE,
        }
        super().__init__(uvicorn.Config(application(session, key), **options))

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.session.close()
        super().handle_exit(sig, frame)


def listening(port: int) -> socket.socket:
    """A socket of this machine alone. port: 0 for any that is free."""
    listener = socket.socket()
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise UserError(
            f"--port: {port} cannot be taken ({error.strerror}); write another, or 0 for any"
        ) from error
    return listener


def serve(
    *,
    configs: list[Path] | None,
    model: str,
    vector: str | None,
    port: int,
    browser: bool,
    bos: str | None,
    device: str,
    dtype: str | None,
    threads: int,
    results: Path,
) -> None:
    """Load a model, serve the page, and end at Ctrl-C."""
    listener = listening(port)
    config = configured(configs) if configs or DEFAULT.is_file() else None
    with model_folder(model, results, bos) as folder:
        loaded = TrialModel(folder)
        if vector is not None:
            named_vector(vector, loaded.facts["model"], results, config)
        loaded.load(device=device, dtype=dtype, threads=threads)
        session = Session(loaded, config, results, loaded.dtype, vector or "")
        key = secrets.token_urlsafe(16)
        # Behind #, which no browser sends: the page itself reads the key.
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/#{key}"
        listener.listen()
        typer.echo(f"{loaded.facts['model']} is ready at {address}\nCtrl-C ends it.")
        if browser and _has_browser():
            webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            Server(session, key).run([listener])
        session.close()
        typer.echo("stopped", err=True)


def _has_browser() -> bool:
    """Whether a browser would open in a window, not in this terminal."""
    windows = sys.platform in ("darwin", "win32")
    return windows or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
