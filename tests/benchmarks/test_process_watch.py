"""Watching processes: stage address, start time, memory and the process tree."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.process_watch import (
    children_of,
    memory_of,
    process_tree,
    stage_address,
    start_time,
    watch_dvc,
)

PROGRAM = "import sys; print('ready', flush=True); sys.stdin.read()"


@pytest.fixture
def stage() -> Iterator[int]:
    """Yield the process id of a running command with the variable DVC_STAGE."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"DVC_STAGE": "heatmaps@val"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.communicate()


def test_a_running_stage_is_found_with_its_address(stage: int) -> None:
    assert stage in children_of(os.getpid())
    assert stage in process_tree(os.getpid())
    assert stage_address(stage) == "heatmaps@val"
    assert stage_address(os.getpid()) is None
    assert start_time(os.getpid()) < start_time(stage)
    assert memory_of(stage) > 2**20


def test_an_ended_process_has_no_address_and_no_memory() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert stage_address(process.pid) is None
    assert memory_of(process.pid) == 0
    assert children_of(process.pid) == []


@pytest.mark.slow
def test_the_stages_of_a_dvc_command_are_watched(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n"
        "  first: {cmd: echo 1 > a, outs: [a]}\n"
        "  second: {cmd: cp a b, deps: [a], outs: [b]}\n"
        "  third: {matrix: {split: [val]}, cmd: cp b c, deps: [b], outs: [c]}\n"
    )
    done = watch_dvc(["repro"], tmp_path)
    # A command that ends between two scans is missed; stages of the project take longer.
    assert (tmp_path / "c").read_text() == "1\n"
    assert {run.address for run in done.runs} <= {"first", "second", "third@val"}
    assert all(done.start < run.start <= run.end < done.end for run in done.runs)
    assert done.peak > 2**20
    with pytest.raises(subprocess.CalledProcessError):
        watch_dvc(["repro", "fourth"], tmp_path)
