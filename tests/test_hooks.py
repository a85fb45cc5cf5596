"""Many visitors ask one network at the same moment, and each gets what is said about their own picture."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from imgrec.data import open_dataset
from imgrec.explain import METHODS, explain
from imgrec.lessons import network as lesson
from imgrec.predict import Predictor
from imgrec.snapshots import dead, spread

ASKED = {
    **{method: lambda model, seen, method=method: explain(model, seen, method).heat for method in METHODS},
    "features": lambda model, seen: model.features(seen[None]),
    "layers": lambda model, seen: lesson.layers(model.model, normalised(model, seen))[-1].values,
    "dead units": lambda model, seen: np.array(dead(model.model, normalised(model, seen))),
    "gradients": lambda model, seen: spread(model.model, normalised(model, seen), torch.tensor([3]))["head"][1],
}


def normalised(model: Predictor, seen: np.ndarray) -> torch.Tensor:
    return model.passport.preprocess.normalise(torch.tensor(seen).permute(2, 0, 1)[None].float() / 255)


@pytest.mark.parametrize("asked", ASKED)
def test_a_network_that_many_share_tells_each_about_their_own_picture(asked):
    model, pictures = Predictor.open("shapes-seed-cnn", "cpu"), open_dataset("shapes").images[:24]
    alone = [ASKED[asked](model, seen) for seen in pictures]
    assert len({found.tobytes() for found in alone}) > 2
    with ThreadPoolExecutor(8) as visitors:
        together = list(visitors.map(lambda number: ASKED[asked](model, pictures[number % 24]), range(96)))
    for number, found in enumerate(together):
        np.testing.assert_allclose(found, alone[number % 24], rtol=1e-3, atol=1e-4)
    assert not any(weight.requires_grad for weight in model.model.parameters())
    assert not any(layer._forward_hooks for layer in model.model.modules())
