"""Row 5 of the goals: a heat map for any class, on every family of the shelf, as large as the picture and not constant."""

import numpy as np
import pytest

from imgrec.data import open_dataset
from imgrec.explain import explain
from imgrec.models import SHELF, build
from imgrec.predict import Predictor
from imgrec.weights import Passport, Preprocess

CLASSES = ("a", "b", "c", "d", "e")


@pytest.mark.parametrize("name", [name for name, card in SHELF.items() if card.explains])
def test_grad_cam_reads_every_family(name):
    passport = Passport(name, CLASSES, Preprocess(96, 3, "crop", (0.5,) * 3, (0.25,) * 3))
    predictor = Predictor(build(name, len(CLASSES), 3, 96, seed=1), passport, device="cpu")
    seen = open_dataset("shapes:size=96,count=60").images[3]
    heats = [explain(predictor, seen, "gradcam", name).heat for name in CLASSES]
    assert {heat.shape for heat in heats} == {(96, 96)}
    assert all(np.isfinite(heat).all() for heat in heats)
    varied = [heat for heat in heats if np.ptp(heat) > 0.5]
    assert len(varied) >= 2
    assert any(np.abs(varied[0] - other).max() > 0.05 for other in varied[1:])
