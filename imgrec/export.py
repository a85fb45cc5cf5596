"""Taking a model along: preprocessing, network and softmax in one file with the class names, and proof that it agrees."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import threading
import time
import warnings
import zipfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from imgrec.data import Dataset, class_names
from imgrec.data.dataset import sample
from imgrec.home import check_writable, write_atomic
from imgrec.language import listed, mark, sentences, tr
from imgrec.predict import Predictor
from imgrec.recipe import RecipeError, one_of
from imgrec.runs import RunError, open_run
from imgrec.takeaway import packed
from imgrec.webpage import NoRuntime, page

TOLERANCE = 1e-4  # how far an exported probability may be from ours
CANDIDATES = 64  # pictures, among which those are that an export is compared on
CALIBRATION, TESTED = 128, 500  # pictures that int8 is made with, and tested with
MOST_LOST = 0.05  # of the accuracy, before int8 is refused
OnProgress = Callable[[float, str], None]  # (share done, what is being done)


ONE_AT_A_TIME = threading.Lock()  # torch's exporter keeps what it does in variables of the whole process


class ExportError(RuntimeError):
    """An export that failed or does not agree with the model it came from."""


class Portable(nn.Module):
    """uint8 pictures (N, size, size, channels) → probabilities float32 (N, classes): nothing is left to the caller."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.model, self.passport = predictor.model, predictor.passport

    def forward(self, pictures: Tensor) -> Tensor:
        images = pictures.permute(0, 3, 1, 2).float() / 255
        return self.passport.probabilities(self.passport.answer(self.model, images))


def export(
    predictor: Predictor,
    to: str,
    out: Path,
    dataset: Dataset | None = None,
    on_progress: OnProgress = lambda share, words: None,
) -> dict[str, Any]:
    """Write the model of a predictor to ``out``; returns {"to", "out", "bytes", "largest_difference"}.

    ``to``: a key of FORMATS. The file is written only after the exported model gave the same probabilities as ours within
    1e-4 on 8 pictures, some of them of the ``dataset`` if there is one. "int8" needs the ``dataset`` it learned from and
    cannot be that exact; it is written if it names nearly as many test pictures rightly, and the figures "before" and
    "after" are told, too. Of a "zip" it is told whether the "page" is in it, whose runtime has to be fetched once. Raises
    ExportError, and RecipeError for another format.
    """
    one_of("to", to, FORMATS)
    check_writable(out)
    if predictor.device.type != "cpu":  # where what was exported is to run, too
        predictor = Predictor(deepcopy(predictor.model), predictor.passport, predictor.name, "cpu")
    with (
        ONE_AT_A_TIME,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):  # the exporters talk a lot
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        if to == "int8":
            if dataset is None:
                raise ExportError(tr("int8 needs the pictures the run learned from, which are not on this machine."))
            predictor.columns(dataset)  # it says if the classes are others by now
            content, found = _int8(predictor, dataset, on_progress)
        else:
            on_progress(0.2, tr("exporting and comparing"))
            content, found = _proved(FORMATS[to].write, predictor, dataset)
        if to == "zip":
            found["page"] = "page.html" in zipfile.ZipFile(io.BytesIO(content)).namelist()
    write_atomic(out, content)
    return {"to": to, "out": str(out), "bytes": len(content), **found}


def by_ending(path: Path, wanted: str | None = None) -> str:
    """The format that a file's name asks for, or ``wanted``, if that has this ending. Raises RecipeError."""
    if wanted:
        one_of("to", wanted, FORMATS)
    of_ending = [name for name, row in FORMATS.items() if path.suffix.lower() == f".{row.ending}"]
    if wanted and wanted not in of_ending:
        raise RecipeError(tr("{out} has another ending than .{ending}, which {wanted} has.", out=path, ending=FORMATS[wanted].ending, wanted=wanted))  # fmt: skip
    found = wanted or next(iter(of_ending), None)
    if found is None:
        endings = ", ".join(sorted({f".{row.ending}" for row in FORMATS.values()}))
        raise RecipeError(tr("{out} has none of the endings {endings}; give one of them.", out=path, endings=endings))
    return found


def _proved(write: Callable, predictor: Predictor, dataset: Dataset | None) -> tuple[bytes, dict[str, Any]]:
    """What ``write`` gives for a predictor, if it agrees with it on 8 pictures."""
    pictures = _unsure(predictor, dataset)
    content, run = write(Portable(predictor).eval(), torch.from_numpy(pictures), predictor)
    difference = float(np.abs(run(pictures) - predictor.probabilities(pictures)).max())
    if not difference <= TOLERANCE:
        raise ExportError(
            tr(
                "The exported model's probabilities differ by {difference:.2g} from ours; nothing was written.",
                difference=difference,
            )
        )
    return content, {"largest_difference": difference}


