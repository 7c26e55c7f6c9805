"""Sizes of stores against stores that were really written, and the arithmetic of times."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.params import read_params
from pipeline.core.store.shards import write_array
from pipeline.maintenance.expected_clips import SplitCount, counts_of_files, published_counts
from pipeline.maintenance.forecast import Line, Speeds, forecast
from tests.posetrack_documents import add_person, document, everywhere

ROOT = Path(__file__).resolve().parents[3]
SYSTEMS = ("jmpose", "refine", "vremd")
SHAPES = {
    "crops/hrnet": (3, 32, 24, 3),
    "crops/vit": (3, 16, 16, 3),
    "heatmaps": (3, 15, 8, 6),
    "flow": (2, 2, 8, 6),
    "features": (3, 24, 8, 6),
    "tokens": (3, 4, 16),
}
COUNTS = {"train": SplitCount(2, 10, 40, "here"), "val": SplitCount(1, 5, 20, "here")}
SPEEDS = Speeds(
    forward={"hrnet": 0.1, "raft": 1.0, "vit_backbone": 0.2, "detector": 3.0},
    training=0.5,
    heads=dict.fromkeys(SYSTEMS, 0.01),
    head_training=dict.fromkeys(SYSTEMS, 0.02),
    decode=0.04,
    warp=0.01,
    render=5.0,
)


@pytest.fixture
def values() -> dict[str, Any]:
    values = read_params(ROOT / "params.yaml")
    values["extract"]["workers"] = 2
    return values


def lines(values: dict[str, Any]) -> dict[str, Line]:
    return {line.name: line for line in forecast(values, COUNTS, SHAPES, SPEEDS)}


@pytest.mark.parametrize(("kind", "dtype"), [("heatmaps", "float16"), ("crops/vit", "uint8")])
def test_a_store_is_as_large_as_was_said_but_for_its_indexes(
    kind: str, dtype: str, values: dict[str, Any], tmp_path: Path
) -> None:
    shape = SHAPES[kind]
    block = np.zeros((40, *shape), dtype)
    write_array(tmp_path, [block], rows=40, row_shape=shape, dtype=dtype)
    (shard,) = tmp_path.glob("c.*")
    name = "heatmaps@train" if kind == "heatmaps" else "crop@vit-train"
    assert lines(values)[name].bytes == shard.stat().st_size - 16 * 40 - 4


def test_variants_and_mirrored_clips_count(values: dict[str, Any]) -> None:
    assert lines(values)["flow@train"].clips == 40
    values["crop"] |= {"variants": 4, "mirror": True}
    more = lines(values)
    assert more["flow@train"].clips == 160
    assert more["flow@val"].clips == more["flow@val_gt"].clips == 40
    assert more["predict@jmpose"].clips == 2 * 20
    assert more["train@jmpose"].clips == 40


def test_times_are_counts_times_speeds(values: dict[str, Any]) -> None:
    found = lines(values)
    # 40 clips of 2 pairs, 1 s each, by 2 workers.
    assert found["flow@train"].seconds == pytest.approx(40)
    assert found["heatmaps@train"].seconds == pytest.approx(40 * 3 * 0.1 / 2)
    # 4 people share a frame: each clip has 3 frames, a quarter of a decoding and a cut.
    assert found["crop@hrnet-train"].seconds == pytest.approx(40 * 3 * (0.04 / 4 + 0.01) / 2)
    videos = sum(values["render"]["videos"].values())
    assert found["render"].seconds == pytest.approx(videos * 5.0 / 2)
    assert found["detect@val"].seconds == pytest.approx(5 * 3.04 / 2)
    steps, batch = (values["train_jmpose"][name] for name in ("steps", "batch"))
    assert found["train@jmpose"].seconds == pytest.approx(steps * batch * 0.02)
    assert found["train@refine"].seconds == found["train@jmpose"].seconds  # its schedule
    assert found["finetune_backbone"].seconds == 0


def test_epochs_folds_and_given_weights_change_the_trainings(values: dict[str, Any]) -> None:
    values["train_jmpose"] |= {"steps": 0, "epochs": 3, "batch": 16}
    values["train_vremd"]["weights"] = "heads"
    values["finetune_backbone"] |= {"epochs": 1, "folds": 2, "batch": 40}
    found = lines(values)
    assert found["train@jmpose"].seconds == pytest.approx(3 * 3 * 16 * 0.02)
    assert found["train@vremd"].seconds == 0
    # The whole and two folds.
    assert found["finetune_backbone"].seconds == pytest.approx(3 * 40 * 0.5)


def test_a_detector_that_was_not_measured_has_no_time(values: dict[str, Any]) -> None:
    values["detect"]["kind"] = "hog"
    assert lines(values)["detect@val"].seconds is None


def test_people_and_frames_are_counted_in_annotation_files(tmp_path: Path) -> None:
    assert counts_of_files(tmp_path) is None
    file = add_person(document(3), 0, everywhere(10, 10))
    file = add_person(add_person(file, 2, everywhere(10, 10)), 2, everywhere(40, 40))
    (tmp_path / "val").mkdir()
    (tmp_path / "val/000001_mpii_test.json").write_text(json.dumps(file))
    counts = counts_of_files(tmp_path)
    assert counts is not None
    assert counts["val"] == SplitCount(1, 3, 3, "annotation files")
    assert counts["train"].people == 0


@pytest.mark.parametrize(("name", "poses"), [("posetrack17", 80_144), ("posetrack18", 153_615)])
def test_published_people_are_shared_out_whole(name: str, poses: int) -> None:
    counts = published_counts(name)
    assert sum(count.people for count in counts.values()) == pytest.approx(poses)
    assert counts["train"].people > counts["val"].people


def test_an_unknown_data_set_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"data set 'mine': expected annotation files"):
        published_counts("mine")
