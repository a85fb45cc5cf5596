"""In which numbers a training computes: float32, or where that is faster bfloat16 or float16, weights always in float32.

float16 is for GPUs older than 2020, which do not know bfloat16. Its smallest number is 6e-8, so that gradients vanish:
the loss is scaled up before they are computed and the gradients down after (Micikevicius et al., arXiv:1710.03740).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from imgrec import hardware

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
GAIN = 1.2  # how many times as fast the shorter numbers must be
WORTH_MEASURING = 3e11  # multiply-adds of a training, forward, from which on the faster precision is looked for


class Precision:
    """One of float32, bfloat16 and float16 on a device, with the scale of its losses."""

    def __init__(self, name: str, device: torch.device) -> None:
        self.name, self.device = name, device
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "float16")

    def autocast(self) -> torch.autocast:
        """What a forward pass runs under."""
        dtype = DTYPES.get(self.name, torch.bfloat16)
        return torch.autocast(self.device.type, dtype, enabled=self.name in DTYPES)

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradients, scaled if need be, to those of the weights."""
        self.scaler.scale(loss).backward()

    def step(self, optimiser: torch.optim.Optimizer, before: Callable[[], None]) -> None:
        """A step with the gradients at their true size, after what ``before`` does to them. A step whose gradients were
        too large for float16 is left out, and the scale halved."""
        self.scaler.unscale_(optimiser)
        before()
        self.scaler.step(optimiser)
        self.scaler.update()


def shorter(device: torch.device) -> str | None:
    """The shorter numbers to try on a device: those it does not imitate, which would take many times as long."""
    if hardware.knows_bfloat16(device):
        return "bfloat16"
    return "float16" if device.type == "cuda" else None


def faster(model: nn.Module, loss: Callable[[Tensor], Tensor], inputs: Tensor, device: torch.device) -> str:
    """The name of the precision in which the network learns faster here, measured on one batch; ``loss`` is of its logits.

    A GPU that knows bfloat16 is always faster in it, which one batch, started kernel by kernel, would not show.
    """
    name = shorter(device)
    if name is None:
        return "float32"
    if device.type == "cuda" and name == "bfloat16":
        return name
    try:
        seconds = {
            one: min(_timed(Precision(one, device), model, loss, inputs) for _ in range(3)) for one in ("float32", name)
        }
    except torch.OutOfMemoryError:
        return name  # which takes less
    return name if seconds[name] * GAIN < seconds["float32"] else "float32"


def _timed(precision: Precision, model: nn.Module, loss: Callable[[Tensor], Tensor], inputs: Tensor) -> float:
    """Seconds for one batch forward and backward, which leaves nothing behind."""
    model.eval()  # batch statistics stay as they are
    hardware.wait(precision.device)
    started = time.perf_counter()
    with precision.autocast():
        value = loss(model(inputs).float())
    precision.backward(value)
    hardware.wait(precision.device)
    model.zero_grad(set_to_none=True)
    return time.perf_counter() - started
