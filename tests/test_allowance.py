"""What a container may use counts, not what its machine has."""

import psutil
import pytest
import torch

from imgrec import allowance, hardware, home

GIB = 2**30
UNBOUNDED = {1: str(2**63 - 4096), 2: "max"}


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Writes control groups: of a version, at a place, this process being in ``own``."""

    def write(version: int, own: str, **files: dict[str, str]) -> None:
        for place, content in files.items():
            for name, text in content.items():
                file = tmp_path / place.replace("__", "/") / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text + "\n")
        lines = (
            [f"0::{own}"] if version == 2 else [f"9:memory:{own}", f"4:cpu,cpuacct:{own}", "1:name=systemd:/", "0::/"]
        )
        (tmp_path / "own").write_text("\n".join(lines) + "\n")

    monkeypatch.setattr(allowance, "ROOT", tmp_path)
    monkeypatch.setattr(allowance, "OWN", tmp_path / "own")
    return write


@pytest.mark.parametrize(
    ("most", "cores"),
    [("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1), ("max 100000", None), ("?", None)],
)
def test_the_cores_of_a_container(groups, most, cores):
    groups(2, "/", **{".": {"cpu.max": most}})
    assert allowance.cores() == cores


def test_the_tightest_of_the_groups_around_holds(groups):
    groups(
        2, "/school/imgrec",
        school={"cpu.max": "300000 100000", "memory.max": str(2 * GIB), "memory.current": str(GIB), "memory.stat": "anon 5"},
        school__imgrec={"cpu.max": "max 100000", "memory.max": str(9 * GIB), "memory.current": "0"},
    )  # fmt: skip
    assert allowance.cores() == 3
    assert allowance.memory() == (GIB, 2 * GIB)


def test_version_1_names_the_container_as_the_machine_does(groups):
    groups(
        1, "/docker/2f2a",
        cpu={"cpu.cfs_quota_us": "400000", "cpu.cfs_period_us": "100000"},
        memory={"memory.limit_in_bytes": str(4 * GIB), "memory.usage_in_bytes": str(3 * GIB), "memory.stat": f"total_inactive_file {GIB}\nrss 1"},
    )  # fmt: skip
    assert allowance.cores() == 4
    assert allowance.memory() == (2 * GIB, 4 * GIB)


@pytest.mark.parametrize("version", [1, 2])
def test_without_a_bound_the_machine_counts(groups, version):
    groups(
        version, "/",
        cpu={"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"},
        memory={"memory.limit_in_bytes": UNBOUNDED[1], "memory.usage_in_bytes": "9"},
        **{".": {"cpu.max": "max 100000", "memory.max": "max", "memory.current": "9"}},
    )  # fmt: skip
    assert allowance.cores() is None
    assert hardware.memory()[1] == psutil.virtual_memory().total


def test_a_container_of_one_core_computes_with_one_thread(groups):
    groups(2, "/", **{".": {"cpu.max": "100000 100000"}})
    assert home.cores() == 1


def test_no_control_groups_at_all(groups):
    assert (allowance.cores(), allowance.memory()) == (None, None)


def test_a_training_sees_the_memory_of_its_container(groups):
    groups(2, "/", **{".": {"memory.max": str(GIB), "memory.current": str(GIB // 4), "memory.stat": "inactive_file 0"}})
    assert hardware.free_bytes(torch.device("cpu")) == GIB - GIB // 4
    assert "0.8 of 1.0 GiB" in hardware.describe(torch.device("cpu"))
