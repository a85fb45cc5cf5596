"""Batch norm and GELU in one are torch's, one after the other. The kernels run here in Triton's interpreter."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from imgrec.models.norms import Shift, bent

COMPARED = """
import torch
from torch import nn
from imgrec.models import launch, norms

launch.PARTS = norms.PARTS = 8  # the interpreter takes its time for each
torch.manual_seed(0)
for shape, level in (((2, 8, 6, 6), 0), ((3, 24, 7, 5), 50), ((2, 3, 31, 31), -3), ((1, 130, 4, 4), 0), ((9, 70, 16, 16), 1)):
    images = (torch.randn(shape) + level).contiguous(memory_format=torch.channels_last).requires_grad_()
    norm = norms.Shift(shape[1])
    nn.init.normal_(norm.bias)
    mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    middle, scale = norms.statistics(images.detach(), mean, variance, norm.eps, norm.momentum)
    ours = norms.forward(images.detach(), norm.bias.detach(), middle, scale)
    torchs = nn.GELU()(norm(images))
    gradient = torch.randn_like(torchs)
    torchs.backward(gradient)
    before, bias = norms.backward(gradient, images.detach(), norm.bias.detach(), middle, scale)
    for one, other in ((ours, torchs), (mean, norm.running_mean), (variance, norm.running_var), (before, images.grad), (bias, norm.bias.grad)):
        assert one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-4), shape
"""


def test_the_kernels_give_torchs_values_statistics_and_gradients():
    pytest.importorskip("triton", reason="Triton comes with torch where it can have a GPU")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", COMPARED], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_a_gpu_it_is_one_after_the_other():
    norm, images = Shift(4), torch.rand(2, 4, 5, 5)
    middle = images - images.mean((0, 2, 3), keepdim=True)
    normal = middle / (images.var((0, 2, 3), correction=0, keepdim=True) + norm.eps).sqrt()
    assert torch.allclose(bent(norm, nn.GELU(), images), nn.functional.gelu(normal), atol=1e-6)
    assert int(norm.num_batches_tracked) == 1
