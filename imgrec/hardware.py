"""Which device computes, what it is called and what it has free."""

from __future__ import annotations

import contextlib
import ctypes
import glob
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache

import psutil
import torch
from torch import Tensor, nn

from imgrec import allowance
from imgrec.home import cores
from imgrec.language import tr
from imgrec.recipe import RecipeError

GIB = 2**30
THREADS = min(torch.get_num_threads(), cores())  # that torch computes with; it knows nothing of a container's share
if torch.get_num_threads() != THREADS:
    torch.set_num_threads(THREADS)


def pick(wish: str = "auto") -> torch.device:
    """The device for 'auto', 'cpu', 'cuda' or 'mps'. Raises RecipeError if it is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wish == "auto":
        return torch.device(next(name for name, found in there.items() if found))
    if not there.get(wish, False):
        found = ", ".join(name for name, present in there.items() if present)
        raise RecipeError(
            tr("device is {wish!r}, which this machine does not have; choose auto or {found}.", wish=wish, found=found)
        )
    return torch.device(wish)


def knows_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 by itself; where it only imitates it, that takes many times as long."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether it multiplies matrices in bfloat16 several times as fast as in float32: GPUs that know it, CPUs with AMX."""
    if device.type == "cuda":
        return knows_bfloat16(device)
    return device.type == "cpu" and torch.cpu._is_amx_tile_supported()


def describe(device: torch.device) -> str:
    """The device and its free memory in words, such as 'CPU (AMD EPYC), 2 cores, 20.3 of 23.5 GiB free'."""
    return in_words(measured(device))


def measured(device: torch.device) -> dict[str, str | float]:
    """The device's name and its free and whole memory in GiB, and of a CPU its cores, to be kept and told later."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return {"name": torch.cuda.get_device_name(device), "free": free / GIB, "total": total / GIB}
    free, total = memory()
    found = {"free": free / GIB, "total": total / GIB}
    if device.type == "mps":
        return {"name": f"Apple {platform.machine()}, MPS", **found}
    return {"name": _cpu_name(), "cores": cores(), **found}


def in_words(found: object) -> str:
    """What was `measured`, in the language that is spoken now; what is none of that, such as the words in the file of an older
    run, as it is."""
    try:
        name, count, free, total = found["name"], found.get("cores"), float(found["free"]), float(found["total"])
    except (TypeError, KeyError, ValueError, AttributeError):
        return str(found or "")
    if count:
        return tr(
            "CPU ({name}), {n} cores, {free:.1f} of {total:.1f} GiB free", name=name, n=count, free=free, total=total
        )
    return tr("GPU ({name}), {free:.1f} of {total:.1f} GiB free", name=name, free=free, total=total)


def one_thread() -> AbstractContextManager[None]:
    """Compute in this thread alone, for small networks that several visitors may train at once: at the end of every step
    their threads would wait for each other's turn on a core, ten times as long as a step takes."""
    return threads(1)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many threads what this one computes while the block lasts."""
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(THREADS)  # not what was set before, for that may be another's one thread


class SharedCores:
    """How many threads a training computes with on a CPU: all, but fewer while other programs hold some of the cores.

    Threads that share each layer wait for the slowest of them at its end. Where two of them have to share a core, that is a
    thousand waits a second: beside one busy program a small network on two cores learned 30 times as slowly as with one
    thread alone. On a machine of its own a training always has all, for another number of threads rounds differently.

    So only where others hold cores it tries fewer, and later more again, for a moment each, and keeps what is faster.
    ``lost``: seconds that the threads of this process have waited for a core so far.
    """

    WINDOW, HELD, PATIENCE, GAIN, REST = 0.5, 0.5, 3, 1.05, 10.0  # seconds; cores; windows on end; times; seconds

    def __init__(self, clock: Callable[[], float] = time.monotonic, lost: Callable[[], float] | None = None) -> None:
        self.clock, self.lost, self.count = clock, lost or seconds_without_a_core, THREADS
        self.crowded, self.rest, self.resting_until = 0, self.REST, 0.0  # windows on end; seconds between trials
        self.before: tuple[int, float] | None = None  # while something is tried: how many threads there were, how fast
        self._begin()

    def look(self) -> None:
        """To be called after every batch, by the thread that computes."""
        self.batches += 1
        seconds = self.clock() - self.began
        if THREADS == 1 or seconds < self.WINDOW:
            return
        rate, held = self.batches / seconds, (self.lost() - self.had) / seconds
        if self.before:
            count, slower = self.before
            free = self.count > count and held <= self.HELD  # more threads find cores
            better = free or rate > self.GAIN * slower
            self.rest = self.REST if better else min(2 * self.rest, 6 * self.REST)
            self.before, self.resting_until = None, self.clock() + self.rest
            if not better:
                self._take(count)
        else:
            self.crowded = self.crowded + 1 if held > self.HELD else 0
            fewer = self.count > 1 and self.crowded >= self.PATIENCE
            if self.clock() >= self.resting_until and (fewer or self.count < THREADS):
                self.before = self.count, rate
                self._take(self.count // 2 if fewer else min(THREADS, 2 * self.count))
        self._begin()

    def _begin(self) -> None:
        self.batches, self.began, self.had = 0, self.clock(), self.lost()

    def _take(self, count: int) -> None:
        self.count, self.crowded = count, 0
        torch.set_num_threads(count)

    def __enter__(self) -> SharedCores:
        return self

    def __exit__(self, *error: object) -> None:
        if self.count != THREADS:
            torch.set_num_threads(THREADS)


def seconds_without_a_core() -> float:
    """How long the threads of this process have been ready to compute while others held the cores; 0 where the system does
    not say. The second number in Linux's schedstat, in nanoseconds."""
    waited = 0
    for path in glob.iglob("/proc/self/task/*/schedstat"):
        with contextlib.suppress(OSError, ValueError, IndexError), open(path, "rb") as file:  # or the thread has ended
            waited += int(file.read().split()[1])
    return waited / 1e9


