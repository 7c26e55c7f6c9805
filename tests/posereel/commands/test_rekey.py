"""Command rekey: new keys only after an edit without effect, and only for units like that."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

import pipeline.clips.cropping
import stages.crop
from pipeline.core.units.key import stage_pins
from pipeline.core.units.scratch import find_scratch
from pipeline.maintenance.past_code import PastCode
from posereel.cli import load
from stages import detect, index
from tests.small_data_set import (
    Workspace,
    document,
    make_data_set,
    write_frames_manifest,
    write_json,
)

app = load("rekey")

OUT = "data/crops/hrnet/train"
DAG = """
stages:
  crop:
    matrix: {input: [hrnet], split: [train, val]}
    cmd: python -m stages.crop --input ${item.input} --split ${item.split}
    outs:
      - data/crops/${item.input}/${item.split}
      - data/units/crop/${item.input}-${item.split}.json
"""


def set_code(digest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the digest of the stage's numeric modules."""
    monkeypatch.setattr(stages.crop, "modules_digest", lambda _: digest)


def set_past_code(monkeypatch: pytest.MonkeyPatch, *digests: str) -> None:
    """Set the digests of the numeric modules in past commits."""

    def past(modules: Sequence[str], _project: Path) -> Iterator[PastCode]:
        assert list(modules) == ["stages.crop"]
        for digest in digests:
            yield PastCode(digest, stage_pins("stages.crop"))

    monkeypatch.setattr("posereel.commands.rekey.past_code", past)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Return two videos in four variants, cropped by code ``old``; the code now is ``new``."""
    workspace = Workspace(tmp_path, monkeypatch)
    make_data_set(workspace.root)
    (tmp_path / "dvc.yaml").write_text(DAG)
    workspace.set_params(crop__variants=4)
    workspace.run(index.app)
    workspace.run(detect.app, "--split", "train")
    set_code("old", monkeypatch)
    assert crop(workspace).endswith("8 units computed, 0 reused, 5.3 MB")
    set_code("new", monkeypatch)

    set_past_code(monkeypatch, "new", "other", "old", "older")
    return workspace


def crop(workspace: Workspace) -> str:
    result = workspace.run(stages.crop.app, "--input", "hrnet", "--split", "train")
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def rekey(workspace: Workspace, *arguments: str) -> Result:
    return workspace.run(app, "crop", *arguments)


def units_in_scratch() -> set[str]:
    return {path.name for path in (find_scratch(Path()).folder / "crop").iterdir()}


def test_after_an_edit_without_effect_only_the_sample_is_computed(
    workspace: Workspace,
) -> None:
    before = workspace.files(OUT)
    result = rekey(workspace, "--sample", "3", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1]) == {
        "stage": "crop", "sampled": 3, "relabeled": 5, "absent": 0, "changed_otherwise": 0,
    }  # fmt: skip
    assert crop(workspace).endswith("0 units computed, 8 reused, 5.3 MB")
    assert workspace.files(OUT) == before


def test_without_the_command_all_units_are_computed_again(workspace: Workspace) -> None:
    assert "8 units computed, 0 reused" in crop(workspace)


def test_an_edit_that_changes_results_is_rejected(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = pipeline.clips.cropping.crop

    def brighter(*given: object, **more: object) -> np.ndarray:
        return np.maximum(original(*given, **more), 1)

    monkeypatch.setattr(pipeline.clips.cropping, "crop", brighter)
    before = units_in_scratch()
    result = rekey(workspace, "--sample", "2")
    assert result.exit_code == 1
    assert "crop: 2 of 2 sampled units differ (above): the edit changes results" in result.stderr
    assert f"{OUT}: " in result.stderr
    assert len(units_in_scratch()) == len(before) + 2


def test_a_unit_whose_labels_changed_too_keeps_its_key(workspace: Workspace) -> None:
    file = document("train", 1)
    for annotation in file["annotations"]:
        annotation["bbox"][2] += 7.0
    write_json(workspace.root / "annotations/train/v1.json", file)
    write_frames_manifest(workspace.root)
    workspace.run(index.app)
    workspace.run(detect.app, "--split", "train")
    result = rekey(workspace, "--sample", "1")
    assert result.exit_code == 0, result.output
    assert "3 units got new keys, 0 are missing, 4 differ in more than the code" in result.stdout
    assert "4 units computed, 4 reused" in crop(workspace)


def test_units_of_code_that_was_never_committed_are_computed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_past_code(monkeypatch, "new", "older")
    result = rekey(workspace)
    assert result.exit_code == 0, result.output
    assert "0 units got new keys, 0 are missing, 8 differ in more than the code" in result.stdout


def test_units_with_damaged_files_are_computed_again(workspace: Workspace) -> None:
    before = workspace.files(OUT)
    for name in ("v1", "v2"):
        for shard in (workspace.folder / OUT / name).rglob("c.*"):
            content = bytearray(shard.read_bytes())
            content[7] ^= 1
            shard.write_bytes(content)
    result = rekey(workspace, "--sample", "1")
    assert result.exit_code == 0, result.output
    assert (
        "1 sampled units have the same bytes, 0 units got new keys, 7 are missing" in result.stdout
    )
    assert "7 units computed, 1 reused" in crop(workspace)
    assert workspace.files(OUT) == before


def test_a_stage_without_units_and_a_running_stage_are_rejected(workspace: Workspace) -> None:
    assert workspace.run(app, "train_jmpose").exit_code == 2
    with find_scratch(Path()).lock("crop-unit"):
        result = rekey(workspace)
    assert result.exit_code == 1
    assert "a stage is running" in result.stderr
