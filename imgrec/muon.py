"""Muon: steps with momentum, made orthogonal, so that every direction of a weight matrix moves equally far.

K. Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024, https://kellerjordan.github.io/posts/muon.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from imgrec import hardware
from imgrec.optimisers import AdamW

REST = 0.04  # AdamW's rate for a Muon rate of 1


class Muon(AdamW):
    """Muon for weights of two and more dimensions in ``groups``, AdamW for the rest: biases, norms, and whatever group
    says ``"head": True``.

    Every such weight keeps the length it has at first, and the rate says by how large a share of it a step may change
    it: what a layer with a norm behind computes depends on its direction alone.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float,
        momentum: float,
        weight_decay: float,
        fused: bool | None = None,
        capturable: bool = False,
    ) -> None:
        split = []
        for group in groups:
            both: dict[bool, list] = {True: [], False: []}
            for weight in group["params"]:
                both[_is_matrix(weight) and not group.get("head")].append(weight)
            share = group.get("share", 1.0)
            split.append({**group, "params": both[True], "matrices": True})
            split.append({**group, "params": both[False], "matrices": False, "share": REST * share, "lr": REST * lr})
        split = [group for group in split if group["params"]]
        super().__init__(split, lr, weight_decay=weight_decay, fused=fused, capturable=capturable)
        self._step_supports_amp_scaling = False  # a step too large for float16 is left out by who calls it
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One step from the gradients that the weights hold."""
        groups = self.param_groups
        self.param_groups = [group for group in groups if not group["matrices"]]
        try:
            super().step()
        finally:
            self.param_groups = groups
        for group in groups:
            alike: dict[int, list[nn.Parameter]] = {}
            for weight in group["params"] if group["matrices"] else ():
                if weight.grad is not None:
                    alike.setdefault(min(len(weight), weight[0].numel()), []).append(weight)
            for weights in alike.values():
                self._turn(weights, group["lr"])

    def _turn(self, weights: list[nn.Parameter], rate: float | Tensor) -> None:
        """Weights whose matrices have the same shorter side at once: a stack is one product instead of many."""
        states = [self.state[weight] for weight in weights]
        for weight, state in zip(weights, states, strict=True):
            if not state:
                state["step"] = torch.zeros(())  # AdamW, when it is loaded, wants one in every state
                state["momentum"] = torch.zeros_like(weight)
                state["length"] = weight.norm().clamp(min=1e-3 * weight.numel() ** 0.5)
        momenta, gradients = [state["momentum"] for state in states], [weight.grad for weight in weights]
        torch._foreach_mul_(momenta, self.momentum)
        torch._foreach_add_(momenta, gradients)
        ahead = torch._foreach_add(gradients, momenta, alpha=self.momentum)  # Nesterov
        steps = orthogonal(pad_sequence([_tall(one) for one in ahead], batch_first=True))  # zeros stay zeros
        lengths = torch.stack([state["length"] for state in states])
        steps = steps * (rate * lengths / steps.flatten(1).norm(dim=1).clamp(min=1e-12))[:, None, None]
        for weight, step in zip(weights, steps, strict=True):
            step = step[: weight.numel() // step.shape[1]]
            weight.sub_((step.mT if _is_wide(weight) else step).reshape(weight.shape))
        shares = lengths / torch.stack(torch._foreach_norm(weights)).clamp(min=1e-12)
        for weight, share in zip(weights, shares, strict=True):
            weight.mul_(share)


def _is_wide(weight: Tensor) -> bool:
    return len(weight) <= weight[0].numel()


def _tall(weight: Tensor) -> Tensor:
    """As a matrix with the longer side first, (longer, shorter)."""
    matrix = weight.flatten(1)
    return matrix.mT if _is_wide(weight) else matrix


def _is_matrix(weight: Tensor) -> bool:
    return weight.ndim > 1 and len(weight) > 1 and weight[0].numel() > 1


def orthogonal(matrices: Tensor, rounds: int = 5) -> Tensor:
    """About the orthogonal matrices nearest to these, float (…, M, N): their singular values go to between 0.7 and 1.2.

    The Newton-Schulz iteration with Jordan's coefficients, which bring small values up fast: only products of matrices.
    """
    x = matrices.bfloat16() if hardware.multiplies_bfloat16(matrices.device) else matrices.float()
    x = (x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)).reshape(-1, *x.shape[-2:])
    if wide := x.shape[1] <= x.shape[2]:
        x = x.mT
    for _ in range(rounds):
        square = x.mT @ x
        turn = torch.baddbmm(square, square, square, beta=-4.7750, alpha=2.0315)
        x = torch.baddbmm(x, x, turn, beta=3.4445)
    return (x.mT if wide else x).to(matrices.dtype).reshape(matrices.shape)
