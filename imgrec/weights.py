"""Weights on disk: never without their class names and preprocessing, checked by a SHA-256, never by pickle.

Two kinds of file: ``.safetensors`` with what classifying needs, and a checkpoint with all that resuming needs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from imgrec.home import folder, put_in_place, write_atomic
from imgrec.images import RESIZES
from imgrec.language import tr
from imgrec.models import SHELF, ModelError, build, card, parameters
from imgrec.models.imagenet import MEAN, STD, imagenet_state, torchvision_models


class WeightsError(ValueError):
    """Weights that cannot be used; the message names the file and the reason."""


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes the network's input: fitted to ``size`` px, scaled to 0..1, then (x − mean) ÷ std per channel."""

    size: int
    channels: int
    resize: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one picture: channels, height, width."""
        return self.channels, self.size, self.size

    def normalise(self, images: Tensor) -> Tensor:
        """Pictures in 0..1, float (N, C, H, W), as the network wants them."""
        scale, shift = self.scale_and_shift(images.device, images.dtype)
        return torch.addcmul(shift.view(-1, 1, 1), images, scale.view(-1, 1, 1))  # one pass over the pictures

    def scale_and_shift(self, device: torch.device, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """What pictures are multiplied by and what is then added, per channel, each (C,)."""
        shift = [-mean / std for mean, std in zip(self.mean, self.std, strict=True)]
        return tuple(torch.tensor(v, dtype=dtype, device=device) for v in ([1 / std for std in self.std], shift))


def _moved(images: Tensor, by: int) -> Tensor:
    """Moved down and right by so many pixels; what comes in is the mirror image of the edge."""
    grown = functional.pad(images, (1, 1, 1, 1), "reflect" if min(images.shape[2:]) > 1 else "replicate")
    return grown[:, :, 1 - by : images.shape[2] + 1 - by, 1 - by : images.shape[3] + 1 - by]


# How a picture can be looked at: shares that add up to 1, and what each view does with pictures (N, C, H, W). The six
# are those of K. Jordan, arXiv:2404.00498.
VIEWS: dict[str, tuple[tuple[float, Callable[[Tensor], Tensor]], ...]] = {
    "one": ((1.0, lambda images: images),),
    "mirror": ((0.5, lambda images: images), (0.5, lambda images: images.flip(3))),
    "shifted": (
        (0.5, lambda images: images),
        (0.25, lambda images: _moved(images, 1)),
        (0.25, lambda images: _moved(images, -1)),
    ),
    "six": (
        (0.25, lambda images: images),
        (0.25, lambda images: images.flip(3)),
        (0.125, lambda images: _moved(images, 1)),
        (0.125, lambda images: _moved(images, 1).flip(3)),
        (0.125, lambda images: _moved(images, -1)),
        (0.125, lambda images: _moved(images, -1).flip(3)),
    ),
}


FARTHEST = (
    1e4  # means, deviations and what these are divided by, of pixels from 0 to 1: beyond it nothing can be computed
)


@dataclass(frozen=True)
class Passport:
    """What must travel with weights: the model's name on the shelf, the class names in output order, the preprocessing."""

    model: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    views: str = "one"  # that an answer is the mean of, see VIEWS
    temperature: float = 1.0  # that logits are divided by before the softmax
    threshold: float | None = None  # of familiarity, see `neighbours`; below it a picture is probably none of these

    def build(self) -> nn.Module:
        """The network this passport belongs to, with fresh weights."""
        return build(self.model, len(self.classes), self.preprocess.channels, self.preprocess.size)

    def numbers(self) -> int:
        """How many numbers that network learns; 0 where nothing of that name is on the shelf, which `build` says."""
        try:
            return parameters(self.model, len(self.classes), self.preprocess.channels, self.preprocess.size)
        except ModelError:
            return 0

    def answer(self, network: nn.Module, images: Tensor) -> Tensor:
        """Logits (N, classes) for pictures in 0..1, float (N, C, H, W): the mean over all views of each."""
        return self.over_views(network, self.preprocess.normalise(images))

    def over_views(self, network: nn.Module, images: Tensor) -> Tensor:
        """The same for pictures that are normalised already."""
        return sum(share * network(see(images)).float() for share, see in VIEWS[self.views])

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax of the logits divided by the temperature, (N, classes)."""
        return (logits / self.temperature).softmax(1)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Passport:
        """Read back what ``to_dict`` gave, every field checked: it may come from a stranger. Raises WeightsError."""
        try:
            raw = content["preprocess"]
            mean, std = (tuple(float(value) for value in raw[key]) for key in ("mean", "std"))
            preprocess = Preprocess(int(raw["size"]), int(raw["channels"]), str(raw["resize"]), mean, std)
            classes, views = tuple(str(name) for name in content["classes"]), str(content.get("views", "one"))
            temperature, threshold = float(content.get("temperature", 1.0)), content.get("threshold")
            threshold = None if threshold is None else float(threshold)
            passport = cls(str(content["model"]), classes, preprocess, views, temperature, threshold)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise WeightsError(
                tr("the class names and preprocessing that came with it are damaged ({error!r})", error=error)
            ) from None
        sound = 1 <= preprocess.size <= 1024 and preprocess.channels in (1, 3) and preprocess.resize in RESIZES
        sound = sound and 0.01 <= temperature <= 100 and (threshold is None or math.isfinite(threshold))
        sound = sound and passport.views in VIEWS and len(mean) == len(std) == preprocess.channels
        sound = (
            sound
            and all(abs(value) <= FARTHEST for value in mean)
            and all(1 / FARTHEST <= value <= FARTHEST for value in std)
        )
        if not sound or not 1 <= len(passport.classes) <= 100_000:
            raise WeightsError(tr("the preprocessing that came with it is out of range"))
        return passport


@dataclass(frozen=True)
class Start:
    """Weights to begin a training with. ``name`` is for messages; ``classes`` are those of the last layer; ``mean`` and
    ``std`` per channel are what the weights expect pictures to be normalised by."""

    weights: dict[str, Tensor]
    name: str
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def from_file(cls, path: Path, model: str, name: str = "") -> Start:
        """Weights of ours, or of torchvision's layout if the file ends in .pth or .pt. Raises WeightsError."""
        if not path.is_file():
            raise WeightsError(tr("There is no file {name}.", name=path))
        if path.suffix in (".pth", ".pt"):
            return _from_torchvision(path, model)
        weights, passport = load_weights(path)
        if passport.model != model:
            raise WeightsError(
                tr(
                    "{name} holds a {model}; it cannot start a {wanted}.",
                    name=name or path.name,
                    model=passport.model,
                    wanted=model,
                )
            )
        prepared = passport.preprocess
        return cls(weights, name or path.name, passport.classes, prepared.mean, prepared.std)

    @staticmethod
    def is_here(model: str) -> bool:
        """Whether a model's ImageNet weights need not be downloaded any more."""
        return (folder("weights") / "checkpoints" / _published(model)[0]).exists()

    @classmethod
    def imagenet(cls, model: str) -> Start:
        """ImageNet weights, downloaded by torchvision to the folder weights/, where a file may also be put by hand.

        Raises WeightsError without internet, and for a model that has none.
        """
        file, address = _published(model)
        place = folder("weights")
        torch.hub.set_dir(str(place))
        try:
            with redirect_stdout(sys.stderr):  # where torch tells that it downloads
                weights, classes = imagenet_state(model)
        except (OSError, RuntimeError, ValueError) as error:
            raise WeightsError(
                tr(
                    "The ImageNet weights of {model} are not here and could not be downloaded ({error}); get {address} "
                    "and put it into {place} as {file}.",
                    model=model,
                    error=_short(error),
                    address=address,
                    place=place / "checkpoints",
                    file=file,
                )
            ) from error
        return cls(weights, "imagenet", classes, MEAN, STD)


