"""The HTTP interface: classify pictures from other programs. The dashboard's server mounts it under /api."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import math
import os
import time
from collections import Counter as Tally
from contextlib import suppress
from typing import Annotated

from fastapi import FastAPI, File, Query, Request, Security, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from imgrec import __version__
from imgrec.home import in_words
from imgrec.images import safe_name
from imgrec.renaming import names_by_now
from imgrec.runs import RunError, open_run, usable_runs

MAX_REQUEST_BYTES = 50 * 2**20
MAX_IMAGES = 64
MAX_REQUESTS = 128  # under way at the same time, and of one address half of that
PAUSE, BODY = 10.0, 30.0  # seconds between two pieces of a request's body, and until all of it is there
OPEN = ("/health", "/docs", "/openapi.json", "/static-offline-docs")  # need no token
ASKED = {"model", "top"}  # of /predict, in its address
PATHS = ("/health", "/models", "/predict", "/metrics", "/docs", "/openapi.json")

TOO_SLOW = f"The request came too slowly; send all of it within {BODY:.0f} seconds."

DESCRIPTION = """Classify pictures with a run of this lab. Pictures that arrive together share a forward pass.

Answers: **4xx** what was asked cannot be served, **503** with `Retry-After` when too many pictures wait; the body is
`{"error": "…"}`. If the operator has set a token (`IMGREC_TOKEN`), send it as `Authorization: Bearer …`."""

EXAMPLES = {
    "sh": """curl -F image=@photo.jpg "http://localhost:8501/api/predict?model=digits-seed-cnn&top=3"
""",
    "python": """import httpx

with open("photo.jpg", "rb") as photo:
    answer = httpx.post(
        "http://localhost:8501/api/predict", params={"model": "digits-seed-cnn", "top": 3}, files={"image": photo}
    )
for result in answer.raise_for_status().json()["results"]:
    for row in result["classes"]:
        print(row["name"], row["probability"])
""",
    "javascript": """import { openAsBlob } from "node:fs";

const form = new FormData();
form.append("image", await openAsBlob("photo.jpg"), "photo.jpg");
const answer = await fetch("http://localhost:8501/api/predict?model=digits-seed-cnn&top=3", { method: "POST", body: form });
for (const result of (await answer.json()).results)
  for (const row of result.classes) console.log(row.name, row.probability);
""",
}
PREDICT = """Probabilities of the likeliest classes for each picture; a file that is no picture gets an error in its place.

`model` is the name of a run, or of several of the same classes with commas between, whose mean is the answer.

""" + "\n".join(f"```{language}\n{code}```\n" for language, code in EXAMPLES.items())


class Unread(Exception):
    """The request's body is too large or too slow."""


class Gate:
    """ASGI middleware that turns away, before anything is read, who has no token or finds no place, and stops reading a
    request once it is over ``limit`` bytes, whatever it claims to be, or too slow. Whether the server answers can be asked
    without a place."""

    def __init__(self, app, limit: int = MAX_REQUEST_BYTES, places: int = MAX_REQUESTS) -> None:
        self.app, self.limit, self.places = app, limit, places
        self.most_of_one, self.taken = places // 2, Tally()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if refusal := self._refuse(scope):
            return await refusal(scope, receive, send)
        if _path(scope) == "/health":
            return await self._bounded(scope, receive, send)
        address = _address(scope)
        self.places -= 1
        self.taken[address] += 1
        try:
            await self._bounded(scope, receive, send)
        finally:
            self.places += 1
            self.taken[address] -= 1
            if not self.taken[address]:
                del self.taken[address]

    def _refuse(self, scope) -> Response | None:
        headers, token = dict(scope["headers"]), os.environ.get("IMGREC_TOKEN", "")
        path, address = _path(scope), _address(scope)
        given = headers.get(b"authorization", b"").partition(b" ")[2].strip()
        if token and not path.startswith(OPEN) and not hmac.compare_digest(given, token.encode()):
            return _error(
                "This server asks for its token: Authorization: Bearer …", 401, {"WWW-Authenticate": "Bearer"}
            )
        full = self.places < 1 or (address and self.taken[address] >= self.most_of_one)
        if full and path != "/health":
            return _busy(1)
        claimed = headers.get(b"content-length", b"")
        return self._too_large() if claimed.isdigit() and int(claimed) > self.limit else None

    def _too_large(self) -> Response:
        return _error(f"The request is over {self.limit // 2**20} MiB; send fewer or smaller pictures.", 413)

    async def _bounded(self, scope, receive, send) -> None:
        seen, whole, refusal, end = 0, False, None, time.monotonic() + BODY

        async def counted():
            nonlocal seen, whole, refusal
            try:  # once the body is whole, what comes is only that somebody goes
                message = await (
                    receive() if whole else asyncio.wait_for(receive(), min(PAUSE, end - time.monotonic()))
                )
            except TimeoutError:
                refusal = _error(TOO_SLOW, 408, {"Connection": "close"})
                raise Unread from None
            seen, whole = seen + len(message.get("body", b"")), not message.get("more_body")
            if seen > self.limit:
                refusal = self._too_large()
                raise Unread
            return message

        async def unless_refused(message) -> None:
            if not refusal:  # the parser turns Unread into an answer of its own, which is dropped
                await send(message)

        with suppress(Unread):
            await self.app(scope, counted, unless_refused)
        if refusal:
            await refusal(scope, receive, send)


