"""The server: the dashboard and, on the same port, the REST interface. ``streamlit run app.py`` starts it."""

import threading
from contextlib import asynccontextmanager

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount

from imgrec.api import create_api

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
        async def with_headers(message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        await self.app(scope, receive, with_headers)


def warm_up() -> None:
    """Load torch while the first visitor still reads the first page."""
    import imgrec.predict
    import imgrec.train  # noqa: F401


@asynccontextmanager
async def lifespan(app):
    threading.Thread(target=warm_up, daemon=True, name="warm-up").start()
    yield {}


HOSTS = st.get_option("server.allowedHosts") or [
    "*"
]  # Streamlit checks its WebSocket only, so the rest is checked here
app = st.App(
    "pages/main.py",
    routes=[Mount("/api", create_api())],
    middleware=[Middleware(SecurityHeaders), Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)],
    lifespan=lifespan,
)
