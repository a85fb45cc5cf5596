"""Weights never travel without their preprocessing and class names, and damage never goes unnoticed."""

import os
import pickle

import pytest
import torch

from imgrec.models import build
from imgrec.weights import (
    Passport,
    Preprocess,
    WeightsError,
    digest,
    fill,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)

PASSPORT = Passport("seed-cnn", ("cat", "狗", "<b>"), Preprocess(8, 1, "crop", (0.5,), (0.25,)))


@pytest.fixture
def saved(tmp_path):
    model = PASSPORT.build()
    path = tmp_path / "best.safetensors"
    save_weights(path, model.state_dict(), PASSPORT)
    return path, model


def test_weights_come_back_equal_with_their_passport(saved):
    path, model = saved
    weights, passport = load_weights(path)
    assert passport == PASSPORT
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("where", [0.5, 0.8, 0.95, 0.999])
def test_one_flipped_bit_is_noticed(saved, where):
    path, _ = saved
    content = bytearray(path.read_bytes())
    content[int(len(content) * where)] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"best\.safetensors"):
        load_weights(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 64])
def test_a_file_that_is_no_weights_is_named(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"x\.safetensors"):
        load_weights(path)


def test_a_truncated_file_is_refused(saved):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError):
        load_weights(path)


def test_weights_without_a_passport_are_refused(tmp_path):
    import safetensors.torch

    safetensors.torch.save_file({"head.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="which model"):
        load_weights(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    "change",
    [{"classes": []}, {"classes": 3}, {"model": None, "classes": None}, {"preprocess": {}},
     {"preprocess": {"size": 10**9, "channels": 1, "resize": "crop", "mean": [0], "std": [1]}},
     {"preprocess": {"size": 8, "channels": 1, "resize": "crop", "mean": [0], "std": [0]}},
     {"preprocess": {"size": 8, "channels": 1, "resize": "../x", "mean": [0], "std": [1]}},
     {"preprocess": {"size": float("inf"), "channels": 1, "resize": "crop", "mean": [0], "std": [1]}},
     {"preprocess": {"size": 8, "channels": 1, "resize": "crop", "mean": [float("nan")], "std": [1]}},
     {"preprocess": {"size": 8, "channels": 1, "resize": "crop", "mean": [1e308], "std": [1]}},
     {"preprocess": {"size": 8, "channels": 1, "resize": "crop", "mean": [0], "std": [1e-320]}}],
)  # fmt: skip
def test_a_passport_from_a_stranger_is_checked(change):
    with pytest.raises(WeightsError):
        Passport.from_dict({**PASSPORT.to_dict(), **change})


def test_a_file_that_promises_more_than_it_holds_takes_no_memory(tmp_path):
    wanted = Passport(
        "softmax-regression", tuple(map(str, range(100_000))), Preprocess(1024, 1, "crop", (0.5,), (0.25,))
    )
    save_weights(tmp_path / "w.safetensors", {"head.weight": torch.zeros(100_000, 1)}, wanted)
    with pytest.raises(WeightsError, match="too few"):
        load_weights(tmp_path / "w.safetensors")


def test_a_passport_of_endless_brackets_is_refused(tmp_path):
    import safetensors.torch

    nested = {"imgrec": "[" * 10_000 + "]" * 10_000}
    safetensors.torch.save_file({"head.weight": torch.zeros(1)}, tmp_path / "w.safetensors", nested)
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load_weights(tmp_path / "w.safetensors")


def test_weights_of_another_shape_or_model_or_with_nan_do_not_go_in():
    model = build("seed-cnn", 3, 1, 8)
    with pytest.raises(WeightsError, match="shape"):
        fill(model, build("seed-cnn", 3, 1, 16).state_dict(), "w")
    with pytest.raises(WeightsError, match="another model"):
        fill(model, build("softmax-regression", 3, 1, 8).state_dict(), "w")
    broken = {name: value.clone() for name, value in model.state_dict().items()}
    broken["head.bias"][0] = float("nan")
    with pytest.raises(WeightsError, match="not numbers"):
        fill(model, broken, "w")


def test_a_checkpoint_comes_back_equal_and_a_flipped_bit_is_noticed(tmp_path):
    content = {
        "epoch": 3,
        "best": 0.5,
        "model": {"w": torch.randn(100)},
        "optimiser": {"state": {0: {"step": torch.tensor(3.0)}}},
    }
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, content)
    assert digest(load_checkpoint(path)) == digest(content)
    raw = path.read_bytes()
    spot = raw.index(content["model"]["w"].numpy().tobytes()) + 7
    path.write_bytes(raw[:spot] + bytes([raw[spot] ^ 4]) + raw[spot + 1 :])
    with pytest.raises(WeightsError, match=r"damaged|cannot be read"):
        load_checkpoint(path)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("raw", [True, False])
def test_a_malicious_pickle_does_nothing(tmp_path, raw, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path, target = tmp_path / "last.ckpt", tmp_path / "owned"
    path.write_bytes(pickle.dumps(Evil(str(target)))) if raw else torch.save({"content": Evil(str(target))}, path)
    with pytest.raises(WeightsError, match=r"last\.ckpt"):
        load_checkpoint(path)
    assert not target.exists()


def test_a_missing_checkpoint_says_so(tmp_path):
    with pytest.raises(WeightsError, match="no checkpoint yet"):
        load_checkpoint(tmp_path / "last.ckpt")
