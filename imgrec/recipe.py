"""The recipe: everything a training needs, as one flat, validated, JSON-able record.

It knows types, ranges and words for people; which models, optimisers or data sets exist is the business of their shelves.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from imgrec.language import listed, mark, sentences, tr


class RecipeError(ValueError):
    """A setting that cannot be used; the message says what was given, what was expected and how to mend it."""


def setting(
    default: Any, title: str, help: str, minimum: float | None = None, maximum: float | None = None, **more: Any
):
    """A field of the recipe with what a form, a command line and a check need to know about it."""
    return dataclasses.field(
        default=default, metadata={"title": title, "help": help, "minimum": minimum, "maximum": maximum, **more}
    )


@dataclass(frozen=True)
class Recipe:
    """Everything a training needs. Frozen: ``dataclasses.replace`` makes a changed copy, checked again.

    Raises RecipeError on a value of the wrong type or out of range.
    """

    dataset: str = setting("digits", mark("Data set"), mark("The pictures to learn from."))
    model: str = setting(
        "seed-cnn", mark("Model"), mark("The network to train; softmax regression is the baseline to beat.")
    )
    weights: str = setting(
        "none",
        mark("Start from"),
        mark("'none' for random weights, 'imagenet', the name of a finished run, or a .safetensors file."),
    )
    freeze: str = setting(
        "none",
        mark("Freeze"),
        mark("'backbone' trains only the last layer; 'gradual' that first, then all, the rest at a tenth of the rate."),
        choices=(mark("none"), mark("backbone"), mark("gradual")),
    )
    image_size: int = setting(
        0,
        mark("Picture size"),
        mark("Width and height in pixels the network sees; 0 takes the data set's own."),
        0,
        512,
    )
    resize: str = setting(
        "crop",
        mark("Resize by"),
        mark("Centre-crop, pad or squash pictures that are not square."),
        choices=(mark("crop"), mark("pad"), mark("squash")),
    )
    start_small: float = setting(
        1.0,
        mark("Start small"),
        mark(
            "Share of the picture's side to begin with; it grows to all of it by two thirds of the training. "
            "0.75 saves about a fifth of the time."
        ),
        0.25,
        1.0,
        step=0.05,
    )
    augment: str = setting(
        "none", mark("Augmentation"), mark("Random changes to every training picture, such as rotate=15,shift=0.1.")
    )
    loss: str = setting("cross-entropy", mark("Loss"), mark("What the training makes small."))
    label_smoothing: float = setting(
        0.0,
        mark("Label smoothing"),
        mark("Share of the target spread over all classes; 0.1 tames overconfidence."),
        0.0,
        0.5,
        step=0.05,
    )
    balance: str = setting(
        "none",
        mark("Balance classes"),
        mark("For unequal classes, beyond 3 to 1: rare ones count more in the 'loss', or come as often by 'sampling'."),
        choices=(mark("none"), mark("loss"), mark("sampling")),
    )
    mix: str = setting(
        "none",
        mark("Mix pictures"),
        mark("Blend two pictures and their labels (mixup), or paste a window of one into the other (cutmix)."),
        choices=(mark("none"), "mixup", "cutmix"),
    )
    optimiser: str = setting(
        "adamw", mark("Optimiser"), mark("How the gradient becomes a step; AdamW works nearly everywhere.")
    )
    learning_rate: float = setting(
        0.003,
        mark("Learning rate"),
        mark("Size of the steps. Too big: the loss jumps; too small: nothing moves."),
        1e-6,
        10.0,
        log=True,
    )
    momentum: float = setting(
        0.9,
        mark("Momentum"),
        mark("How much of the last step carries on; used by SGD with momentum and by Muon."),
        0.0,
        0.999,
        step=0.05,
    )
    weight_decay: float = setting(
        0.01,
        mark("Weight decay"),
        mark(
            "Shrinks all weights at every step, apart from the gradient with AdamW; with SGD and Adam this is L2. Muon keeps the length of its matrices. A little helps against overfitting."
        ),
        0.0,
        1.0,
        step=0.005,
    )
    l1: float = setting(
        0.0,
        "L1",
        mark(
            "Pulls every weight but the biases towards zero by the same amount, so that useless ones end there: with AdamW and 0.1 about every fourth does, with SGD try 0.001."
        ),
        0.0,
        1.0,
        step=0.001,
    )
    clip: float = setting(
        0.0,
        mark("Clip gradients"),
        mark("Longer gradients are cut to this length; 1 tames wild steps, 0 is off."),
        0.0,
        100.0,
        step=0.5,
    )
    patience: int = setting(
        0,
        mark("Patience"),
        mark("Stop early after so many epochs without a better validation; 0 trains all epochs."),
        0,
        1000,
    )
    schedule: str = setting("one-cycle", mark("Schedule"), mark("How the learning rate changes over the training."))
    warmup: float = setting(
        0.0,
        mark("Warm-up"),
        mark("Share of the training over which the rate grows from zero to the schedule's."),
        0.0,
        0.9,
        step=0.05,
    )
    average: float = setting(
        0.0,
        mark("Average weights"),
        mark(
            "How much of a running mean of the weights each step keeps (EMA), which is then what counts; try "
            "0.99, 0 is off."
        ),
        0.0,
        0.9999,
        step=0.01,
    )
    epochs: int = setting(15, mark("Epochs"), mark("How often the network sees every training picture."), 1, 1000)
    batch_size: int = setting(
        32, mark("Batch size"), mark("Pictures per step. Bigger is steadier, smaller learns more per picture."), 1, 4096
    )
    views: str = setting(
        "one",
        mark("Views per answer"),
        mark(
            "Answer for the picture, or on average for it and its mirror image, for it and two moved by a pixel, "
            "or for all six."
        ),
        choices=(mark("one"), mark("mirror"), mark("shifted"), mark("six")),
    )
    precision: str = setting(
        "auto",
        mark("Precision"),
        mark(
            "bfloat16 is faster on recent hardware, float16 on GPUs from before 2020; 'auto' measures it for long "
            "trainings, short ones stay float32."
        ),
        choices=(mark("auto"), "float32", "bfloat16", "float16"),
    )
    device: str = setting(
        "auto",
        mark("Device"),
        mark("'auto' takes the GPU if there is one."),
        choices=(mark("auto"), "cpu", "cuda", "mps"),
    )
    seed: int = setting(
        0, mark("Seed"), mark("The same seed and settings give the same training on the CPU."), 0, 2**31 - 1
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _checked(field, getattr(self, field.name)))

    def to_json(self) -> str:
        """The recipe as indented JSON; ``from_json`` reads it back equal."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """A recipe from ``to_json``'s text. Raises RecipeError on anything else."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecipeError(tr("The recipe is not JSON: {error}.", error=error)) from None
        if not isinstance(values, dict):
            raise RecipeError(tr("The recipe is a {name}; expected an object of settings.", name=type(values).__name__))
        return cls.from_values(values)

    @classmethod
    def from_values(cls, values: dict[str, Any], preset: str = "standard") -> Recipe:
        """A recipe from given values over a preset's. Raises RecipeError on an unknown name."""
        one_of("preset", preset, PRESETS)
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            close = [
                OTHER_NAMES.get(name) or next(iter(difflib.get_close_matches(name, known, 1)), "") for name in unknown
            ]
            raise RecipeError(
                sentences(
                    tr("Unknown setting {unknown}.", unknown=listed(unknown)),
                    tr("Did you mean {names}?", names=listed(filter(None, close))) if any(close) else "",
                    tr("The settings are {known}.", known=listed(sorted(known))),
                )
            )
        return cls(**{**PRESETS[preset], **values})


