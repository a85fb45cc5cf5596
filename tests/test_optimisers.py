"""torch's optimisers do what torch's do, and a training brings in nothing that it does not need."""

import subprocess
import sys
from copy import deepcopy

import pytest
import torch

from imgrec.optimisers import SGD, Adam, AdamW, RMSprop
from imgrec.shelves import OPTIMISERS

LEARN = """
import sys
from imgrec.data import open_dataset
from imgrec.recipe import Recipe
from imgrec.train import Training

for optimiser in {optimisers}:
    training = Training(Recipe(epochs=1, optimiser=optimiser, batch_size=512, device="cpu"), open_dataset("digits"))
    list(training.fit())
    second = Training(training.recipe, open_dataset("digits"))
    second.restore(training.state())
print(*(name for name in {unwanted} if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("ours", "theirs", "settings"),
    [
        (AdamW, torch.optim.AdamW, {"weight_decay": 0.1}),
        (Adam, torch.optim.Adam, {"weight_decay": 0.1}),
        (SGD, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        (SGD, torch.optim.SGD, {}),
        (SGD, torch.optim.SGD, {"fused": True}),
        (AdamW, torch.optim.AdamW, {"fused": True}),
        (RMSprop, torch.optim.RMSprop, {}),
    ],
)
def test_an_optimiser_steps_to_the_bit_as_torchs_and_continues_from_its_state(ours, theirs, settings):
    layers = [torch.nn.Linear(5, 3) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    optimisers = [
        kind(layer.parameters(), 0.05, **settings) for kind, layer in zip((ours, theirs), layers, strict=True)
    ]
    inputs = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    for step in range(4):
        for layer, optimiser in zip(layers, optimisers, strict=True):
            optimiser.zero_grad()
            layer(inputs).square().sum().backward()
            optimiser.step()
        if step == 1:
            optimisers[0].load_state_dict(deepcopy(optimisers[1].state_dict()))
        assert all(map(torch.equal, layers[0].parameters(), layers[1].parameters()))


def test_a_training_brings_in_neither_torchs_compiler_nor_scikit_learn():
    """Together they would take longer than torch itself and all of a short training."""
    code = LEARN.format(optimisers=list(OPTIMISERS), unwanted=["torch._dynamo", "sklearn", "scipy", "pandas"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
