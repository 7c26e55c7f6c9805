"""Flow in crops: vectors move with the crop's transform, frames of a pair are consecutive."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.geometry.affine import crop_matrix, mirror, transform
from pipeline.geometry.boxes import Region
from pretrain.crops import Crops
from pretrain.pairs import crop_flow, held_out_pairs, read_moving_scenes, training_pairs


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

    one = next(training_pairs(moving, crops, batch=4))
    two = next(training_pairs(moving, crops, batch=4))

    assert bool((one.first == two.first).all())
    assert bool((one.flow == two.flow).all())
    assert one.flow.shape == (4, 2, 128, 96)
    assert one.flow.isfinite().all()


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
