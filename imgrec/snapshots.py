"""A network at several moments of its training: its weights after some of the epochs, from which everything can be shown."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from imgrec.home import write_atomic
from imgrec.hooks import listening
from imgrec.language import tr
from imgrec.predict import Predictor
from imgrec.runs import Run
from imgrec.weights import Passport, WeightsError, fill

MOST, MOST_BYTES = 16, 64 * 2**20  # moments of a run that are kept, and bytes of all of them


def keep(run: Run, weights: dict[str, Tensor], epoch: int) -> None:
    """Keep the weights after an epoch, as float16; when there are too many, every second goes, but the first and the last stay.

    Without room for them, nothing happens: a training does not end for a picture of it.
    """
    small = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    content = safetensors.torch.save({name: value.cpu().contiguous() for name, value in small.items()})
    if len(content) > MOST_BYTES // 4:
        return
    place = run.file("snapshots")
    with contextlib.suppress(OSError):
        place.mkdir(exist_ok=True)
        write_atomic(place / f"{epoch:04d}.safetensors", content)
        kept, stride = moments(run), 1
        most = max(2, min(MOST, MOST_BYTES // len(content)))
        while len(staying := {e for e in kept if e % stride == 0} | {kept[0], kept[-1]}) > most:
            stride *= 2
        for old in set(kept) - staying:
            file(run, old).unlink(missing_ok=True)


def moments(run: Run) -> list[int]:
    """The epochs after which the weights were kept, ascending."""
    return sorted(int(file.stem) for file in run.file("snapshots").glob("[0-9]*.safetensors") if file.stem.isdigit())


def stamp(run: Run, epoch: int) -> int:
    """When that moment was written, in nanoseconds: it may be another one after a resume. Raises OSError."""
    return file(run, epoch).stat().st_mtime_ns


def at(run: Run, passport: Passport, epoch: int) -> Predictor:
    """The network as it was after that epoch, on the CPU. Raises WeightsError if that was not kept or is damaged."""
    try:
        weights = safetensors.torch.load_file(file(run, epoch))
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(
            tr("The weights after epoch {epoch} cannot be read ({error}).", epoch=epoch, error=error)
        ) from None
    model = passport.build()
    wanted = model.state_dict()
    fill(model, {k: v.to(wanted[k].dtype) if k in wanted else v for k, v in weights.items()}, f"epoch {epoch}")
    return Predictor(model, passport, f"{run.name}, epoch {epoch}", "cpu")


def file(run: Run, epoch: int) -> Path:
    return run.file("snapshots") / f"{epoch:04d}.safetensors"


def first_filters(model: nn.Module, most: int = 32) -> np.ndarray | None:
    """The filters of the first convolution, float32 (n, k, k, channels); of softmax regression the weights of each class
    as pictures. None if the network has neither."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            return layer.weight[:most].detach().float().permute(0, 2, 3, 1).cpu().numpy()
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    if len(linear) != 1:
        return None
    for channels in (1, 3):
        side = round((linear[0].in_features / channels) ** 0.5)
        if side * side * channels == linear[0].in_features:
            return (
                linear[0]
                .weight[:most]
                .detach()
                .float()
                .view(-1, channels, side, side)
                .permute(0, 2, 3, 1)
                .cpu()
                .numpy()
            )
    return None


def learned(model: nn.Module) -> bool:
    """Whether the first of its layers that have filters learned them, and did not compute them before the training."""
    weights = next((layer.weight for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)), None)
    return isinstance(weights, nn.Parameter)


def drawn(weights: np.ndarray) -> np.ndarray:
    """A filter (k, k, channels) as a picture uint8 (k, k, 3): grey is zero, and all its channels share one scale."""
    colours = np.repeat(weights, 3, 2) if weights.shape[2] == 1 else weights[..., :3]
    return (127.5 + 127.5 * colours / max(float(np.abs(colours).max()), 1e-9)).round().astype(np.uint8)


def sizes(model: nn.Module) -> dict[str, float]:
    """The root mean square of the weights of every layer that has any, by name: {"features.0": 0.21}."""
    found = {}
    for name, layer in model.named_modules():
        weight = getattr(layer, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim > 1:
            found[name] = float(weight.detach().float().square().mean().sqrt())
    return found


def spread(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """All weights of every layer that has any, and what one batch says about them: {"features.0": (weights, gradients)},
    each float32 (n,). The gradients are those of the mean cross-entropy of the normalised images; nothing is changed, for
    others may be using the network."""
    with torch.inference_mode(False), torch.enable_grad():
        model = copy.deepcopy(model).requires_grad_()
        layers = {
            name: layer.weight
            for name, layer in model.named_modules()
            if getattr(layer, "weight", None) is not None and layer.weight.ndim > 1
        }
        loss = nn.functional.cross_entropy(model(images.clone()), labels.clone())
        gradients = torch.autograd.grad(loss, list(layers.values()), allow_unused=True)
    return {
        name: (weight.detach().flatten().float().numpy(), gradient.flatten().float().numpy())
        for (name, weight), gradient in zip(layers.items(), gradients, strict=True)
        if gradient is not None
    }


def dead(model: nn.Module, images: Tensor) -> float | None:
    """The share of ReLU units that are zero for every one of the normalised images; None without ReLU."""
    alive: list[Tensor] = []

    def note(_: nn.Module, __: object, gave: Tensor) -> None:
        alive.append((gave > 0).flatten(2).any(2).any(0) if gave.ndim == 4 else (gave > 0).any(0))

    with torch.inference_mode(), listening((layer for layer in model.modules() if isinstance(layer, nn.ReLU)), note):
        model(images)
    return float((~torch.cat(alive)).float().mean()) if alive else None