def command_line(settings: Mapping[str, Any]) -> str:
    """A training with these settings, the data set among them, as a line for a shell."""
    words = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    return shlex.join(["python", "-m", "imgrec", "train", *words])


OTHER_NAMES = {  # that settings have elsewhere
    "lr": "learning_rate", "lr0": "learning_rate", "bs": "batch_size", "batch": "batch_size", "wd": "weight_decay", "imgsz": "image_size",
    "arch": "model", "network": "model", "epoch": "epochs", "n_epochs": "epochs", "opt": "optimiser", "optimizer": "optimiser",
    "scheduler": "schedule", "pretrained": "weights", "size": "image_size",
}  # fmt: skip
FIELDS = {field.name: field for field in dataclasses.fields(Recipe)}

PRESETS: dict[str, dict[str, Any]] = {
    mark("standard"): {},
    mark("quick"): {"epochs": 5},
    mark("transfer"): {
        "model": "mobilenet-v2",
        "weights": "imagenet",
        "freeze": "backbone",
        "image_size": 224,
    },
    mark("few"): {  # pictures: a network that comes with imgrec is taught further, which needs no download
        "model": "fast",
        "weights": "cifar10-fast",
        "image_size": 32,
        "epochs": 8,
        "augment": "shift=0.1",
    },
    mark("fast"): {
        "model": "fast",
        "optimiser": "muon",
        "learning_rate": 0.16,
        "momentum": 0.6,
        "schedule": "linear",
        "batch_size": 1000,
        "epochs": 9,
        "augment": "flip_horizontal=0.5,shift=0.078",
        "label_smoothing": 0.2,
        "start_small": 0.75,
        "views": "six",
    },
    mark("thorough"): {"epochs": 60, "augment": "rotate=10,shift=0.1,scale=0.1", "label_smoothing": 0.1},
}