def _unsure(predictor: Predictor, dataset: Dataset | None) -> np.ndarray:
    """The 8 of CANDIDATES pictures of which the network is least sure, uint8 (8, size, size, channels): where a softmax is
    0 or 1, a wrong logit does not show. Half are pictures of the ``dataset``, test pictures if it has any; the others, and all
    where it has none of this size, are noise from coarse to fine."""
    wanted = predictor.passport.preprocess
    shape = wanted.size, wanted.size, wanted.channels
    draws = np.random.default_rng(0)
    candidates = [_noise(draws, shape, 2 + number) for number in range(CANDIDATES // 2)]
    if dataset is not None and dataset.images.shape[1:] == shape:
        test = dataset.indices("test")
        candidates += list(dataset.images[sample(test if len(test) else dataset.kept, CANDIDATES // 2)])
    pictures = np.stack(candidates)
    surest = predictor.probabilities(pictures).max(1)
    return np.ascontiguousarray(pictures[np.argsort(surest, kind="stable")[:8]])


def _noise(draws: np.random.Generator, shape: tuple[int, int, int], cells: int) -> np.ndarray:
    """A picture of random colours in ``cells`` squares across, at most one a pixel."""
    coarse = draws.integers(0, 256, (cells, cells, shape[2]), np.uint8)
    where = np.arange(shape[0]) * cells // shape[0]
    return coarse[where][:, where]


def _int8(predictor: Predictor, dataset: Dataset, on_progress: OnProgress) -> tuple[bytes, dict[str, Any]]:
    """An ONNX model whose convolutions and products are of 8-bit integers, and what it costs and gains.

    Post-training static quantisation with scales per channel, from CALIBRATION training pictures. What comes into a product
    has a sign, too: without, sums of products overflow on processors that lack an instruction for them (AVX2).
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    on_progress(0.1, tr("exporting"))
    plain, difference = _proved(_onnx, predictor, dataset)
    where = sample(dataset.indices("train"), CALIBRATION)
    given = iter([{"pictures": dataset.images[where[i : i + 32]]} for i in range(0, len(where), 32)])

    class Calibration(CalibrationDataReader):
        def get_next(self) -> dict | None:
            return next(given, None)

    on_progress(0.3, tr("measuring what range the values have"))
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, target = (Path(folder) / name for name in ("a.onnx", "b.onnx", "c.onnx"))
        source.write_bytes(plain)
        try:
            _prepare(source, prepared)
            quantize_static(
                str(prepared), str(target), Calibration(), op_types_to_quantize=["Conv", "Gemm", "MatMul"],
                per_channel=True, activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
            )  # fmt: skip
        except Exception as error:  # the library raises what comes up
            raise ExportError(
                tr("This network cannot be made int8 ({split}).", split=" ".join(str(error).split())[:160])
            ) from error
        small = _shared(target.read_bytes())
    test = sample(dataset.indices("test"), TESTED)
    on_progress(0.6, tr("testing both"))
    wanted = np.array(predictor.columns(dataset))[dataset.labels[test]]
    figures = [_figures(content, dataset, test, wanted) for content in (plain, small)]
    lost = figures[0]["accuracy"] - figures[1]["accuracy"] if len(test) else 0.0
    if lost > MOST_LOST:
        raise ExportError(
            tr("As int8 it names {lost:.1%} fewer test pictures rightly; nothing was written.", lost=lost)
        )
    return small, {"before": figures[0], "after": figures[1], **difference}


def _shared(content: bytes) -> bytes:
    """The same model with equal weights kept once; of a network that looks at several views each has a copy."""
    import onnx

    model, first, other = onnx.load_from_string(content), {}, {}
    for weights in list(model.graph.initializer):
        found = first.setdefault((weights.data_type, tuple(weights.dims), weights.raw_data), weights.name)
        if weights.raw_data and found != weights.name:
            other[weights.name] = found
            model.graph.initializer.remove(weights)
    for node in model.graph.node:
        node.input[:] = [other.get(name, name) for name in node.input]
    return model.SerializeToString()


def _prepare(source: Path, prepared: Path) -> None:
    """What quantising asks for; symbolic shapes do not get through every network, and are not needed where sizes are known."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    try:
        quant_pre_process(str(source), str(prepared))
    except Exception:  # the library raises what comes up
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)


def _figures(content: bytes, dataset: Dataset, test: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    """Size, accuracy on some ``test`` pictures, whose ``wanted`` outputs are given, and the median time for one picture of
    an ONNX model."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    right, seconds = 0, []
    for start in range(0, len(test), 64):
        part = test[start : start + 64]
        answers = session.run(None, {"pictures": dataset.images[part]})[0].argmax(1)
        right += int((answers == wanted[start : start + 64]).sum())
    for i in (test if len(test) else dataset.kept)[:40]:
        began = time.perf_counter()
        session.run(None, {"pictures": dataset.images[i : i + 1]})
        seconds.append(time.perf_counter() - began)
    return {
        "bytes": len(content),
        "accuracy": right / len(test) if len(test) else float("nan"),
        "milliseconds": 1000 * float(np.median(seconds)),
    }


def _onnx(portable: Portable, pictures: Tensor, predictor: Predictor) -> tuple[bytes, Callable]:
    import onnx
    import onnxruntime

    batch = torch.export.Dim("batch", min=1)
    program = torch.onnx.export(
        portable, (pictures,), dynamo=True, verbose=False, input_names=["pictures"], output_names=["probabilities"],
        dynamic_shapes={"pictures": {0: batch}},
    )  # fmt: skip
    model = program.model_proto
    for key, value in _labels(predictor).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return content, lambda array: session.run(None, {"pictures": array})[0]


def _torch(portable: Portable, pictures: Tensor, predictor: Predictor) -> tuple[bytes, Callable]:
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(portable, (pictures,), dynamic_shapes={"pictures": {0: batch}})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt2"
        torch.export.save(program, path, extra_files=_labels(predictor))
        loaded = torch.export.load(path).module()
        return path.read_bytes(), lambda array: loaded(torch.from_numpy(array)).detach().numpy()


def _labels(predictor: Predictor) -> dict[str, str]:
    about = predictor.passport.to_dict()
    return {"classes": json.dumps(about["classes"], ensure_ascii=False), "preprocess": json.dumps(about["preprocess"])}


def _zip(portable: Portable, pictures: Tensor, predictor: Predictor) -> tuple[bytes, Callable]:
    content, run = _onnx(portable, pictures, predictor)
    weights = sum(values.numel() for values in predictor.model.parameters())
    with contextlib.suppress(NoRuntime):  # without it the ZIP holds no page, and is of use all the same
        return packed(
            content, predictor.passport.to_dict(), weights, _tested(predictor), _as_page(content, predictor)
        ), run
    return packed(content, predictor.passport.to_dict(), weights, _tested(predictor)), run


def _page(portable: Portable, pictures: Tensor, predictor: Predictor) -> tuple[bytes, Callable]:
    content, run = _onnx(portable, pictures, predictor)
    try:
        return _as_page(content, predictor).encode(), run
    except NoRuntime as error:
        raise ExportError(str(error)) from None


def _as_page(onnx: bytes, predictor: Predictor) -> str:
    names, found = class_names(predictor.classes), _tested(predictor)
    told = tr(
        "This network tells {n} things apart: {names}. It knows only these.",
        n=len(names),
        names=" ".join(listed(names[:30]).split()),
    )
    share = found and tr(
        "Of pictures that it never learned from it names {accuracy:.1%} rightly.", accuracy=found["accuracy"]
    )
    return page(onnx, {**predictor.passport.to_dict(), "classes": names}, sentences(told, share))


def _tested(predictor: Predictor) -> dict[str, Any]:
    with contextlib.suppress(RunError):  # its weights came from a file
        return open_run(predictor.name).read("evaluation.json")
    return {}


@dataclass(frozen=True)
class Format:
    """A row of FORMATS. ``write(portable, pictures, predictor)`` gives the file, and a function that runs what is in it."""

    title: str
    ending: str
    help: str
    write: Callable | None = None


FORMATS = {
    "zip": Format(
        mark("ZIP with everything"), "zip", mark("ONNX, a script for Python, a card, and a page for the browser."), _zip
    ),
    "onnx": Format(
        "ONNX", "onnx", mark("One file that most programs for networks read, preprocessing and softmax inside."), _onnx
    ),
    "int8": Format(mark("ONNX, int8"), "onnx", mark("A quarter of the size and usually faster; a little less exact.")),
    "torch": Format("torch.export", "pt2", mark("For PyTorch programs that do not have imgrec."), _torch),
    "page": Format(
        mark("Web page"),
        "html",
        mark(
            "One file that classifies in any browser, offline. Send it to a friend. Only the making of the first one needs the internet."
        ),
        _page,
    ),
}
