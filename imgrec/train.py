"""The training loop: a generator of Step, Check and Epoch events.

It knows no file names, prints nothing and draws nothing; `jobs` writes its events down, a lesson can walk through one batch.
All chance is a function of (seed, epoch, step, picture), so a resumed training is the same training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from imgrec import hardware
from imgrec.batches import Pipeline, Pixels, mix, seed_of, split_feed
from imgrec.data import Dataset
from imgrec.graphs import Replayed
from imgrec.hooks import listening
from imgrec.language import mark, tr
from imgrec.models import build
from imgrec.precision import WORTH_MEASURING, Precision, faster
from imgrec.recipe import Recipe, one_of
from imgrec.shelves import LOSSES, OPTIMISERS, SCHEDULES, WHOLE_SET
from imgrec.weights import Passport, Preprocess, Start, WeightsError, fill

LOOKED_AT = 5000  # training pictures that a network may look at before the first step, fewer of more than 64 pixels
VALIDATION_BATCH = 512  # validation pictures
ROOM = 1.5  # what a pass takes at most, beside what it keeps for the gradients
NOT_EVEN_ONE = mark("Not even one picture at a time fits into the memory; make them smaller.")
COUNTED = 5000  # training pictures whose mean and deviation stand for all


class TrainingError(RuntimeError):
    """A training that cannot go on; the message says why and what to change."""


@dataclass(frozen=True)
class Step:
    """One optimiser step. ``loss`` and ``accuracy`` are means over the pictures seen since the epoch began, as tensors
    that stay on the device: float() waits for it, so ask only for what you show."""

    epoch: int  # from 1
    step: int  # from 1, within the epoch
    steps: int  # steps in one epoch
    images: int  # seen since the epoch began
    loss: Tensor
    accuracy: Tensor
    learning_rate: float


@dataclass(frozen=True)
class Epoch:
    """One pass over the training pictures and one over the validation pictures. Losses and accuracies are means over
    pictures; ``seconds`` counts from the epoch's (or the resumed part's) first step."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float
    images_per_second: float
    best: bool  # the best validation so far


@dataclass(frozen=True)
class Check:
    """One batch of the pass over the validation pictures; in epoch 0, of the only look a frozen backbone takes."""

    epoch: int
    batch: int  # from 1
    batches: int


