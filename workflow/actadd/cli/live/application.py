"""The addresses of the page, and who may ask for them.

The server listens on this machine alone, but so do the browser's other pages run on it. So the host
that is asked for must be this machine by name (another name that leads here is DNS rebinding), what
is asked must come from the page itself, and with the key that this start of the server printed.
"""

import asyncio
import contextlib
import json
import secrets
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from actadd.base.errors import UserError
from actadd.cli.live.request import asked
from actadd.cli.live.session import Session
from actadd.results import explorer

HOSTS = ["127.0.0.1", "localhost"]
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ASSETS = Path(__file__).parent
FILES = {
    "/": ASSETS / "page.html",
    "/look.css": Path(explorer.__file__).parent / "page.css",
    "/page.css": ASSETS / "page.css",
    "/page.js": ASSETS / "page.js",
    "/fields.js": ASSETS / "fields.js",
    "/results.js": ASSETS / "results.js",
}
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
# Bytes of a request: a prompt of 100,000 characters.
MOST_BYTES = 1_000_000
# Seconds after which a stream with nothing to say looks whether its page is still there.
PATIENCE = 0.2


def application(session: Session, key: str) -> Starlette:
    """The page's server. key: what the page sends with all that it asks."""

    async def about(request: Request) -> Response:
        await _body(request, key)
        return JSONResponse(session.about())

    async def inspect(request: Request) -> Response:
        wanted = asked(await _body(request, key))
        return JSONResponse(await run_in_threadpool(session.inspect, wanted))

    async def continue_(request: Request) -> Response:
        wanted = asked(await _body(request, key))
        events = _events(session, wanted, request)
        return StreamingResponse(events, media_type="text/event-stream")

    routes = [
        *(Route(address, _file(file)) for address, file in FILES.items()),
        Route("/about", about, methods=["POST"]),
        Route("/inspect", inspect, methods=["POST"]),
        Route("/continue", continue_, methods=["POST"]),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(_Headers), Middleware(TrustedHostMiddleware, HOSTS, False)],
        exception_handlers={UserError: _refused, HTTPException: _refused},
    )


class _Headers:
    """Puts `HEADERS` on every answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                extra = [(n.lower().encode(), v.encode()) for n, v in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


def _file(file: Path) -> Any:
    def answer(_: Request) -> Response:
        return Response(file.read_bytes(), media_type=TYPES[file.suffix])

    return answer


async def _body(request: Request, key: str) -> bytes:
    """The content of a request of the page itself; anything else is refused."""
    origin = f"http://{request.headers.get('host')}"
    if request.headers.get("origin") != origin:
        raise HTTPException(403, "another page asks; only this server's own page may")
    if not secrets.compare_digest(request.headers.get("x-key", "").encode(), key.encode()):
        raise HTTPException(
            403, "the server was started anew; open the address that actadd serve printed"
        )
    if request.headers.get("content-type") != "application/json":
        raise HTTPException(415, "write it as application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"prompt: it is too long; write at most {MOST_BYTES} bytes")
    return bytes(body)


def _refused(_: Request, error: Exception) -> Response:
    """The message of an error, as the command line gives it but for the dashes of an option."""
    status = error.status_code if isinstance(error, HTTPException) else 400
    text = error.detail if isinstance(error, HTTPException) else str(error)
    return JSONResponse({"message": text.removeprefix("--")}, status)


def _event(kind: str, value: Mapping[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(value)}\n\n"


async def _events(session: Session, wanted: Any, request: Request) -> AsyncIterator[str]:
    """What a trial says, as server-sent events; it stops when the page is closed."""
    queue: asyncio.Queue[tuple[str, Mapping[str, Any]]] = asyncio.Queue()
    loop, stop = asyncio.get_running_loop(), threading.Event()

    def emit(kind: str, value: Mapping[str, Any]) -> None:
        # The loop is closed if the server ends first.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(queue.put_nowait, (kind, value))

    future = session.start(wanted, emit, stop)
    try:
        while not await request.is_disconnected():
            try:
                kind, value = await asyncio.wait_for(queue.get(), PATIENCE)
            except TimeoutError:
                continue
            if kind == "end":
                return
            if "message" in value:
                value = {"message": value["message"].removeprefix("--")}
            yield _event(kind, value)
    finally:
        stop.set()
        future.cancel()
