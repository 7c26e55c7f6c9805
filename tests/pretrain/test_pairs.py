"""Flow in crops: vectors move with the crop's transform, frames of a pair have their gap."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.geometry.affine import crop_matrix, mirror, transform
from pipeline.core.geometry.boxes import Region
from pipeline.core.skeleton import FLIP
from pretrain.crops import Crops, plain_matrix
from pretrain.pairs import (
    Cut,
    crop_flow,
    crop_pair,
    held_out_pairs,
    read_moving_scenes,
    shaken,
    training_pairs,
)


@pytest.mark.parametrize("flip", [False, True])
def test_a_crops_flow_leads_where_the_crop_of_the_landing_point_is(flip: bool) -> None:
    y, x = np.mgrid[0:60, 0:80].astype(np.float64)
    # A motion of the plane that is not the same everywhere: a turn with a shift.
    flow = np.stack([0.05 * y - 1, 2 - 0.08 * x])
    to_crop = crop_matrix(Region((40.0, 30.0), 40.0, 30.0), (64, 48), rotation=25.0)
    to_crop = mirror(to_crop, 48) if flip else to_crop

    moved = crop_flow(flow, to_crop, (64, 48))

    for place in [(35, 25), (40, 30), (47, 33)]:
        start = np.array(place, dtype=np.float64)
        end = start + flow[:, place[1], place[0]]
        column, row = np.round(transform(start, to_crop)).astype(int)
        expected = transform(end, to_crop) - transform(start, to_crop)
        # The nearest frame pixel of a crop pixel is at most a pixel from the place.
        np.testing.assert_allclose(moved[:, row, column], expected, atol=0.3)


def test_true_flow_brings_the_second_crop_onto_the_first(scenes_folder: Path, crops: Crops) -> None:
    moving = read_moving_scenes(scenes_folder)

    for pairs in held_out_pairs(moving, crops, count=20, batch=5):
        assert pairs.first.shape == pairs.second.shape == (5, 3, 128, 96)
        first, second = pairs.first.float().mean(1), pairs.second.float().mean(1)
        steady = pairs.people & pairs.in_sight
        y, x = np.mgrid[0:128, 0:96]
        for i in range(len(first)):
            dx, dy = pairs.flow[i].round().long().numpy()
            there = second[i].numpy()[(y + dy).clip(0, 127), (x + dx).clip(0, 95)]
            chosen = steady[i].numpy()
            if chosen.sum() < 200 or np.abs(dx[chosen]).mean() + np.abs(dy[chosen]).mean() < 2:
                continue
            warped = np.median(np.abs(there - first[i].numpy())[chosen])
            plain = np.median((second[i] - first[i]).abs().numpy()[chosen])
            assert warped <= plain


def test_the_same_seed_draws_the_same_pairs(scenes_folder: Path, crops: Crops) -> None:
    moving = read_moving_scenes(scenes_folder)

    one = next(training_pairs(moving, crops, batch=4, shaken_share=0.5))
    two = next(training_pairs(moving, crops, batch=4, shaken_share=0.5))

    assert bool((one.first == two.first).all())
    assert bool((one.flow == two.flow).all())
    assert one.flow.shape == (4, 2, 128, 96)
    assert one.flow.isfinite().all()


def test_pairs_of_a_gap_begin_in_the_frames_that_have_it(scenes_folder: Path) -> None:
    moving = read_moving_scenes(scenes_folder)
    frame = moving.scenes.frame % 3

    assert moving.length == 3
    assert set(frame[moving.people_of_gaps(2)]) == {0}
    assert set(frame[moving.people_of_gaps(1)]) == {1}
    assert set(frame[moving.people_of_gaps()]) == {0, 1}


@pytest.mark.parametrize("gap", [1, 2])
def test_steps_of_joints_are_the_exact_flow_where_the_joint_is_seen(
    scenes_folder: Path, crops: Crops, gap: int
) -> None:
    """Labels and flow are two ways through the renderer."""
    moving = read_moving_scenes(scenes_folder)
    offsets, steps = [], []
    for pairs in held_out_pairs(moving, crops, count=20, batch=5, gap=gap):
        for one in range(len(pairs.joints)):
            for joint in np.flatnonzero(pairs.known[one].numpy()):
                column, row = pairs.joints[one, joint].round().int().tolist()
                offsets.append((pairs.flow[one, :, row, column] - pairs.steps[one, joint]).norm())
                steps.append(pairs.steps[one, joint].norm())

    # Hidden joints lie under something else: the median is of seen ones.
    assert len(steps) > 50
    assert np.median(offsets) < 0.25 * np.median(steps)


def test_a_mirrored_pair_swaps_left_and_right(scenes_folder: Path, crops: Crops) -> None:
    moving = read_moving_scenes(scenes_folder)
    person = int(moving.people_of_gaps()[0])
    to_crop = plain_matrix(moving.scenes.boxes[person], crops)
    mirrored = mirror(to_crop, 96)

    *_, plain_steps, plain_known = crop_pair(moving, person, Cut(to_crop, to_crop), (128, 96))
    *_, steps, known = crop_pair(moving, person, Cut(mirrored, mirrored, True), (128, 96))

    np.testing.assert_array_equal(known, plain_known[FLIP])
    np.testing.assert_allclose(steps[known], (plain_steps[FLIP] * [-1, 1])[known], atol=1e-4)


def test_somebody_who_has_left_has_no_known_joint(scenes_folder: Path, crops: Crops) -> None:
    moving = read_moving_scenes(scenes_folder)
    person = int(moving.people_of_gaps()[0])
    alone = replace(moving.scenes, track=np.arange(len(moving.scenes.track), dtype=np.int32))
    to_crop = plain_matrix(moving.scenes.boxes[person], crops)

    *_, known = crop_pair(replace(moving, scenes=alone), person, Cut(to_crop, to_crop), (128, 96))

    assert not known.any()


def test_no_pair_is_shaken_where_the_share_is_0(crops: Crops) -> None:
    to_crop = np.array([[1.2, 0.1, 3.0], [-0.1, 1.2, -2.0]])

    plain = [shaken(to_crop, crops, (row, 0), 0.0) for row in range(20)]
    moved = [shaken(to_crop, crops, (row, 0), 1.0) for row in range(20)]

    assert all((one == to_crop).all() for one in plain)
    assert not any((one == to_crop).all() for one in moved)


def test_a_shaken_second_crop_moves_each_pixel_by_what_its_matrix_says() -> None:
    """A frame without motion of its own: the flow is the change of the crop's matrix alone."""
    still = np.zeros((2, 50, 60), np.float32)
    first = np.array([[1.2, 0.1, 3.0], [-0.1, 1.2, -2.0]])
    second = np.array([[1.1, 0.0, 5.0], [0.2, 1.3, 1.0]])
    flow = crop_flow(still, first, (40, 30), second)
    for x, y in ((0, 0), (29, 39), (7, 21)):
        frame = np.linalg.solve(first[:, :2], np.array([x, y]) - first[:, 2])
        landed = second[:, :2] @ frame + second[:, 2]
        np.testing.assert_allclose(flow[:, y, x], landed - (x, y), atol=1e-4)
