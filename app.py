"""The server: the dashboard and, on the same port, the REST interface. ``streamlit run app.py`` starts it."""

import asyncio
import gc
import gzip
import secrets
import sys
import threading
import time
from collections import deque
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import streamlit as st
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import Response
from starlette.routing import Mount, Route
from streamlit.file_util import get_static_dir

from imgrec.api import create_api
from imgrec.home import check_settings
from pages import drafts, live, live_run
from pages.visitors import COOKIE

PAGES = Path(__file__).parent / "pages"
# The browser may load nothing from anywhere else, whatever a class name or a file name tries.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",  # Plotly and Streamlit's components need these
        "worker-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' ws: wss: data: blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "frame-ancestors 'self'",
    )
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]


class SecurityHeaders:
    """ASGI middleware that adds HEADERS to every answer."""

    def __init__(self, app) -> None:
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "websocket":  # all that is drawn goes through it, piece by piece
            return await self.app(scope, receive, send)

        async def with_headers(message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        return await self.app(scope, receive, with_headers)


LASTING = "public, immutable, max-age=31536000"  # as Streamlit says: names change with contents
KINDS = {".js": ("text/javascript", LASTING), ".css": ("text/css", LASTING), ".html": ("text/html", "no-cache")}
# Where the server is, said to Streamlit's page: its own guess is wrong at first for every address but the first page's, which
# costs 0.15 s. The page looks for its scripts in this same folder, so it holds behind a proxy, too.
SIGNPOST = b"<head><script>window.__streamlit = {BACKEND_BASE_URL: new URL('.', location.href).href}</script>"


class Packed:
    """ASGI middleware that sends Streamlit's page, scripts and styles packed: 2.8 instead of 8 MB for a first look at a lesson.

    Streamlit sends them as they are, since packing them for everybody takes too long; here each is packed once and kept.
    """

    def __init__(self, app) -> None:
        self.app = app
        static = Path(get_static_dir())
        self.files = {  # address → file; nothing else is ever opened
            f"{BASE}{path.relative_to(static).as_posix()}": path for path in static.rglob("*") if path.suffix in KINDS
        }
        self.files |= {BASE + name: static / "index.html" for name in ("", *(page.stem for page in PAGES.glob("*.py")))}

    @staticmethod
    @cache
    def pack(path: Path) -> bytes:
        content = path.read_bytes()
        if path.suffix == ".html":
            content = content.replace(b"<head>", SIGNPOST, 1).replace(b"<title>Streamlit<", b"<title>imgrec<")
        return gzip.compress(content, 6)

    async def __call__(self, scope, receive, send) -> None:
        path = self.files.get(scope.get("path", "")) if scope.get("method") == "GET" else None
        headers = Headers(scope=scope) if path else {}
        if not path or "range" in headers or "gzip" not in headers.get("accept-encoding", ""):
            return await self.app(scope, receive, send)
        kind, keep = KINDS[path.suffix]
        answer = Response(
            await asyncio.to_thread(self.pack, path),
            media_type=kind,
            headers={"content-encoding": "gzip", "vary": "accept-encoding", "cache-control": keep},
        )
        await answer(scope, receive, send)


departures: deque[float] = deque(maxlen=1)  # when a tab was closed last


class Visitors:
    """ASGI middleware that gives every browser a cookie of its own, so that a run can belong to who started it.

    It is random, kept from scripts, and sent to this server only; what is stored is a digest of it.
    """

    def __init__(self, app) -> None:
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        known = scope["type"] != "http" or COOKIE in dict(scope["headers"]).get(b"cookie", b"").decode("latin-1")
        new = f"{COOKIE}={secrets.token_urlsafe(24)}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax".encode()

        async def with_cookie(message) -> None:
            if message["type"] == "http.response.start" and not scope["path"].startswith(tuple(APIS)):
                message["headers"] = [*message.get("headers", []), (b"set-cookie", new)]
            await send(message)

        try:
            await self.app(scope, receive, send if known else with_cookie)
        finally:
            if scope["type"] == "websocket":
                departures.append(time.monotonic())


def warm_up() -> None:
    """Load torch, and read what is known of all runs, while the first visitor still reads the first page."""
    import imgrec.predict
    import imgrec.train  # noqa: F401
    from imgrec.models.imagenet import torchvision_models
    from imgrec.run_table import rows

    torchvision_models()
    rows()
    put_aside()


def put_aside() -> None:
    """Collect all garbage; what is left is not looked through again until a tab has closed, for under load that held
    everybody up for a fifth of a second in every second."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


async def tidy() -> None:
    """Every minute, what sessions that left have used goes back to the system. Streamlit keeps a session for two minutes; the
    full collection, which takes a third of a second, is made only when one may have ended."""
    while True:
        await asyncio.sleep(60)
        from imgrec.hardware import give_back  # by now torch is there

        if any(time.monotonic() - moment < 240 for moment in departures):
            put_aside()
        drafts.tidy()
        await asyncio.to_thread(give_back)


@asynccontextmanager
async def lifespan(app):
    threading.Thread(target=warm_up, daemon=True, name="warm-up").start()
    tidying = asyncio.create_task(tidy())
    yield {}
    tidying.cancel()


try:
    check_settings()
except ValueError as error:
    sys.exit(f"imgrec: {error}")
HOSTS = st.get_option("server.allowedHosts") or [
    "*"
]  # Streamlit checks its WebSocket only, so the rest is checked here
BASE = "/".join(("", *filter(None, st.get_option("server.baseUrlPath").split("/")), ""))
APIS = {"/api", BASE + "api"}  # also for a proxy that hands on only what lies below its own address
rest = create_api()
app = st.App(
    "pages/main.py",
    routes=[
        *(Mount(path, rest) for path in APIS),
        Route(BASE + live_run.PATH, live_run.feed),
        Route(BASE + live.PATH, live.look, methods=["POST"]),
    ],
    middleware=[
        Middleware(SecurityHeaders),
        Middleware(Visitors),
        Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS),
        Middleware(Packed),
    ],
    lifespan=lifespan,
)
