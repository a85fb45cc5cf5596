"""A map over pieces of work in threads that keeps their order and holds only a few of them at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from imgrec.home import cores
from imgrec.language import current, speaking

Piece, Result = TypeVar("Piece"), TypeVar("Result")


def in_order(function: Callable[[Piece], Result], pieces: Iterable[Piece], ahead: int = 0) -> Iterator[Result]:
    """``function`` of every piece, in their order. Pillow and zlib let go of the interpreter's lock, so threads help.

    Pieces are drawn in the caller's thread, ``ahead`` or few more than there are threads, so a generator may stream. The
    threads speak the caller's language. Raises what the function or the pieces raise; stopping early gives up what has not
    begun.
    """
    language, workers = current(), min(8, cores())

    def spoken(piece: Piece) -> Result:
        with speaking(language):
            return function(piece)

    ahead = max(ahead, 2 * workers)
    window: deque = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for piece in pieces:
                window.append(pool.submit(spoken, piece))
                if len(window) > ahead:
                    yield window.popleft().result()
            while window:
                yield window.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