def wait(device: torch.device) -> None:
    """Until the device has done all it was asked; at once on the CPU, which never lags."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def release(device: torch.device) -> None:
    """Give memory back that torch keeps for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def free_bytes(device: torch.device) -> int:
    """Memory that can still be allocated on the device."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else memory()[0]


def memory() -> tuple[int, int]:
    """Bytes of the machine's memory that are free, and all; a container can have less."""
    machine = psutil.virtual_memory()
    free, total = allowance.memory() or (machine.available, machine.total)
    return min(free, machine.available), min(total, machine.total)


def at_once(size: int, device: torch.device, most: int) -> int:
    """How many pictures of ``size`` pixels a side are asked together: ``most`` of small ones, of large ones as many as a
    network that keeps ten megabytes for each of 224 pixels does in half a gigabyte, on a GPU in four."""
    return max(1, min(most, 2 ** (24 if device.type == "cuda" else 21) // size**2))


@lru_cache
def activation_bytes(model: nn.Module, shape: tuple[int, int, int]) -> int:
    """Bytes that each picture (C, H, W) leaves behind on its way through a network, for the gradients on the way back."""

    def of(count: int) -> int:
        kept: dict[int, int] = {}  # a tensor's place → its bytes; layers share some

        def note(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor  # and so it lives as long as the answer, and no other gets its place

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            answer = model(torch.zeros(count, *shape))
        return sum(kept.values()) if answer.requires_grad else 0

    return of(2) - of(1)  # what does not depend on the pictures, such as weights cast once, cancels


def keep_memory() -> None:
    """Let what a pass over a batch frees wait for the next one instead of going back to the system, as far as 1 GiB.

    The GNU C library returns every block beyond 32 MiB at once, and the system then clears each page anew: a third of the
    time of a ResNet-18 at 224 px on two cores. Elsewhere nothing happens.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    options = ctypes.CDLL(None)  # the numbers are those of malloc.h: M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
    for option, value in ((-8, 1), (-3, GIB), (-1, GIB)):
        options.mallopt(option, value)


def used_bytes(device: torch.device) -> int:
    """Memory this process holds: on the GPU what torch has reserved there, else its resident memory."""
    return torch.cuda.memory_reserved(device) if device.type == "cuda" else psutil.Process().memory_info().rss


@lru_cache
def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def give_back() -> None:
    """Hand memory that nobody uses any more back to the system (glibc keeps it otherwise)."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