def parse_options(text: str) -> dict[str, str]:
    """``"rotate=15,shift=0.1"`` as a dict; the grammar that augmentations and data set options share.

    Raises RecipeError on a part without '='.
    """
    options = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise RecipeError(
                tr("{part!r} is not an option; write name=value, several with commas between.", part=part)
            )
        options[name.strip()] = value.strip()
    return options


def number(name: str, text: str | float, minimum: float, maximum: float, kind: type = float) -> Any:
    """``text`` as a number between the bounds, or a RecipeError that names the setting and the range."""
    limits = tr(
        "give a whole number from {minimum:g} to {maximum:g}" if kind is int else "give a number from {minimum:g} to {maximum:g}",
        minimum=minimum, maximum=maximum,
    )  # fmt: skip
    try:
        value = kind(text)
    except (TypeError, ValueError, OverflowError):
        raise RecipeError(tr("{name} is {text!r}; {limits}.", name=name, text=text, limits=limits)) from None
    if not minimum <= value <= maximum:  # false for NaN as well
        raise RecipeError(tr("{name} is {text}; {limits}.", name=name, text=text, limits=limits))
    return value


def one_of(name: str, value: str, choices: Any) -> str:
    """``value`` if it is among ``choices``, else a RecipeError that lists them."""
    if value not in choices:
        raise RecipeError(
            sentences(
                tr(
                    "{name} is {value!r}; choose one of {choices}.",
                    name=name,
                    value=value,
                    choices=listed(map(str, choices)),
                ),
                tr("Did you mean {names}?", names=meant) if (meant := nearest(value, choices)) else "",
            )
        )
    return value


def nearest(word: Any, choices: Iterable[Any]) -> str:
    """The one of some names that a word was probably meant for, as its beginning or by a slip; empty if none is near."""
    word, names = str(word).lower(), [str(name) for name in choices]
    begins = [name for name in names if name.lower().startswith(word)] if len(word) > 2 else []
    return next(iter(begins or difflib.get_close_matches(word, names, 1)), "")


def _checked(field: dataclasses.Field, value: Any) -> Any:
    kind, about = type(field.default), field.metadata
    if kind is str:
        if not isinstance(value, str):
            raise RecipeError(tr("{name} is {value!r}; give text.", name=field.name, value=value))
        return one_of(field.name, value, about["choices"]) if "choices" in about else value
    if isinstance(value, bool) or (kind is int and isinstance(value, float) and not value.is_integer()):
        raise RecipeError(
            tr(
                "{name} is {value!r}; give a whole number." if kind is int else "{name} is {value!r}; give a number.",
                name=field.name,
                value=value,
            )
        )
    return number(field.name, value, about["minimum"], about["maximum"], kind)
