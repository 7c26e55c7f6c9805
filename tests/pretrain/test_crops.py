"""Crops for pretraining: labels lie where the pixels are, every person comes once per pass."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.geometry.affine import transform
from pipeline.core.skeleton import FLIP
from pretrain.crops import Crops, augmented_matrix, batches, labels_in_crop, passes, warp
from pretrain.scenes import Scenes, read_scenes


@pytest.fixture(scope="module")
def scenes(scenes_folder: Path) -> Scenes:
    return read_scenes(scenes_folder)


def test_a_mark_on_a_joint_is_found_where_the_label_says(scenes: Scenes, crops: Crops) -> None:
    checked = 0
    for person in range(len(scenes.frame)):
        to_crop, flip = augmented_matrix(scenes, person, crops, (0, person))
        keypoints, visible = labels_in_crop(scenes, person, to_crop, flip, crops.size)
        for joint in np.flatnonzero(visible):
            # The joint of this name in the frame: a mirrored left wrist was a right one.
            x, y = np.round(scenes.keypoints[person, FLIP[joint] if flip else joint]).astype(int)
            frame = np.zeros((240, 320, 3), np.uint8)
            frame[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] = 255
            crop = warp(frame, to_crop, crops.size)[..., 0].astype(float)
            if not (8 < keypoints[joint, 0] < 88 and 8 < keypoints[joint, 1] < 120):
                continue
            rows, columns = np.nonzero(crop)
            found = np.average(np.column_stack([columns, rows]), axis=0, weights=crop[crop > 0])
            scale = np.sqrt(abs(np.linalg.det(to_crop[:, :2])))
            # Half a pixel of the rounded mark, and what the crop's grid cuts off its edge.
            assert np.abs(found - keypoints[joint]).max() < 0.5 * scale * 1.42 + 0.7
            checked += 1
    assert checked > 50


def test_targets_peak_at_the_joints_and_are_empty_without(scenes: Scenes, crops: Crops) -> None:
    images, targets = next(batches([scenes], crops, batch=8))

    assert images.shape == (8, 3, 128, 96)
    assert targets.shape == (8, 15, 32, 24)
    assert 0 <= float(images.min()) < float(images.max()) <= 1
    peaks = targets.amax(dim=(2, 3))
    assert (((peaks > 0.85) & (peaks <= 1)) | (peaks == 0)).all()


def test_every_row_comes_once_per_pass_in_another_order() -> None:
    drawn = list(islice(passes([3, 4], seed=1), 14))

    first = [(which, row) for which, row, number in drawn if number == 0]
    second = [(which, row) for which, row, number in drawn if number == 1]
    assert (
        sorted(first) == sorted(second) == [(0, i) for i in range(3)] + [(1, i) for i in range(4)]
    )
    assert first != second


def test_labels_are_those_of_the_renderer(scenes: Scenes) -> None:
    rows = scenes.people_of(1)

    assert set(scenes.frame[rows]) == {1}
    assert (scenes.boxes[:, 2:] > 0).all()
    seen = scenes.visible > 0
    assert (scenes.keypoints[seen] >= -0.5).all()
    assert (transform(scenes.keypoints, np.eye(2, 3)) == scenes.keypoints).all()
