"""What a container or a service may use of the machine's cores and memory: Linux's control groups, version 1 and 2."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def cores() -> int | None:
    """How many cores' worth of time this process may have, such as 2 of ``docker run --cpus 1.5``; None without a bound.

    Threads beyond them would all be halted together for most of every tenth of a second.
    """
    found = []
    for group in _groups("cpu"):
        quota, period = [*_numbers(group / "cpu.max"), None, None][:2]
        if quota is None:
            quota, period = (_number(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota and period and quota > 0:
            found.append(max(1, math.ceil(quota / period)))
    return min(found, default=None)


def memory() -> tuple[int, int] | None:
    """Bytes that this process can still have, and all that it may have; None without a bound. What only holds files, the
    system takes back when it is needed: it counts as free."""
    found = []
    for group in _groups("memory"):
        for limit, used, kept in (
            ("memory.max", "memory.current", ("inactive_file", "active_file")),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
        ):
            most, now = _number(group / limit), _number(group / used)
            if most is not None and now is not None:
                files = sum(value for name, value in _table(group / "memory.stat") if name in kept)
                found.append((max(0, most - now + files), most))
    return min(found, default=None)


def _groups(controller: str) -> Iterator[Path]:
    """The folders of this process's group and of those around it, whose bounds hold for it too. A container may be told the
    machine's name of its group, but sees it as the outermost."""
    with suppress(OSError, ValueError):
        for line in OWN.read_text().splitlines():
            _, controllers, name = line.split(":", 2)
            if not controllers or controller in controllers.split(","):
                inner = Path(name.lstrip("/"))
                yield from (ROOT / (controller if controllers else "") / place for place in (inner, *inner.parents))


def _numbers(path: Path) -> list[int]:
    """The numbers in the first line of a file; none for ``max`` and where there is no file."""
    with suppress(OSError, ValueError):
        return [int(word) for word in path.read_text().split()]
    return []


def _number(path: Path) -> int | None:
    return next(iter(_numbers(path)), None)


def _table(path: Path) -> Iterator[tuple[str, int]]:
    with suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            name, _, value = line.partition(" ")
            if value.isdigit():
                yield name, int(value)
