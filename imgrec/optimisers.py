"""torch's optimisers without torch's compiler, which they all bring in only to be left alone by it: that takes as long as to
import torch, and 160 MB, before the first step of every training.
"""

from __future__ import annotations

import inspect

import torch
from torch.optim import Optimizer


class _Alone:
    """The methods of an optimiser as they were written, before torch wrapped them for its compiler."""

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)


class AdamW(_Alone, torch.optim.AdamW):
    """`torch.optim.AdamW`."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class Adam(_Alone, torch.optim.Adam):
    """`torch.optim.Adam`."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class SGD(_Alone, torch.optim.SGD):
    """`torch.optim.SGD`."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))


class RMSprop(_Alone, torch.optim.RMSprop):
    """`torch.optim.RMSprop`."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.RMSprop.step))