class Figures:
    """What Prometheus is told: requests by path and status with their seconds, and the batches the networks answered."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("path", "status")
        self.requests = Counter("imgrec_requests", "Requests answered.", labels, registry=self.registry)
        self.seconds = Histogram(
            "imgrec_request_seconds", "Seconds until the answer.", ("path",), registry=self.registry
        )
        sizes = [2**n for n in range(7)]
        self.batch = Histogram(
            "imgrec_batch_pictures", "Pictures in a forward pass.", buckets=sizes, registry=self.registry
        )
        self.network = Counter("imgrec_network_seconds", "Seconds spent in networks.", registry=self.registry)
        self.waiting = Gauge("imgrec_pictures_waiting", "Pictures of requests under way.", registry=self.registry)

    def answered(self, path: str, status: int, seconds: float) -> None:
        path = path if path in PATHS else "other"  # not whatever strangers ask for
        self.requests.labels(path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def looked(self, pictures: int, seconds: float) -> None:
        self.batch.observe(pictures)
        self.network.inc(seconds)


class Counted:
    """ASGI middleware that tells ``figures`` about every answer."""

    def __init__(self, app, figures: Figures) -> None:
        self.app, self.figures = app, figures

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began, status = time.perf_counter(), 500

        async def noted(message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            self.figures.answered(_path(scope), status, time.perf_counter() - began)


def create_api() -> FastAPI:
    """The application with its routes, /docs and /openapi.json."""
    figures = Figures()
    api = FastAPIOffline(title="imgrec", version=__version__, description=DESCRIPTION, redoc_url=None)
    api.add_middleware(Gate)
    api.add_middleware(Counted, figures=figures)  # outermost
    api.add_exception_handler(HTTPException, lambda request, error: _error(error.detail, error.status_code))
    api.add_exception_handler(RequestValidationError, _say_what_is_wrong)
    api.add_exception_handler(Exception, lambda request, error: _error(in_words(error), 500))
    token = [Security(HTTPBearer(auto_error=False, description="Only if the operator has set one."))]
    kept: list = []

    def batcher():
        if not kept:  # torch comes only with the first picture
            from imgrec.serving import Batcher

            kept.append(Batcher(observe=figures.looked))
            figures.waiting.set_function(lambda: kept[0].inside)
        return kept[0]

    @api.head("/health", include_in_schema=False)
    @api.get("/health")
    async def health() -> dict:
        """Whether the server answers."""
        return {"status": "ok", "version": __version__}

    @api.get("/models", dependencies=token)
    def models() -> list[dict]:
        """The runs that can classify, newest first."""
        return [{**run.summary(), "classes": list(names_by_now(run))} for run in usable_runs()]

    @api.get("/metrics", dependencies=token)
    def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(generate_latest(figures.registry), media_type=CONTENT_TYPE_LATEST)

    @api.post("/predict", dependencies=token, description=PREDICT)
    async def predict(
        request: Request,
        image: Annotated[list[UploadFile], File(description="One or more pictures.")],
        model: Annotated[str, Query(description="The name of a run, from /models.")],
        top: Annotated[int, Query(ge=1, le=1000, description="How many classes per picture.")] = 5,
    ):
        if unknown := sorted(set(request.query_params) - ASKED):
            return _error(f"There is no parameter {unknown[0][:40]!r}; there are {', '.join(sorted(ASKED))}.", 422)
        if len(image) > MAX_IMAGES:
            return _error(f"{len(image)} pictures in one request; send at most {MAX_IMAGES}.", 413)
        asked = kept[0] if kept else await run_in_threadpool(batcher)
        from imgrec.serving import Busy

        files = [(safe_name(part.filename or "image"), part.file) for part in image]
        try:
            network, said = await asked.classify(model, files)
        except Busy as error:
            return _busy(error.seconds)
        except RunError as error:
            return _error(str(error), 422 if await run_in_threadpool(_all_there, model) else 404)
        except ValueError as error:  # damaged weights
            return _error(str(error), 409)
        except TimeoutError:
            return _busy(5)
        return JSONResponse({"model": model, "results": [one.to_dict(network.classes, top) for one in said]})

    return api


def _path(scope) -> str:
    return scope["path"].removeprefix(scope.get("root_path", ""))


def _address(scope) -> str:
    """Where a request comes from; empty where that does not tell who asks: a proxy on this machine speaks for everybody."""
    address = (scope.get("client") or ("",))[0]
    with suppress(ValueError):
        return "" if ipaddress.ip_address(address).is_loopback else address
    return address


def _all_there(names: str) -> bool:
    """Whether every run that was named can classify, so that only together they cannot."""
    with suppress(RunError):
        return all(open_run(name.strip()).usable for name in names.split(",", MAX_IMAGES))
    return False


def _error(text: str, status: int, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": text}, status, headers)


def _busy(seconds: float) -> JSONResponse:
    return _error(
        "Too many pictures are waiting; try again a little later.", 503, {"Retry-After": str(math.ceil(seconds))}
    )


def _say_what_is_wrong(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    name = next((part for part in reversed(first["loc"]) if isinstance(part, str)), "body")  # not its number of several
    if "UploadFile" in first["msg"]:
        return _error(f"{name} must be a file.", 422)
    return _error(f"{name}: {first['msg']}.", 422)
