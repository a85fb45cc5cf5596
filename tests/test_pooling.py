"""The pooling kernels do what torch does, to the bit. They run here in Triton's interpreter, which needs no GPU."""

import os
import subprocess
import sys

import pytest
import torch

from imgrec.models.pooling import AdaptiveMaxPool2d, MaxPool2d

COMPARED = """
import torch
from imgrec.models import pooling

for shape in ((2, 8, 6, 6), (3, 24, 7, 5), (2, 3, 31, 31), (1, 300, 4, 4)):
    images = torch.randint(-3, 4, shape).float().contiguous(memory_format=torch.channels_last)  # many equal ones
    halved, where = pooling.forward(images)
    images.requires_grad_()
    torchs = torch.nn.functional.max_pool2d(images, 2)
    gradient = torch.randn_like(torchs)
    torchs.backward(gradient)
    assert torch.equal(halved, torchs), shape
    assert torch.equal(pooling.backward(gradient, where, images.shape), images.grad), shape
"""


def test_the_kernels_give_torchs_values_and_gradients():
    pytest.importorskip("triton", reason="Triton comes with torch where it can have a GPU")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", COMPARED], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("options", [{}, {"stride": 1}, {"padding": 1}, {"ceil_mode": True}])
def test_without_a_gpu_pooling_is_torchs(options):
    images = torch.rand(2, 3, 9, 7)
    assert torch.equal(MaxPool2d(2, **options)(images), torch.nn.MaxPool2d(2, **options)(images))


def test_the_largest_of_whole_maps_is_torchs_with_its_gradient():
    images = torch.rand(2, 3, 5, 5, requires_grad=True)
    ours, torchs = AdaptiveMaxPool2d(1)(images), torch.nn.AdaptiveMaxPool2d(1)(images)
    assert torch.equal(ours, torchs)
    gradients = [torch.autograd.grad(pooled.square().sum(), images)[0] for pooled in (ours, torchs)]
    assert torch.equal(*gradients)
