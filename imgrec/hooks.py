"""What the layers of a network take and give while it computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import get_ident

from torch import nn

Note = Callable[[nn.Module, tuple, object], object]  # (layer, what came in, what it gives)


@contextmanager
def listening(layers: Iterable[nn.Module], note: Note) -> Iterator[None]:
    """Tell ``note`` of each of the layers whenever it computes in this thread, while the block lasts.

    A network that many visitors share runs in other threads meanwhile; their pictures are not told.
    """
    mine = get_ident()

    def heard(layer: nn.Module, came: tuple, gives: object) -> None:
        if get_ident() == mine:
            note(layer, came, gives)

    with ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(layer.register_forward_hook(heard))
        yield
