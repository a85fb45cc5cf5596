"""Taking a model along: preprocessing, network and softmax in one file with the class names, and proof that it agrees."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from imgrec.home import write_atomic
from imgrec.predict import Predictor
from imgrec.runs import open_run
from imgrec.takeaway import packed

TOLERANCE = 1e-4  # how far an exported probability may be from ours


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


def export(predictor: Predictor, to: str, out: Path) -> dict[str, Any]:
    """Write the model of a predictor on the CPU to ``out``; returns {"to", "out", "bytes", "largest_difference"}.

    ``to``: "onnx", "torch" (torch.export), or "zip": the ONNX file with a script, the class names and a card.

    The file is written only after the exported model gave the same probabilities as ours within 1e-4 on 8 pictures.
    Raises ExportError.
    """
    if to not in FORMATS:
        raise ExportError(f"to is {to!r}; choose one of {', '.join(FORMATS)}.")
    if not out.parent.is_dir():
        raise ExportError(f"{out}: there is no folder {out.parent}.")
    wanted = predictor.passport.preprocess
    shape = (8, wanted.size, wanted.size, wanted.channels)
    pictures = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # the exporter talks a lot
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        content, run = FORMATS[to](Portable(predictor).eval(), torch.from_numpy(pictures), predictor)
    difference = float(np.abs(run(pictures) - predictor.probabilities(pictures)).max())
    if not difference <= TOLERANCE:
        raise ExportError(
            f"The exported model's probabilities differ by {difference:.2g} from ours; nothing was written."
        )
    write_atomic(out, content)
    return {"to": to, "out": str(out), "bytes": len(content), "largest_difference": difference}


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
    evaluation = open_run(predictor.name).read("evaluation.json") if predictor.name else {}
    return packed(content, predictor.passport.to_dict(), weights, evaluation), run


FORMATS = {"onnx": _onnx, "torch": _torch, "zip": _zip}
