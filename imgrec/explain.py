"""Why the network says so: heat maps over a picture for a chosen class, by methods from the captum library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from imgrec.augment import to_tensor
from imgrec.hooks import listening
from imgrec.images import to_png
from imgrec.language import listed, mark, tr
from imgrec.models import ModelError, card
from imgrec.predict import Predictor
from imgrec.recipe import one_of

ELSEWHERE = 8  # other places at which as much is covered, for comparison


@dataclass(frozen=True)
class Method:
    """A row of METHODS: ``heat(predictor, inputs (1, C, H, W), class index)`` gives float (h, w), high where it mattered."""

    title: str
    help: str
    heat: Callable[[Predictor, Tensor, int], Tensor]


@dataclass(frozen=True)
class Explanation:
    """``heat`` float32 (H, W) in 0..1, as large as the picture the network saw.

    ``hidden``: the class's probability when the hottest fifth of the picture is covered; ``elsewhere``: when as much of
    it, in the same shape, is covered at other places. A map is ``reliable`` if the first takes more away.
    """

    heat: np.ndarray
    class_name: str
    probability: float
    hidden: float = 0.0
    elsewhere: float = 0.0

    @property
    def reliable(self) -> bool:
        return self.hidden < self.elsewhere


def _gradcam(predictor: Predictor, inputs: Tensor, target: int) -> Tensor:
    """Each value of the maps times its gradient, so that a dense layer behind, which treats every place differently, is
    followed faithfully (HiResCAM, Draelos and Carin 2020); where maps are averaged at the end it is Grad-CAM itself.

    By hand, for transformers give their maps as tokens, which captum's does not take for maps.
    """
    layer = card(predictor.passport.model).explains
    if layer is None:
        raise ModelError(
            tr(
                "Grad-CAM reads maps, and a {model} has none; use occlusion or saliency.",
                model=predictor.passport.model.partition(":")[0],
            )
        )
    caught: list[Tensor] = []
    with listening([predictor.model.get_submodule(layer)], lambda _, __, gives: caught.append(gives)):
        logit = predictor.model(inputs)[0, target]
    [gradient] = torch.autograd.grad(logit, caught)
    maps, gradient = _as_maps(caught[0]), _as_maps(gradient)
    return (gradient * maps).sum(0).clamp(min=0)


def _as_maps(values: Tensor) -> Tensor:
    """What a layer gives for one picture as (C, h, w): maps as they are, tokens laid out, channels brought to the front."""
    values = values[0]
    if values.ndim == 2:  # (tokens, C); the first one may stand for the whole picture
        side = int(len(values) ** 0.5)
        values = values[len(values) - side * side :].view(side, side, -1)
    elif values.shape[1] == values.shape[2]:  # (C, h, w)
        return values
    return values.permute(2, 0, 1)


def _occlusion(predictor: Predictor, inputs: Tensor, target: int) -> Tensor:
    from captum.attr import Occlusion

    side = inputs.shape[-1]
    window, stride = max(1, side // 5), max(1, side // 16)
    lost = Occlusion(lambda images: predictor.model(images).log_softmax(1)).attribute(
        inputs,
        sliding_window_shapes=(inputs.shape[1], window, window),
        strides=(inputs.shape[1], stride, stride),
        baselines=_covered(inputs),
        target=target,
        perturbations_per_eval=64,
    )
    return lost[0].mean(0).clamp(min=0)


def _covered(inputs: Tensor) -> Tensor:
    """A picture of the same size in the picture's own mean colour, which hides without adding anything strange."""
    return inputs.mean((2, 3), keepdim=True).expand_as(inputs).contiguous()


def _saliency(predictor: Predictor, inputs: Tensor, target: int) -> Tensor:
    from captum.attr import Saliency

    return Saliency(predictor.model).attribute(inputs.requires_grad_(), target)[0].amax(0)


def _integrated(predictor: Predictor, inputs: Tensor, target: int) -> Tensor:
    from captum.attr import IntegratedGradients

    found = IntegratedGradients(predictor.model).attribute(
        inputs, baselines=_covered(inputs), target=target, n_steps=32, internal_batch_size=32
    )
    return found[0].sum(0).clamp(min=0)


def _smooth(predictor: Predictor, inputs: Tensor, target: int) -> Tensor:
    """By hand, for captum's draws cannot be seeded without touching those of everybody else."""
    generator = torch.Generator().manual_seed(0)
    spread = 0.15 * (inputs.max() - inputs.min())
    noise = torch.randn((24, *inputs.shape[1:]), generator=generator).to(inputs.device) * spread
    noisy = (inputs + noise).requires_grad_()
    [gradient] = torch.autograd.grad(predictor.model(noisy)[:, target].sum(), noisy)
    return gradient.abs().mean(0).amax(0)


METHODS = {
    "gradcam": Method(
        mark("Grad-CAM"),
        mark(
            "Which places of the convolution maps speak for the class (Selvaraju et al. 2017, Draelos and Carin 2020)."
        ),
        _gradcam,
    ),
    "occlusion": Method(
        mark("Occlusion"),
        mark("How much the class loses when a patch is covered (Zeiler and Fergus 2014)."),
        _occlusion,
    ),
    "saliency": Method(
        mark("Saliency"), mark("Which pixels would change the class score most (Simonyan et al. 2014)."), _saliency
    ),
    "smoothgrad": Method(
        mark("SmoothGrad"),
        mark("Saliency, as the mean over 24 noisy copies, which leaves the noise out (Smilkov et al. 2017)."),
        _smooth,
    ),
    "integrated": Method(
        mark("Integrated gradients"),
        mark("What each pixel adds on the way from a plain picture to this one (Sundararajan et al. 2017)."),
        _integrated,
    ),
}


