"""Every number a lesson shows equals torch's."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from imgrec.lessons import convolution

PICTURE = np.random.default_rng(0).random((13, 17))


@pytest.mark.parametrize("kernel", convolution.KERNELS)
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_convolution_equals_torch_and_every_window_its_place(kernel, stride, padding):
    kernel = convolution.KERNELS[kernel]
    ours = convolution.convolve(PICTURE, kernel, stride, padding)
    theirs = functional.conv2d(
        torch.tensor(PICTURE)[None, None], torch.tensor(kernel)[None, None], stride=stride, padding=padding
    )
    assert np.allclose(ours, theirs[0, 0].numpy())
    assert ours.shape == tuple(convolution.output_size(n, 3, stride, padding) for n in PICTURE.shape)
    for row, column in ((0, 0), (ours.shape[0] - 1, ours.shape[1] - 1)):
        step = convolution.window(PICTURE, kernel, row, column, stride, padding)
        assert step.total == pytest.approx(ours[row, column])
        assert step.products.sum() == pytest.approx(step.total)


def test_relu_and_pooling_equal_torch():
    values = torch.tensor(PICTURE - 0.5)
    assert np.array_equal(convolution.relu(values.numpy()), functional.relu(values).numpy())
    for size in (2, 3):
        assert np.array_equal(
            convolution.max_pool(values.numpy(), size), functional.max_pool2d(values[None], size)[0].numpy()
        )


def test_a_kernel_larger_than_the_picture_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        convolution.convolve(np.zeros((2, 2)), np.zeros((3, 3)))
