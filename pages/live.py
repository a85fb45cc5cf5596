"""Shared: the camera, live. The browser sends a picture, the server answers, and only then comes the next one.

The pictures do not go through Streamlit: they would draw a part of the page anew several times a second, and its page sends
what was clicked meanwhile along with them, as if it belonged to that part; such clicks and uploads were lost now and then.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import orjson
import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from imgrec.data import class_names
from imgrec.home import home, server_secret
from imgrec.language import current, speaking, tr
from pages import camera, scripts

if TYPE_CHECKING:  # the server starts without torch
    from imgrec.predict import Classified, Ensemble, Predictor

PATH = "seen"  # of `look`, below the address of the dashboard
PLACES, SLOWEST = 64, 10.0  # pictures that are looked at or on their way, of all cameras; seconds on the way
WARMTH = 56  # values along a side of the heat that is sent, at most


def show(network: Predictor | Ensemble, temperature: float, count: int) -> None:
    """The camera's picture with the likeliest classes beside it, several times a second, and on demand with where it looks."""
    where = st.toggle(tr("Show where it looks"), key="live_where", help=tr("Grad-CAM for the likeliest class, over the camera's picture."))  # fmt: skip
    asked = {"of": network.name, "views": network.views, "temperature": temperature, "top": count, "where": int(where), "lang": current()}  # fmt: skip
    query = urlencode(asked)
    _camera(
        key="live_camera",
        data={
            "address": f"{PATH}?{query}&sign={_signed(query)}",
            "side": max(160, network.at_least),
            "words": {
                "unknown": tr("Probably none of these."),
                "unreliable": tr("Where it looks is not reliable now: covering other places costs as much."),
                "away": tr("The server does not answer; it is asked again."),
                "video": tr("The camera's picture"),
                **camera.words(),
            },
        },
        height="content",
    )
    st.caption(
        tr("Nothing is kept: each picture is looked at and forgotten. Your browser asks before it opens the camera.")
    )


async def look(request: Request) -> Response:
    """What a network says about the picture in the request's body, as JSON: {"known", "classes"}, or {"error"} if it is none.

    The query is one that `show` has signed: ``of`` run or runs, ``views``, ``temperature``, ``top`` classes, ``lang``; with
    ``where=1`` the answer has the heat for the likeliest class, too. Else 403; 404 when the run has gone, 408 and 413 for what
    comes too slowly or is too much, 503 while too many others wait.
    """
    query, _, sign = request.url.query.rpartition("&sign=")
    if not hmac.compare_digest(sign.encode(), _signed(query).encode()):
        return Response(status_code=403)
    if len(_looking) >= PLACES:
        return Response(status_code=503)
    _looking.add(request)
    try:
        with speaking(request.query_params["lang"]):
            status, content = await _answer(request)
    finally:
        _looking.discard(request)
    return Response(orjson.dumps(content), status, {"cache-control": "no-store"}, "application/json")


def _signed(query: str) -> str:
    """Proof that this dashboard wrote a query: who cannot open it has no use of the network here either."""
    return hmac.new(server_secret(str(home())), query.encode(), "sha256").hexdigest()


_looking: set[Request] = set()
_warming = asyncio.Semaphore(2)  # heat that is worked out at once; the threads are shared with the REST interface


async def _answer(request: Request) -> tuple[int, dict]:
    picture = bytearray()
    try:
        async with asyncio.timeout(SLOWEST):
            async for part in request.stream():
                picture += part
                if len(picture) > camera.MOST_BYTES:
                    return 413, {}
    except (ClientDisconnect, TimeoutError):
        return 408, {}
    batcher = await run_in_threadpool(_batcher)  # which brings torch in
    from imgrec.serving import Busy

    asked = request.query_params
    try:
        network, [result] = await batcher.classify(asked["of"], [("camera.jpg", bytes(picture))], asked["views"])
    except (Busy, TimeoutError):
        return 503, {}
    except (ValueError, OSError) as error:  # deleted meanwhile
        return 404, {"error": str(error)}
    if result.error:
        return 200, {"error": result.error}
    classes = result.at_temperature(float(asked["temperature"])).top(class_names(network.classes), int(asked["top"]))
    said = {"known": result.known, "classes": classes}
    if asked["where"] == "1":
        async with _warming:
            said |= await run_in_threadpool(_heat, network, result)
    return 200, said


def _heat(network: Predictor | Ensemble, result: Classified) -> dict:
    """What speaks for the likeliest class: ``side``² values as base64 bytes, and whether hiding them proves it."""
    from imgrec.explain import explain
    from pages.answers import first

    likeliest = network.classes[int(result.probabilities.argmax())]
    try:
        found = explain(first(network), result.seen, class_name=likeliest)
    except ValueError as error:  # a network without maps
        return {"heat": {"error": str(error)}}
    step = -(-len(found.heat) // WARMTH)
    values = (255 * found.heat[::step, ::step]).round().astype("uint8")
    encoded = base64.b64encode(values.tobytes()).decode()
    return {"heat": {"side": len(values), "values": encoded, "reliable": found.reliable}}


@cache
def _batcher():
    from imgrec.serving import Batcher

    return Batcher()


_camera = st.components.v2.component(
    "imgrec_live",
    html="<div class='live'><div class='sight'><video muted playsinline></video><canvas aria-hidden='true'></canvas></div><div class='said'></div><div class='heard' role='status'></div></div>",
    css=scripts.read("heard.css", "live.css"),
    js=scripts.read("camera.js", "live.js"),
)
