"""A disk that is full or read-only ends a stage in one clear line, and nothing is published."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.toy_clone import ROOT


class Disk:
    """A small file system in memory that holds a DVC repository with the params of one stage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mounts: list[Path] = []

    def mount(self, place: Path, *options: str) -> None:
        """Mount a file system, or skip the test where nobody may."""
        place.mkdir(parents=True, exist_ok=True)
        command = ["mount", *options, str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"this machine refuses mounts: {done.stderr.strip()}")
        self.mounts.append(place)

    def fill(self) -> None:
        """Make the repository: two videos to render."""
        (self.folder / ".dvc").mkdir()
        (self.folder / ".dvc/config").write_text("[cache]\n    type = hardlink\n")
        values = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
        values["extract"]["workers"] = 1
        values["render"] |= {"videos": {"train": 1, "val": 1}, "frames": 4}
        (self.folder / "params.yaml").write_text(json.dumps(values))  # JSON is YAML

    def render(self) -> "subprocess.CompletedProcess[str]":
        """Run the stage."""
        places = [f"--data={self.folder}/data", f"--params={self.folder}/params.yaml"]
        command = [sys.executable, "-m", "stages.render", *places]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    def refusal(self) -> str:
        """Run the stage, which must fail in one line, and return that line."""
        done = self.render()
        assert done.returncode == 1
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert not (self.folder / "data/raw/synthetic").exists()
        (line,) = done.stderr.splitlines()
        return line


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk")
    yield disk
    for place in reversed(disk.mounts):
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
def test_a_disk_without_room_for_the_units_to_come_is_refused_before_the_first(
    disk: Disk,
) -> None:
    disk.mount(disk.folder, "-t", "tmpfs", "-o", "size=200k", "none")
    disk.fill()
    line = disk.refusal()
    assert line.startswith(f"render: {disk.folder}/.dvc/cache/scratch: the units to come need")
    assert "make room" in line


@pytest.mark.slow
def test_a_disk_that_fills_up_under_way_ends_in_a_line_and_the_next_run_goes_on(
    disk: Disk,
) -> None:
    # The bytes are there; the inodes are not, which nothing counts beforehand.
    disk.mount(disk.folder, "-t", "tmpfs", "-o", "size=20m,nr_inodes=26", "none")
    disk.fill()
    line = disk.refusal()
    assert line.startswith("render: ")
    assert "No space left on device" in line
    subprocess.run(["mount", "-o", "remount,nr_inodes=200", str(disk.folder)], check=True)
    done = disk.render()
    assert done.returncode == 0, done.stderr
    assert (disk.folder / "data/raw/synthetic/frames.manifest").is_file()


@pytest.mark.slow
def test_an_out_on_a_read_only_disk_is_refused_with_the_cure(disk: Disk) -> None:
    disk.mount(disk.folder, "-t", "tmpfs", "-o", "size=20m", "none")
    disk.fill()
    disk.mount(disk.folder / "data/raw", "-t", "tmpfs", "-o", "ro", "none")
    line = disk.refusal()
    assert line.startswith("render: cannot hardlink")
    assert "on one writable file system" in line
