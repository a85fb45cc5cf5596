"""Work on a GPU recorded once and replayed: one launch instead of hundreds. What the work is, is for others.

A small network's step is hundreds of kernels of a few microseconds each, and starting one from Python takes longer than it
runs. A CUDA graph starts them all at once, the same kernels on the same memory, so the result is the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

PLAIN = 2  # times that work is done as it stands before it is recorded: libraries choose kernels, optimisers make state


class Replayed:
    """``work(feed)``, which reads tensors of a feed, name → Tensor, changes tensors that outlive it, and returns nothing.

    Call it with a key that tells apart what is done differently, such as sizes; work of the same key is recorded once.
    Work that cannot be recorded (it waits for the device, or the memory is short) is done as it stands.
    """

    def __init__(self, work: Callable[[dict[str, Tensor]], None], device: torch.device) -> None:
        self.work, self.stream = work, torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()
        self.recorded: dict[Hashable, tuple[torch.cuda.CUDAGraph, dict[str, Tensor]]] = {}
        self.done: Counter[Hashable] = Counter()
        self.able = True

    def __call__(self, key: Hashable, feed: dict[str, Tensor]) -> None:
        """Do the work; raises what it raises."""
        self.done[key] += 1
        if self.able and key not in self.recorded and self.done[key] > PLAIN:
            self._record(key, feed)
        if key in self.recorded:
            graph, held = self.recorded[key]
            for name, values in held.items():
                values.copy_(feed[name])
            graph.replay()
            return
        here = torch.cuda.current_stream()
        self.stream.wait_stream(here)  # recording wants a stream of its own, and gradients stay where they began
        with torch.cuda.stream(self.stream):
            self.work(feed)
        here.wait_stream(self.stream)

    def _record(self, key: Hashable, feed: dict[str, Tensor]) -> None:
        """Write the work down without doing it."""
        held = {name: values.clone() for name, values in feed.items()}
        self.stream.wait_stream(torch.cuda.current_stream())
        for again in (False, True):
            if again:  # recorded work has memory of its own: what torch keeps for later is let go where it is short
                torch.cuda.empty_cache()
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.stream(self.stream):
                    graph.capture_begin(self.pool, capture_error_mode="thread_local")  # others go on
                    try:
                        self.work(held)
                    finally:
                        graph.capture_end()
                self.recorded[key] = graph, held
                return
            except RuntimeError:  # too little memory is one, too
                self.able = not again