class Training:
    """One network learning from one data set. ``fit`` trains; ``state`` and ``restore`` make it exactly resumable.

    ``dataset`` must already have the recipe's picture size. ``start``: weights and their name to begin with, if any.
    Raises RecipeError, ModelError or TrainingError if the parts do not fit.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, start: Start | None = None) -> None:
        self.recipe, self.device = recipe, hardware.pick(recipe.device)
        self.learning_rate = recipe.learning_rate  # may be changed between two steps
        hardware.keep_memory()
        self.schedule = SCHEDULES[one_of("schedule", recipe.schedule, SCHEDULES)].make
        self.loss = LOSSES[one_of("loss", recipe.loss, LOSSES)].make
        self.passport = Passport(recipe.model, dataset.classes, _preprocess(recipe, dataset, start), recipe.views)
        self.model = build(recipe.model, len(dataset.classes), dataset.channels, dataset.image_size, recipe.seed)
        if start:
            fill(self.model, start.weights, start.name, but_head=start.classes != dataset.classes)
        self.model.to(self.device, memory_format=torch.channels_last)
        head = [weight for name, weight in self.model.named_parameters() if name.startswith("head.")]
        self.backbone = [weight for name, weight in self.model.named_parameters() if not name.startswith("head.")]
        groups = [{"params": head, "share": 1.0, "head": True}]  # share: of the learning rate
        if recipe.freeze != "backbone":
            groups.append({"params": self.backbone, "share": 0.1 if recipe.freeze == "gradual" else 1.0})
        self.optimiser = OPTIMISERS[one_of("optimiser", recipe.optimiser, OPTIMISERS)].make(groups, recipe)
        self.train, self.validation = (Pixels(dataset, split, self.device) for split in ("train", "validation"))
        if not len(self.train):
            raise TrainingError(
                tr("{name} has no training pictures; import some or change its splits.", name=dataset.name)
            )
        self.pipeline = Pipeline(recipe, self.train, self.passport.preprocess)
        if hasattr(self.model, "look_at") and not start:
            many = min(LOOKED_AT, LOOKED_AT * 64**2 // self.passport.preprocess.size**2)
            first = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(recipe.seed))[:many]
            self.model.look_at(self.pipeline.plain(self.train, first))
        if recipe.start_small < 1:
            self._check_small()
        self.precision = Precision(self._faster() if recipe.precision == "auto" else recipe.precision, self.device)
        self.model.eval()
        self.features: dict[str, Tensor] = {}  # split → the features of a frozen backbone, float32 (N, F)
        whole = recipe.optimiser == WHOLE_SET
        self.micro_batches = math.ceil(len(self.train) / recipe.batch_size) if whole else 1  # of a batch
        if self.device.type == "cpu" and recipe.freeze != "backbone":
            self.micro_batches *= self._micro_batches_needed()
        counts = np.maximum(np.bincount(self.train.labels.cpu().numpy(), minlength=len(dataset.classes)), 1)
        weights = torch.from_numpy(counts.sum() / (len(counts) * counts)).float()  # rare classes count more
        self.class_weights = weights.to(self.device) if recipe.balance == "loss" else None
        self.draw_weights = weights[self.train.labels.cpu()] if recipe.balance == "sampling" else None
        self.steps = 1 if whole else math.ceil(len(self.train) / recipe.batch_size)
        self.epoch, self.step = 0, 0  # finished epochs, finished steps of the next one
        self.best, self.best_epoch = (-1.0, 0.0), 0
        self.averaged = deepcopy(self.model).eval().requires_grad_(False) if recipe.average else self.model
        self.sums = torch.zeros(
            2, dtype=torch.float64 if self.device.type != "mps" else torch.float32, device=self.device
        )
        self._record()

    def fit(self) -> Iterator[Step | Check | Epoch]:
        """Train what is left of the recipe's epochs. Stop between any two events; ``state`` is whole at each of them."""
        yield from self.extract_features()
        while not self.over:
            self.unfreeze()
            started, first = time.perf_counter(), self.step
            feeds = split_feed(self.pipeline.feed(self.order(), self.epoch), self.steps)  # no tiny last batch
            seen = sum(len(feed["batch"]) for feed in feeds[:first])
            already = seen
            for feed, following in zip_longest(feeds[first:], feeds[first + 1 :]):
                if following is not None:
                    self.train.expect(following["batch"])
                self._learn(feed)
                self.step, seen = self.step + 1, seen + len(feed["batch"])
                loss, accuracy = self.sums / seen
                yield Step(self.epoch + 1, self.step, self.steps, seen, loss, accuracy, self._rate())
            yield from self._finish_epoch(started, seen - already)

    @property
    def over(self) -> bool:
        """Whether all epochs are done, or with ``patience`` so many brought nothing better."""
        waited = self.epoch - self.best_epoch
        return self.epoch >= self.recipe.epochs or 0 < self.recipe.patience <= waited

    def inputs(self, indices: Tensor, epoch: int) -> Tensor:
        """What the network is fed for these training pictures (positions within the split, int64 (N,)) in an epoch:
        augmented and normalised, float32 (N, C, H, W)."""
        return self.pipeline.inputs(self.pipeline.feed(indices, epoch), epoch)

    def _learn(self, feed: dict[str, Tensor]) -> None:
        self._train_mode()
        self._reseed(seed_of(self.recipe.seed, self.epoch, self.step))
        self._set_rates()
        if self.replayed and self.micro_batches == 1:
            learns = [weight.requires_grad for weight in self.backbone[:1]]
            self.replayed((len(feed["batch"]), self.pipeline.side(self.epoch), *learns), feed)
        else:
            self._descend(feed)
        self._average()

    def _set_rates(self) -> None:
        """Give every group of weights the rate of this step; a replayed step reads it from a tensor."""
        for group in self.optimiser.param_groups:
            rate = self._rate() * group["share"]
            if self.replayed is None:
                group["lr"] = rate
            elif (
                isinstance(group["lr"], Tensor) and group["lr"].device == self.sums.device
            ):  # a checkpoint's is the CPU's
                group["lr"].fill_(rate)
            else:
                group["lr"] = torch.tensor(rate, device=self.device)

    def _descend(self, feed: dict[str, Tensor]) -> None:
        """One optimiser step, and what it is counted by; all that it changes are tensors."""
        loss, hits = self._gradients(feed)
        self.precision.step(self.optimiser, self._clip)
        with torch.no_grad():
            if self.recipe.l1:
                self._shrink()
            self.sums += torch.stack([loss * len(feed["batch"]), hits])

    def _clip(self) -> None:
        """Cut gradients that are too long, if the recipe says so."""
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)

    def _record(self) -> None:
        """On a GPU steps are recorded and replayed, if their pictures are there and nothing in them is the CPU's."""
        there = self.device.type == "cuda" and self.train.resident is not None
        steady = self.recipe.mix == "none" and self.precision.name != "float16"  # whose scale the CPU decides
        self.replayed = Replayed(self._descend, self.device) if there and steady else None

    def learn(self, batch: Tensor) -> float:
        """One step on a batch of positions within the split; its mean loss."""
        before = float(self.sums[0])
        self._learn(self.pipeline.feed(batch, self.epoch))
        return (float(self.sums[0]) - before) / len(batch)

    def _gradients(self, feed: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Leave the mean loss's gradients in the weights; gives that loss and the hits. Where the memory does not hold
        the whole batch it goes in micro-batches, smaller ones until they fit, whose gradients add up to the same."""
        while True:
            try:
                self.optimiser.zero_grad(set_to_none=True)
                parts = split_feed(feed, self.micro_batches)
                results = [self._backward(part, len(part["batch"]) / len(feed["batch"])) for part in parts]
                return results[0] if len(results) == 1 else tuple(map(sum, zip(*results, strict=True)))
            except torch.OutOfMemoryError as error:
                if self.device.type == "cuda" and torch.cuda.is_current_stream_capturing():
                    raise  # whole batches fit; it is only the recording that does not
                if self.micro_batches >= len(feed["batch"]):
                    raise TrainingError(tr(NOT_EVEN_ONE)) from error
                self.micro_batches = min(2 * self.micro_batches, len(feed["batch"]))
                hardware.release(self.device)

    def _micro_batches_needed(self) -> int:
        """In how many micro-batches a batch fits into what is free, 1 if it does as it is. A GPU says when its memory is
        full, but where the system's is, the system ends a process, and perhaps not this one. Raises TrainingError."""
        with self.precision.autocast():
            one = ROOM * hardware.activation_bytes(self.model, self.passport.preprocess.shape)
        free, batch = hardware.free_bytes(self.device), min(self.recipe.batch_size, len(self.train))
        if one > free:
            raise TrainingError(tr(NOT_EVEN_ONE))
        return min(batch, 2 ** math.ceil(math.log2(max(1.0, one * batch / free))))

    def _backward(self, feed: dict[str, Tensor], share: float) -> tuple[Tensor, Tensor]:
        """Forward and backward for a part of a batch; its part of the mean loss, and its hits."""
        batch = feed["batch"].to(self.device)
        labels = self.train.labels[batch]
        inputs = self.features["train"][batch] if self.features else self.pipeline.inputs(feed, self.epoch)
        others, kept = None, 1.0
        if self.recipe.mix != "none" and len(inputs) > 1:
            inputs, others, kept = mix(inputs, self.recipe.mix, seed_of(self.recipe.seed, self.epoch, self.step))
        with self.precision.autocast():
            logits = (self.model.head if self.features else self.model)(inputs).float()
            loss = kept * self._mean_loss(logits, labels)
            if others is not None:
                loss = loss + (1 - kept) * self._mean_loss(logits, labels[others])
        loss = loss * share if share < 1 else loss
        self.precision.backward(loss)
        answers = logits.argmax(1)
        hits = (answers == labels).sum()
        if others is not None:  # a mixed picture is as much of either class as there is of it
            hits = kept * hits + (1 - kept) * (answers == labels[others]).sum()
        return loss.detach(), hits

    def _shrink(self) -> None:
        """L1, the proximal step (soft thresholding): weights come nearer to zero by rate × l1 and stay there once they have
        reached it. As a part of the gradient an optimiser such as Adam would scale it away. Biases are left alone."""
        for group in self.optimiser.param_groups:
            for weight in group["params"]:
                if weight.grad is not None and weight.ndim > 1:
                    weight.copy_(weight.sign() * (weight.abs() - group["lr"] * self.recipe.l1).clamp_min(0))

    @torch.no_grad()
    def _average(self) -> None:
        """The running mean of the weights; it follows fast at first, so that the random ones are soon forgotten."""
        if self.averaged is self.model:
            return
        taken = self.epoch * self.steps + self.step
        kept = min(self.recipe.average, (1 + taken) / (10 + taken))
        pairs = zip(self.averaged.state_dict().values(), self.model.state_dict().values(), strict=True)
        for average, weight in pairs:
            if weight.is_floating_point():
                average.lerp_(weight, 1 - kept)
            else:
                average.copy_(weight)

    def weights(self) -> dict[str, Tensor]:
        """What the network has learned so far: its weights, or with ``average`` their running mean; shared, not copied."""
        return self.averaged.state_dict()

    def _mean_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Over the pictures; with balance=loss each counts by the weight of its class, which average to 1."""
        values = self.loss(logits, labels, self.recipe.label_smoothing)
        return values.mean() if self.class_weights is None else (values * self.class_weights[labels]).mean()

    def check(self, loss: float) -> float:
        """The loss, if it is a number. Raises TrainingError with advice if it is not."""
        if math.isfinite(loss):
            return loss
        raise self._diverged(tr("The loss"))

    def check_weights(self) -> None:
        """Raises TrainingError with advice if a weight is not a number any more."""
        if not all(bool(weight.isfinite().all()) for weight in self.model.parameters()):
            raise self._diverged(tr("A weight"))

    def _diverged(self, what: str) -> TrainingError:
        rate = self.learning_rate
        return TrainingError(
            tr(
                "{what} stopped being a number in epoch {epoch}. Lower the learning rate, for instance from {rate:g} to "
                "{lower:g}; the last good checkpoint is kept.",
                what=what,
                epoch=self.epoch + 1,
                rate=rate,
                lower=rate / 10,
            )
        )

    def _finish_epoch(self, started: float, images: int) -> Iterator[Check | Epoch]:
        train_loss, train_accuracy = (self.sums / len(self.train)).tolist()
        self.check(train_loss)
        seconds = time.perf_counter() - started  # after the line above has waited for the device
        rate = self._rate()
        loss, accuracy = (yield from self._validate()) if len(self.validation) else (None, None)
        score = (train_accuracy, -train_loss) if accuracy is None else (accuracy, -loss)  # the loss decides a draw
        best, self.best = score > self.best, max(score, self.best)
        self.epoch, self.step = self.epoch + 1, 0
        self.best_epoch = self.epoch if best else self.best_epoch
        self.sums.zero_()
        yield Epoch(
            self.epoch, train_loss, train_accuracy, loss, accuracy, rate, seconds, images / max(seconds, 1e-9), best
        )

    def _validate(self) -> Iterator[Check]:
        """Returns mean loss and accuracy over the validation pictures, without augmentation."""
        self.averaged.eval()
        sums = torch.zeros_like(self.sums)
        together = hardware.at_once(self.passport.preprocess.size, self.device, VALIDATION_BATCH)
        batches = torch.arange(len(self.validation)).split(VALIDATION_BATCH if self.features else together)
        for number, batch in enumerate(batches, 1):
            logits = self._validation_logits(batch)
            labels = self.validation.labels[batch.to(self.device)]
            loss = self.loss(logits, labels, 0.0).mean()
            sums += torch.stack([loss * len(batch), (logits.argmax(1) == labels).sum()])
            yield Check(self.epoch + 1, number, len(batches))
        return tuple((sums / len(self.validation)).tolist())

    @torch.no_grad()
    def _validation_logits(self, batch: Tensor) -> Tensor:
        """Logits of validation pictures, of half of them after the other where all do not fit into the memory."""
        try:
            with self.precision.autocast():
                if self.features:
                    return self.averaged.head(self.features["validation"][batch.to(self.device)]).float()
                return self.averaged(self.pipeline.plain(self.validation, batch)).float()
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
        hardware.release(self.device)
        return torch.cat([self._validation_logits(half) for half in batch.chunk(2)])

    def _reseed(self, seed: int) -> None:
        """Dropout's draws are the same after a resume. Not torch.manual_seed, which seeds every device there is."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.default_generators[self.device.index or 0].manual_seed(seed)
        elif self.device.type == "mps":
            torch.mps.manual_seed(seed)

    @property
    def fixed_features(self) -> bool:
        """Whether the backbone says the same of a picture in every epoch, so that asking it once is enough."""
        recipe = self.recipe
        return (
            recipe.freeze == "backbone" and not self.pipeline.plan and recipe.mix == "none" and recipe.start_small == 1
        )

    def extract_features(self) -> Iterator[Check]:
        """A frozen backbone says the same of a picture in every epoch: ask it once, and train the head on its answers.

        Nothing is to be done for any other training.
        """
        if not self.fixed_features or self.features:
            return
        caught: list[Tensor] = []
        self.model.eval()
        looked, found = 0, {}
        batches = {
            "train": torch.arange(len(self.train)).split(64),
            "validation": torch.arange(len(self.validation)).split(64),
        }
        total = sum(map(len, batches.values()))
        with listening([self.model.head], lambda _, came, __: caught.append(came[0].float())):
            for split, pixels in (("train", self.train), ("validation", self.validation)):
                for batch in batches[split] if len(pixels) else ():
                    with torch.no_grad(), self.precision.autocast():
                        self.model(self.pipeline.plain(pixels, batch))
                    looked += 1
                    yield Check(0, looked, total)
                found[split] = torch.cat(caught) if caught else torch.zeros(0)
                caught.clear()
        self.features = found

    def unfreeze(self) -> None:
        """Which layers learn in this epoch: with freeze=gradual, the head alone in the first fifth of all."""
        first = max(1, self.recipe.epochs // 5)
        learns = self.recipe.freeze == "none" or (self.recipe.freeze == "gradual" and self.epoch >= first)
        for weight in self.backbone:
            weight.requires_grad_(learns)

    def _train_mode(self) -> None:
        """Train mode; but what came trained keeps its batch statistics, which few pictures would only spoil."""
        if self.model.training:
            return
        self.model.train()
        for layer in self.model.modules() if self.recipe.freeze != "none" else ():
            whole = self.recipe.freeze == "backbone" and layer is not self.model  # its dropout is off as well
            if whole or isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.eval()

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, as plain values and tensors; shares memory with the training. Its names stay as they are,
        or a paused training could not go on after an update."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "sums": self.sums,
            "precision": self.precision.name,
            "pieces": self.micro_batches,
            "scaler": self.precision.scaler.state_dict(),
            "learning_rate": self.learning_rate,
            "model": self.model.state_dict(),
            "judged": self.weights() if self.recipe.average else {},
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`. Raises WeightsError if it belongs to another training."""
        try:
            fill(self.model, state["model"], "checkpoint")
            self.optimiser.load_state_dict(state["optimiser"])
            self.epoch, self.step, self.best = int(state["epoch"]), int(state["step"]), tuple(state["best"])
            self.sums.copy_(state["sums"])
            if self.recipe.average:
                fill(self.averaged, state["judged"], "checkpoint")
            self.precision, self.best_epoch = Precision(str(state["precision"]), self.device), int(state["best_epoch"])
            self.precision.scaler.load_state_dict(state.get("scaler", {}))
            self.micro_batches = max(
                self.micro_batches, int(state.get("pieces", 1))
            )  # sums in the same order, if the memory allows
            self.learning_rate = float(state.get("learning_rate", self.learning_rate))
            self._record()  # what was recorded changes tensors that are not the optimiser's any more
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(tr("The checkpoint does not fit this training: {error}", error=error)) from None

    def order(self) -> Tensor:
        """The training pictures, positions within the split, as this epoch takes them, int64 (N,)."""
        generator = torch.Generator().manual_seed(seed_of(self.recipe.seed, self.epoch, 0))
        if self.draw_weights is not None:  # every class as often as any other
            return torch.multinomial(self.draw_weights, len(self.train), True, generator=generator)
        return torch.randperm(len(self.train), generator=generator)

    def _rate(self) -> float:
        done = (self.epoch * self.steps + self.step) / (self.recipe.epochs * self.steps)
        warm = (
            min(1.0, (done + 1 / (self.recipe.epochs * self.steps)) / self.recipe.warmup) if self.recipe.warmup else 1.0
        )
        return self.learning_rate * self.schedule(min(done, 1.0)) * warm

    def accepts(self, side: int) -> bool:
        """Whether the network takes pictures of so many pixels along a side."""
        self.model.eval()
        try:
            with torch.no_grad():
                self.model(torch.zeros(1, self.passport.preprocess.channels, side, side, device=self.device))
        except RuntimeError:
            return False
        return True

    def _check_small(self) -> None:
        """Raises TrainingError for a network that cannot take smaller pictures at first."""
        if not self.accepts(self.pipeline.side(0)):
            size = self.passport.preprocess.size
            raise TrainingError(
                tr(
                    "{model} takes pictures of one size only, {size} pixels; set start_small to 1.",
                    model=self.recipe.model,
                    size=size,
                )
            )

    def _faster(self) -> str:
        """The precision in which this network learns faster here. A short training is not worth the measurement, and
        stays float32 on every machine."""
        if self._multiply_adds() * len(self.train) * self.recipe.epochs < WORTH_MEASURING:
            return "float32"
        together = hardware.at_once(self.passport.preprocess.size, self.device, self.recipe.batch_size)
        batch = torch.arange(min(together, len(self.train)))
        labels = self.train.labels[batch.to(self.device)]
        inputs = self.pipeline.plain(self.train, batch)
        return faster(self.model, lambda logits: self.loss(logits, labels, 0.0).mean(), inputs, self.device)

    def _multiply_adds(self) -> int:
        """Of a pass forward of one picture, in its convolutions and dense layers. `models.operations` counts all without any
        numbers, and takes longer to be imported than a short training does."""
        counts: list[int] = []
        layers = (layer for layer in self.model.modules() if isinstance(layer, nn.Conv2d | nn.Linear))
        self.model.eval()
        with (
            torch.no_grad(),
            listening(layers, lambda layer, _, given: counts.append(given.numel() * layer.weight[0].numel())),
        ):
            self.model(torch.zeros(1, *self.passport.preprocess.shape, device=self.device))
        return sum(counts)


def fit(recipe: Recipe, dataset: Dataset) -> Iterator[Step | Check | Epoch]:
    """Train from the first to the last epoch: ``for event in fit(recipe, dataset): …``."""
    yield from Training(recipe, dataset).fit()


def _preprocess(recipe: Recipe, dataset: Dataset, start: Start | None) -> Preprocess:
    """As the weights expect it that the training starts from, else by the statistics of the training pictures."""
    if start and len(start.mean) >= dataset.channels:
        grey = dataset.channels < len(start.mean)
        mean, std = ((sum(v) / len(v),) if grey else v for v in (start.mean, start.std))
    else:
        mean, std = (tuple(values.tolist()) for values in dataset.channel_statistics("train", COUNTED))
        std = tuple(max(value, 1 / 255) for value in std)
    return Preprocess(dataset.image_size, dataset.channels, recipe.resize, tuple(mean), tuple(std))
