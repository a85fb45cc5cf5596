"""Muon: steps with momentum, made orthogonal, so that every direction of a weight matrix moves equally far.

K. Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024, https://kellerjordan.github.io/posts/muon.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

REST = 0.04  # AdamW's rate for a Muon rate of 1


class Muon(torch.optim.AdamW):
    """Muon for weights of two and more dimensions in ``groups``, AdamW for the rest: biases, norms, and whatever group
    says ``"head": True``.

    Every such weight keeps the length it has at first, and the rate says by how large a share of it a step may change
    it: what a layer with a norm behind computes depends on its direction alone.
    """

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, momentum: float, weight_decay: float, fused: bool | None
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
        super().__init__(split, lr, weight_decay=weight_decay, fused=fused)
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
            for weight in group["params"] if group["matrices"] else ():
                if weight.grad is not None:
                    self._turn(weight, group["lr"])

    def _turn(self, weight: nn.Parameter, rate: float) -> None:
        state = self.state[weight]
        if not state:
            state["step"] = torch.zeros(())  # AdamW, when it is loaded, wants one in every state
            state["momentum"] = torch.zeros_like(weight)
            state["length"] = weight.norm().clamp(min=1e-3 * weight.numel() ** 0.5)
        state["momentum"].mul_(self.momentum).add_(weight.grad)
        ahead = weight.grad.add(state["momentum"], alpha=self.momentum)  # Nesterov
        step = orthogonal(ahead.flatten(1)).view_as(weight)
        weight.sub_(step * (rate * state["length"] / step.norm().clamp(min=1e-12)))
        weight.mul_(state["length"] / weight.norm().clamp(min=1e-12))


def _is_matrix(weight: Tensor) -> bool:
    return weight.ndim > 1 and len(weight) > 1 and weight[0].numel() > 1


def orthogonal(matrix: Tensor, rounds: int = 5) -> Tensor:
    """About the orthogonal matrix nearest to this one, float (M, N): its singular values go to between 0.7 and 1.2.

    The Newton-Schulz iteration with Jordan's coefficients, which bring small values up fast: only products of matrices.
    """
    x = matrix.bfloat16() if matrix.is_cuda else matrix.float()
    x = x / (x.norm() + 1e-7)
    if wide := x.shape[0] <= x.shape[1]:
        x = x.T
    for _ in range(rounds):
        square = x.T @ x
        x = 3.4445 * x + x @ (-4.7750 * square + 2.0315 * square @ square)
    return (x.T if wide else x).to(matrix.dtype)
