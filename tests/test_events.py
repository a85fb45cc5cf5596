"""The event files for TensorBoard, read back record by record with their checksums."""

import shutil
import struct
import subprocess
import sys

import pytest
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event

from imgrec.events import write_events


def masked(content):
    crc = crc32c(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events(place):
    """All events below a folder; every record must be as long as it says and carry the right checksums."""
    found = []
    for path in place.rglob("*tfevents*"):
        content = path.read_bytes()
        while content:
            length, head = struct.unpack("<QI", content[:12])
            record, (tail,) = content[12 : 12 + length], struct.unpack("<I", content[12 + length : 16 + length])
            assert (head, tail) == (masked(content[:8]), masked(record))
            found.append(Event.FromString(record))
            content = content[16 + length :]
    return found


def test_every_figure_of_every_epoch_is_in_the_event_files(trained, tmp_path):
    found = events(write_events(trained, tmp_path / "events"))
    values = [(value, event) for event in found for value in event.summary.value]
    scalars = {(value.tag, event.step): value.simple_value for value, event in values if value.HasField("simple_value")}
    for row in trained.epochs:
        for tag, name in (
            ("loss/train", "train_loss"),
            ("accuracy/validation", "validation_accuracy"),
            ("learning_rate",) * 2,
        ):
            assert scalars[tag, row["epoch"]] == pytest.approx(row[name], rel=1e-5)
    walls = [event.wall_time for value, event in values if value.tag == "loss/train"]
    assert walls == sorted(walls)
    assert walls[0] > trained.state["created"]
    tags = {value.tag for value, _ in values}
    assert {"features/0.weight", "first_filters/00"} <= tags
    assert any("hparams" in tag for tag in tags)
    assert scalars["test_accuracy", len(trained.epochs)] == pytest.approx(trained.read("evaluation.json")["accuracy"])


def test_the_command_writes_them_beside_the_run_again_and_again(trained, workspace, monkeypatch):
    (workspace / "runs").mkdir()
    shutil.copytree(trained.path, workspace / "runs" / trained.name)
    monkeypatch.setenv("IMGREC_HOME", str(workspace))
    for _ in range(2):
        command = [sys.executable, "-m", "imgrec", "events", trained.name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        place = workspace / "runs" / trained.name / "events"
        assert done.stdout == f"tensorboard --logdir {place}\n"
        assert len(list(place.glob("*tfevents*"))) == 1
