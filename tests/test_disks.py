"""On a full or read-only disk a stage ends with a one-line error and publishes nothing."""

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

    def mount(self, path: Path, *options: str) -> None:
        """Mount a file system; skip the test if the user is not allowed to."""
        path.mkdir(parents=True, exist_ok=True)
        command = ["mount", *options, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"this machine does not allow mounts: {done.stderr.strip()}")
        self.mounts.append(path)

    def create_repository(self) -> None:
        """Create the repository, with params for two videos."""
        (self.folder / ".dvc").mkdir()
        (self.folder / ".dvc/config").write_text("[cache]\n    type = hardlink\n")
        values = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
        values["extract"]["workers"] = 1
        values["render"] |= {"videos": {"train": 1, "val": 1}, "frames": 4}
        (self.folder / "params.yaml").write_text(json.dumps(values))  # JSON is YAML

    def render(self) -> "subprocess.CompletedProcess[str]":
        """Run the stage."""
        options = [f"--data={self.folder}/data", f"--params={self.folder}/params.yaml"]
        command = [sys.executable, "-m", "stages.render", *options]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    def failing_render(self) -> str:
        """Run the stage, which must fail with one line, and return that line."""
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
    for path in reversed(disk.mounts):
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.slow
def test_a_disk_that_is_too_small_is_rejected_before_the_first_unit(
    disk: Disk,
) -> None:
    disk.mount(disk.folder, "-t", "tmpfs", "-o", "size=200k", "none")
    disk.create_repository()
    line = disk.failing_render()
    assert line.startswith(f"render: {disk.folder}/.dvc/cache/scratch: the units to compute need")
    assert "free some space" in line


@pytest.mark.slow
def test_a_disk_that_fills_up_gives_a_one_line_error_and_the_next_run_resumes(
    disk: Disk,
) -> None:
    # There are enough bytes, but too few inodes, which the stage does not check in advance.
    disk.mount(disk.folder, "-t", "tmpfs", "-o", "size=20m,nr_inodes=26", "none")
    disk.create_repository()
    line = disk.failing_render()
    assert line.startswith("render: ")
    assert "No space left on device" in line
    subprocess.run(["mount", "-o", "remount,nr_inodes=200", str(disk.folder)], check=True)
    done = disk.render()
    assert done.returncode == 0, done.stderr
    assert (disk.folder / "data/raw/synthetic/frames.manifest").is_file()


@pytest.mark.slow
def test_an_output_on_a_read_only_disk_is_rejected_with_a_remedy(disk: Disk) -> None:
    disk.mount(disk.folder, "-t", "tmpfs", "-o", "size=20m", "none")
    disk.create_repository()
    disk.mount(disk.folder / "data/raw", "-t", "tmpfs", "-o", "ro", "none")
    line = disk.failing_render()
    assert line.startswith("render: cannot hardlink")
    assert "on one writable file system" in line


@pytest.mark.slow
def test_a_cache_on_a_read_only_disk_is_rejected_with_a_remedy(disk: Disk) -> None:
    disk.mount(disk.folder, "-t", "tmpfs", "-o", "size=20m", "none")
    disk.create_repository()
    disk.mount(disk.folder / ".dvc/cache", "-t", "tmpfs", "-o", "ro", "none")
    line = disk.failing_render()
    assert line.startswith(f"render: {disk.folder}/.dvc/cache/scratch: Read-only file system; make")
