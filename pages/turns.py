"""Shared: who clicks waits for a turn, first come, first served, so that a class that clicks together is served sooner.

Python runs one thread at a time. Thirty pages drawn at once would all end late; one after the other, most end early.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

LONG = 0.1  # seconds after which a page that is still being drawn keeps nobody waiting


class Turns:
    """One turn at a time; the next is given out when it ends, or has lasted ``long`` seconds."""

    def __init__(self, long: float = LONG) -> None:
        self.long, self.lock = long, threading.Lock()
        self.queue: deque[threading.Event] = deque()
        self.last: tuple[threading.Event | None, float] = (None, 0.0)  # whose turn it is, and since when

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait, and hold the turn inside."""
        mine = threading.Event()
        with self.lock:
            self.queue.append(mine)
            self._next()
        while not mine.wait(self.long):
            with self.lock:
                self._next()
        try:
            yield
        finally:
            with self.lock:
                if self.last[0] is mine:
                    self.last = (None, 0.0)
                self._next()

    def _next(self) -> None:
        """Give the turn to who waits longest, if it is free."""
        now = time.monotonic()
        if self.queue and (self.last[0] is None or now - self.last[1] >= self.long):
            self.last = (self.queue.popleft(), now)
            self.last[0].set()


TURNS = Turns()
