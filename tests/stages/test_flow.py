"""Stage flow: the cache equals the output of RAFT on single pairs of frames."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.raft.network import build_raft, cells_from_pixels
from pipeline.core.networks.weights import read_weights, write_weights
from pipeline.core.store.reader import Store
from stages.flow import app
from tests.pipeline.tiny_caches import random_store, values_of
from tests.stages.tiny_project import Project

CLIPS = {"alley": 2}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "repo")
    random_store(project.data / "crops/hrnet/val", "crops", 1, CLIPS)
    torch.manual_seed(0)
    write_weights(project.folder / "raft.safetensors", build_raft("raft_small").state_dict())
    return project


def section(project: Project, **changes: object) -> dict[str, object]:
    weights = str(project.folder / "raft.safetensors")
    return {
        "variant": "raft_small",
        "updates": 2,
        "scale": 1.0,
        "weights": weights,
        "batch": 5,
    } | changes


def test_flow_is_from_each_frame_to_the_next_in_cells(project: Project) -> None:
    result = project.run(app, "--split", "val", flow=section(project))
    assert result.exit_code == 0, result.output
    torch.manual_seed(0)
    built = build_raft("raft_small", updates=2)
    store = Store(project.data / "flow/val", "flow")
    frames = torch.from_numpy(values_of("crops", "alley/v0", 2))[1].permute(0, 3, 1, 2)
    got = store.read("alley/v0", [1])[0]
    assert got.shape == (4, 2, 16, 8)
    for step in range(4):
        with torch.no_grad():
            pixels = built(frames[step : step + 1], frames[step + 1 : step + 2])
        expected = cells_from_pixels(pixels)[0].numpy()
        assert np.abs(got[step] - expected).max() < 5e-3 * max(1, np.abs(expected).max())


def test_params_and_batch_change_the_key_and_the_path_of_the_weights_does_not(
    project: Project,
) -> None:
    seen = set()
    for changes in ({}, {"updates": 1}, {"scale": 1.5}, {"batch": 8}):
        assert project.run(app, "--split", "val", flow=section(project, **changes)).exit_code == 0
        seen.add((project.data / "units/flow/val.json").read_bytes())
    copy = project.folder / "copy.safetensors"
    copy.write_bytes((project.folder / "raft.safetensors").read_bytes())
    moved = project.run(app, "--split", "val", flow=section(project, weights=str(copy)))
    assert "0 units computed, 1 reused" in moved.output
    assert len(seen) == 4


def test_the_error_names_missing_weights(project: Project) -> None:
    result = project.run(app, "--split", "val", flow=section(project, weights="nowhere.bin"))
    assert result.exit_code == 1
    assert "nowhere.bin" in result.stderr


def not_a_number(file: Path) -> None:
    tensors = read_weights(file)
    name = min(tensors)
    write_weights(file, tensors | {name: torch.full_like(tensors[name], torch.nan)})


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (not_a_number, "expected the .* tensors of .*, got 1 with non-finite values"),
        (cut, "expected a safetensors file, got .*; download it again"),
    ],
)
def test_damaged_weights_and_weights_that_are_not_finite_stop_the_stage_with_their_name(
    project: Project, damage: Callable[[Path], None], message: str
) -> None:
    damage(project.folder / "raft.safetensors")
    result = project.run(app, "--split", "val", flow=section(project))
    assert result.exit_code == 1
    assert re.search(f"raft.safetensors: {message}", " ".join(result.stderr.split()))
    assert not (project.data / "flow/val").exists()


def test_a_folder_in_place_of_weights_is_named(project: Project) -> None:
    result = project.run(app, "--split", "val", flow=section(project, weights=str(project.folder)))
    assert result.exit_code == 1
    assert f"{project.folder}: expected a weights file, found a folder" in result.stderr
