"""The HTTP interface: classify pictures from other programs. The dashboard's server mounts it under /api."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import FastAPI, File, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from imgrec import __version__
from imgrec.images import safe_name
from imgrec.runs import RunError, usable_runs

MAX_REQUEST_BYTES = 50 * 2**20
MAX_IMAGES = 64


class TooLarge(Exception):
    """The request's body is over the limit."""


class BodyLimit:
    """ASGI middleware that stops reading a request once it is over ``limit`` bytes, whatever it claims to be."""

    def __init__(self, app, limit: int) -> None:
        self.app, self.limit = app, limit

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        claimed = dict(scope["headers"]).get(b"content-length", b"")
        seen, over = 0, claimed.isdigit() and int(claimed) > self.limit

        async def counted():
            nonlocal seen, over
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.limit:
                over = True
                raise TooLarge
            return message

        async def unless_over(message) -> None:
            if not over:  # the parser turns TooLarge into an answer of its own, which is dropped
                await send(message)

        if not over:
            with suppress(TooLarge):
                await self.app(scope, counted, unless_over)
        if over:
            text = f"The request is over {self.limit // 2**20} MiB; send fewer or smaller pictures."
            await JSONResponse({"error": text}, 413)(scope, receive, send)


def create_api() -> FastAPI:
    """The application with its three routes, /docs and /openapi.json."""
    api = FastAPIOffline(
        title="imgrec", version=__version__, description="Classify pictures with a run of this lab.", redoc_url=None
    )
    api.add_middleware(BodyLimit, limit=MAX_REQUEST_BYTES)
    api.add_exception_handler(HTTPException, lambda request, error: _error(error.detail, error.status_code))
    api.add_exception_handler(RequestValidationError, _say_what_is_wrong)

    @api.get("/health")
    def health() -> dict:
        """Whether the server answers."""
        return {"status": "ok", "version": __version__}

    @api.get("/models")
    def models() -> list[dict]:
        """The runs that can classify, newest first."""
        return [{**run.summary(), "classes": run.read("classes.json").get("classes", [])} for run in usable_runs()]

    @api.post("/predict")
    def predict(
        image: Annotated[list[UploadFile], File(description="One or more pictures.")],
        model: Annotated[str, Query(description="The name of a run, from /models.")],
        top: Annotated[int, Query(ge=1, le=1000, description="How many classes per picture.")] = 5,
    ):
        """Probabilities of the likeliest classes for each picture; a file that is no picture gets an error in its place."""
        if len(image) > MAX_IMAGES:
            return _error(f"{len(image)} pictures in one request; send at most {MAX_IMAGES}.", 413)
        from imgrec.predict import predictor  # torch only when the first picture comes

        try:
            chosen = predictor(model)
        except RunError as error:
            return _error(str(error), 404)
        except ValueError as error:  # damaged weights
            return _error(str(error), 409)
        results = chosen.classify((safe_name(part.filename or "image"), part.file.read()) for part in image)
        return {"model": model, "results": [result.to_dict(chosen.classes, top) for result in results]}

    return api


def _error(text: str, status: int) -> JSONResponse:
    return JSONResponse({"error": text}, status)


def _say_what_is_wrong(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    return _error(f"{first['loc'][-1]}: {first['msg']}.", 422)
