"""Answering many programs at once: pictures that wait together go through the network together, and no more wait than fit.

One thread asks the networks. While it is busy the next pictures gather, so that under load batches grow by themselves.
"""

from __future__ import annotations

import asyncio
import dataclasses
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import torch
from starlette.concurrency import run_in_threadpool

from imgrec.hardware import THREADS
from imgrec.home import home, setting
from imgrec.images import ImageError
from imgrec.predict import Classified, Ensemble, Predictor, look_into, open_network

BATCH = 32  # pictures that share a forward pass
WAITING = 256  # pictures of all requests under way
LINGER = 0.002  # seconds in which nothing more must come before a batch that is not full begins, but
TIMEOUT = 30.0  # seconds until a picture that waits is given up
_decoding = threading.BoundedSemaphore(2 * THREADS)  # pictures decoded at once, each of which may take 300 MB
OF_LAST = 0.25  # this share of what the last batch took, until as many are there again: who was answered may ask anew


def default_batch() -> int:
    """IMGREC_BATCH, from 1 to 1024, or 32. Raises ValueError if it is no number."""
    return int(min(1024, max(1, setting("IMGREC_BATCH", BATCH))))


class Busy(RuntimeError):
    """Too many pictures wait already; ``seconds`` says when to try again."""

    def __init__(self, seconds: float) -> None:
        super().__init__("Too many pictures are waiting; try again a little later.")
        self.seconds = seconds


@dataclass
class _Waiting:
    network: Predictor | Ensemble
    seen: Any
    future: Future = field(default_factory=Future)


class Batcher:
    """Collects pictures for networks and answers them in batches. ``observe(pictures, seconds)`` is told of each batch."""

    def __init__(
        self,
        batch: int = 0,
        most: int = 0,
        observe: Callable[[int, float], None] = lambda pictures, seconds: None,
    ) -> None:
        self.batch, self.most, self.observe = batch or default_batch(), most or WAITING, observe
        self.inside = 0  # pictures of requests that are under way
        self.rate = 0.0  # pictures per second, lately
        self.last = (0, 0.0)  # how many pictures the last batch had, and the seconds that it took
        self._arrived: queue.Queue[_Waiting] = queue.Queue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def room(self, pictures: int) -> Iterator[None]:
        """A place for so many pictures while the block lasts. Raises Busy when there is none."""
        with self._lock:
            if self.inside and self.inside + pictures > self.most:  # who comes alone is always served
                raise Busy(min(60.0, max(1.0, self.inside / self.rate if self.rate else 1.0)))
            self.inside += pictures
        try:
            yield
        finally:
            with self._lock:
                self.inside -= pictures

    async def classify(
        self, names: str, files: Sequence[tuple[str, bytes | BinaryIO]], views: str = ""
    ) -> tuple[Predictor | Ensemble, list[Classified]]:
        """The network of a run, or of several joined by commas, and what it says about each (name, bytes or
        open file), in order.

        Raises Busy when there is no room, RunError or another ValueError when there is no such network, TimeoutError.
        """

        def looked() -> tuple:
            network, seen = _network(names, views, home(), int(time.monotonic())), []
            for name, source in files:
                content = source if isinstance(source, bytes) else source.read()
                with _decoding:
                    seen.append(look_into(network, name, content))
            return network, seen

        with self.room(len(files)):
            network, seen = await run_in_threadpool(looked)
            futures = self.submit(network, (picture for picture in seen if not isinstance(picture, ImageError)))
            said = iter(await asyncio.wait_for(asyncio.gather(*map(asyncio.wrap_future, futures)), TIMEOUT))
        return network, [
            Classified(name, error=str(picture))
            if isinstance(picture, ImageError)
            else dataclasses.replace(next(said), file=name)
            for (name, _), picture in zip(files, seen, strict=True)
        ]

    def submit(self, network: Predictor | Ensemble, seen: Iterable[Any]) -> list[Future]:
        """Futures of the `Classified` for pictures from ``network.see``."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True, name="batcher")
                self._thread.start()
        items = [_Waiting(network, picture) for picture in seen]
        for item in items:
            self._arrived.put(item)
        return [item.future for item in items]

    def _work(self) -> None:
        torch.set_num_threads(THREADS)  # whatever others compute with when this thread begins
        held: deque[_Waiting] = deque()
        while True:
            self._gather(held)
            network = held[0].network
            group = [item for item in held if item.network is network][: self.batch]
            taken = set(map(id, group))
            held = deque(item for item in held if id(item) not in taken)
            wanted = [item for item in group if item.future.set_running_or_notify_cancel()]
            if wanted:
                self._answer(network, wanted)

    def _gather(self, held: deque[_Waiting]) -> None:
        """Take in what has arrived; wait for the first picture, and a moment for more if the batch is not full."""
        if not held:
            held.append(self._arrived.get())
        pictures, seconds = self.last
        while len(held) <= self.most:
            linger = LINGER if len(held) >= pictures else max(LINGER, OF_LAST * seconds)
            try:
                held.append(self._arrived.get(timeout=linger) if len(held) < self.batch else self._arrived.get_nowait())
            except queue.Empty:
                return

    def _answer(self, network: Predictor | Ensemble, group: list[_Waiting]) -> None:
        began = time.perf_counter()
        try:
            answers: list[Classified] = network.answer([item.seen for item in group])
            for item, answer in zip(group, answers, strict=True):
                item.future.set_result(answer)
        except Exception as error:  # for example out of memory: those who asked are told, the next ones are answered
            for item in group:
                if not item.future.done():
                    item.future.set_exception(error)
            return
        seconds = time.perf_counter() - began
        self.last = len(group), seconds
        self.rate = len(group) / seconds if not self.rate else 0.9 * self.rate + 0.1 * len(group) / seconds
        self.observe(len(group), seconds)


@lru_cache(maxsize=8)
def _network(names: str, views: str, place: Path, second: int) -> Predictor | Ensemble:
    """The network of a run or several, looked up anew at most once a second."""
    return open_network(names, views)