def explain(
    predictor: Predictor, seen: np.ndarray, method: str = "gradcam", class_name: str | None = None
) -> Explanation:
    """A heat map over ``seen`` (uint8 (H, W, C), from Predictor.see) for a class, by default the likeliest.

    Raises RecipeError for an unknown method, ModelError for an unknown class or a model the method cannot read.
    """
    one_of("method", method, METHODS)
    probabilities = predictor.probabilities(seen[None])[0]
    target = int(probabilities.argmax()) if class_name is None else _index(predictor, class_name)
    images = to_tensor(seen, predictor.device)
    inputs = predictor.passport.preprocess.normalise(images)
    with torch.enable_grad():
        if method == "gradcam":
            inputs.requires_grad_()
        heat = METHODS[method].heat(predictor, inputs, target).detach().float()
    heat = functional.interpolate(heat[None, None], seen.shape[:2], mode="bilinear")[0, 0].cpu().numpy()
    span = heat.max() - heat.min()
    heat = (heat - heat.min()) / span if span > 0 else np.zeros_like(heat)
    probability = float(probabilities[target])  # an empty map says nothing, and so proves nothing
    hidden, elsewhere = _proof(predictor, inputs.detach(), heat, target) if span > 0 else (probability, probability)
    return Explanation(heat.astype(np.float32), predictor.classes[target], probability, hidden, elsewhere)


@torch.inference_mode()
def _proof(predictor: Predictor, inputs: Tensor, heat: np.ndarray, target: int) -> tuple[float, float]:
    """The class's probability with the hottest fifth covered, and its mean with the same shape covered elsewhere."""
    height, width = heat.shape
    order = np.argsort(-heat.flatten(), kind="stable")[: max(1, heat.size // 5)]
    hottest = np.zeros(heat.size, bool)
    hottest[order] = True
    hottest = hottest.reshape(heat.shape)
    draws = np.random.default_rng(0)
    shifts = zip(*(draws.integers(1, max(2, side), 4 * ELSEWHERE).tolist() for side in (height, width)), strict=True)
    others = [np.roll(hottest, shift, (0, 1)) for shift in shifts]
    others.sort(key=lambda other: np.count_nonzero(other & hottest))  # what covers the hottest as well proves nothing
    masks = np.stack([hottest, *others[:ELSEWHERE]])
    covered = torch.where(torch.from_numpy(masks).to(inputs.device)[:, None], _covered(inputs), inputs)
    found = (
        predictor.passport.probabilities(predictor.passport.over_views(predictor.model, covered))[:, target]
        .cpu()
        .numpy()
    )
    return float(found[0]), float(found[1:].mean())


@dataclass(frozen=True)
class Flip:
    """What it takes to change an answer: ``share`` of the picture that must be covered, or None if even ``tried`` is not
    enough; the ``covered`` picture uint8 (H, W, C), and the ``class_name`` that the network then answers."""

    share: float | None
    tried: float
    covered: np.ndarray
    class_name: str


@torch.inference_mode()
def flip(predictor: Predictor, seen: np.ndarray, heat: np.ndarray, most: float = 0.6, steps: int = 60) -> Flip:
    """Cover more and more of a picture, hottest first, in its own mean colour, until the answer is another."""
    order = np.argsort(-heat.flatten(), kind="stable")
    colour = seen.mean((0, 1)).round().astype(np.uint8)
    before = int(predictor.probabilities(seen[None])[0].argmax())
    shares = most * np.arange(1, steps + 1) / steps
    pictures = np.repeat(seen[None], steps, 0).reshape(steps, -1, seen.shape[2])
    for picture, share in zip(pictures, shares, strict=True):
        picture[order[: max(1, round(share * heat.size))]] = colour
    pictures = pictures.reshape(steps, *seen.shape)
    answers = predictor.probabilities(pictures).argmax(1)
    other = np.flatnonzero(answers != before)
    place = int(other[0]) if len(other) else steps - 1
    share = float(shares[place]) if len(other) else None
    return Flip(share, most, pictures[place], predictor.classes[int(answers[place])])


def overlay(seen: np.ndarray, heat: np.ndarray, least_side: int = 224) -> bytes:
    """PNG bytes of the picture with the heat over it, enlarged to at least ``least_side`` px."""
    grow = max(1, -(-least_side // seen.shape[0]))
    picture = np.broadcast_to(seen, (*seen.shape[:2], 3)).repeat(grow, 0).repeat(grow, 1) / 255
    warmth = torch.from_numpy(heat)[None, None]
    warmth = functional.interpolate(warmth, scale_factor=grow, mode="bilinear")[0, 0].numpy()[..., None]
    colour = np.concatenate([np.clip(3 * warmth - i, 0, 1) for i in range(3)], 2)  # black, red, yellow, white
    return to_png((255 * (picture * (1 - 0.65 * warmth) + colour * 0.65 * warmth)).round().astype(np.uint8))


def _index(predictor: Predictor, class_name: str) -> int:
    if class_name not in predictor.classes:
        raise ModelError(
            tr(
                "{name} knows no class {class_name!r}; it knows {classes}.",
                name=predictor.name,
                class_name=class_name,
                classes=listed(predictor.classes),
            )
        )
    return predictor.classes.index(class_name)