def _published(model: str) -> tuple[str, str]:
    """The file and the address of torchvision's weights. Raises WeightsError if there are none."""
    if not card(model).pretrained:
        raise WeightsError(
            tr("{title} has no ImageNet weights; use weights=none, a run or a file.", title=card(model).title)
        )
    address = torchvision_models().get_model_weights(SHELF[model].build.args[0]).DEFAULT.url
    return address.rpartition("/")[2], address


def _from_torchvision(path: Path, model: str) -> Start:
    if not card(model).pretrained:
        raise WeightsError(
            tr("{name} has torchvision's layout, but {model} is not one of its networks.", name=path.name, model=model)
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        weights, classes = imagenet_state(model, state)
    except Exception as error:  # a damaged or crafted file raises nearly anything
        raise WeightsError(
            tr(
                "{name} does not hold the weights of a {model} ({error}).",
                name=path.name,
                model=model,
                error=_short(error),
            )
        ) from error
    return Start(weights, path.name, classes, MEAN, STD)


def _short(error: BaseException) -> str:
    text = " ".join(str(getattr(error, "reason", None) or error).split())
    return text if len(text) < 160 else text[:159] + "…"


def digest(tree: Any) -> str:
    """SHA-256 in hex over a nest of dicts, lists, tensors and plain values; equal content, equal digest."""
    total = hashlib.sha256()
    _feed(total, tree)
    return total.hexdigest()


def _feed(total: hashlib._Hash, tree: Any) -> None:
    if isinstance(tree, Tensor):
        flat = tree.detach().cpu().contiguous()
        total.update(f"{flat.dtype}{tuple(flat.shape)}".encode())
        total.update(flat.reshape(-1).view(torch.uint8).numpy())
    elif isinstance(tree, Mapping):
        for key in sorted(tree, key=str):
            total.update(f"{key}=".encode())
            _feed(total, tree[key])
    elif isinstance(tree, list | tuple):
        for value in tree:
            _feed(total, value)
    else:
        total.update(repr(tree).encode())


def save_weights(path: Path, weights: Mapping[str, Tensor], passport: Passport) -> None:
    """Write a .safetensors file that knows its model, classes, preprocessing and hash; the old file stays until it is whole."""
    weights = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    metadata = {"imgrec": json.dumps(passport.to_dict(), ensure_ascii=False), "sha256": digest(weights)}
    write_atomic(path, safetensors.torch.save(weights, metadata))


def load_weights(path: Path) -> tuple[dict[str, Tensor], Passport]:
    """Weights and passport of a file from ``save_weights``. Raises WeightsError if anything about it is wrong."""
    try:
        with safetensors.safe_open(path, "pt") as stored:
            metadata = stored.metadata() or {}
            weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  not a dict
        passport = Passport.from_dict(json.loads(metadata["imgrec"]))
    except KeyError:
        raise WeightsError(
            tr("{name}: these weights do not say which model and classes they belong to.", name=path.name)
        ) from None
    except (OSError, safetensors.SafetensorError, json.JSONDecodeError, TypeError, RecursionError) as error:
        raise WeightsError(
            tr("{name}: the file cannot be read as weights ({error}).", name=path.name, error=error)
        ) from None
    except WeightsError as error:
        raise WeightsError(f"{path.name}: {error}.") from None
    if metadata.get("sha256") != digest(weights):
        raise WeightsError(
            tr("{name}: the weights are damaged (their hash does not match); use another copy.", name=path.name)
        )
    if passport.numbers() > sum(value.numel() for value in weights.values()):  # before memory is taken for it
        raise WeightsError(
            tr("{name}: these weights are too few for the network that they say they are.", name=path.name)
        )
    return weights, passport


def fits(model: nn.Module, weights: Mapping[str, Tensor]) -> bool:
    """Whether weights have the shapes of a model's, its last layer aside."""
    wanted = {key: value.shape for key, value in model.state_dict().items() if not key.startswith("head.")}
    return wanted == {key: value.shape for key, value in weights.items() if not key.startswith("head.")}


def fill(model: nn.Module, weights: Mapping[str, Tensor], name: str, but_head: bool = False) -> None:
    """Put weights into a model; ``but_head`` leaves its last layer as it is. Raises WeightsError if shapes do not fit."""
    wanted = model.state_dict()
    chosen = {key: value for key, value in weights.items() if not (but_head and key.startswith("head."))}
    expected = {key for key in wanted if not (but_head and key.startswith("head."))}
    if set(chosen) != expected:
        raise WeightsError(
            tr(
                "{name}: these weights belong to another model; the layers differ ({chosen}).",
                name=name,
                chosen=_first_difference(chosen, expected),
            )
        )
    for key, value in chosen.items():
        if value.shape != wanted[key].shape:
            here, there = tuple(wanted[key].shape), tuple(value.shape)
            raise WeightsError(
                tr(
                    "{name}: layer {key} has shape {there}, the model wants {here}; use the same picture size.",
                    name=name,
                    key=key,
                    there=there,
                    here=here,
                )
            )
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise WeightsError(tr("{name}: layer {key} holds values that are not numbers.", name=name, key=key))
    model.load_state_dict(chosen, strict=not but_head)


def _first_difference(given: set | dict, expected: set) -> str:
    return sorted(set(given) ^ set(expected))[0]


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write everything a training needs to go on, with its hash; the one before stays beside it, see `latest_checkpoint`."""
    buffer = io.BytesIO()
    torch.save({"sha256": digest(content), "content": content}, buffer)
    new = path.with_name(f"next-{path.name}")
    write_atomic(new, buffer.getvalue())
    with suppress(FileNotFoundError):
        put_in_place(path, earlier(path))
    put_in_place(new, path)


def earlier(path: Path) -> Path:
    """Where the checkpoint before the last one lies."""
    return path.with_name(f"earlier-{path.name}")


def latest_checkpoint(path: Path) -> tuple[dict[str, Any] | None, str]:
    """The newest checkpoint that is whole, or None if there never was one, and what is wrong with a newer one, if so.

    Raises WeightsError if all of them are damaged.
    """
    wrong = ""
    for candidate in (path, earlier(path)):
        if candidate.exists():
            try:
                return load_checkpoint(candidate), wrong
            except WeightsError as error:
                wrong = wrong or str(error)
    if wrong:
        raise WeightsError(wrong)
    return None, ""


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what ``save_checkpoint`` wrote, onto the CPU. Raises WeightsError if it is missing, damaged or not ours."""
    if not path.exists():
        raise WeightsError(
            tr("{name}: there is no checkpoint yet; the training ended before the first one.", name=path.name)
        )
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        intact = stored["sha256"] == digest(stored["content"])
    except Exception as error:  # a damaged file raises nearly anything
        raise WeightsError(
            tr("{name}: the checkpoint cannot be read ({error}).", name=path.name, error=type(error).__name__)
        ) from None
    if not intact:
        raise WeightsError(tr("{name}: the checkpoint is damaged (its hash does not match).", name=path.name))
    return stored["content"]
