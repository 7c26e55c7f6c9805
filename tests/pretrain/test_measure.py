"""Held-out figures: counted by hand where they are small, perfect where the answer is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.core.heatmap import encode
from pretrain.crops import Crops, labels_in_crop, plain_matrix
from pretrain.measure import detection, flow_error, joint_errors, pose_ap
from pretrain.pairs import Pairs
from pretrain.scenes import Scenes, read_scenes


@pytest.fixture(scope="module")
def scenes(scenes_folder: Path) -> Scenes:
    return read_scenes(scenes_folder)


def test_true_heatmaps_score_100(scenes: Scenes, crops: Crops) -> None:
    people = iter(range(len(scenes.frame)))

    def truth(images: Tensor) -> Tensor:
        maps = []
        for _ in images:
            person = next(people)
            to_crop = plain_matrix(scenes.boxes[person], crops)
            joints, visible = labels_in_crop(scenes, person, to_crop, False, crops.size)
            maps.append(encode(joints, visible, (32, 24), crops.sigma))
        return torch.from_numpy(np.stack(maps))

    figures = pose_ap(truth, scenes, crops)

    assert figures["map"] == pytest.approx(100, abs=0.5)
    assert 0.9 < figures["peak_median"] <= 1


def test_noise_scores_little(scenes: Scenes, crops: Crops) -> None:
    generator = torch.Generator().manual_seed(1)

    figures = pose_ap(
        lambda images: torch.rand(len(images), 15, 32, 24, generator=generator), scenes, crops
    )

    assert figures["map"] < 15


def test_recall_and_precision_count_people_once() -> None:
    frames = np.zeros((2, 20, 30, 3), np.uint8)
    scenes = Scenes(
        frames=frames,
        video=np.zeros(2, np.int32),
        ignored=np.array([False, True]),
        frame=np.array([0, 0, 1], np.int32),
        track=np.array([0, 1, 0], np.int32),
        keypoints=np.zeros((3, 15, 2)),
        visible=np.zeros((3, 15), np.int8),
        boxes=np.array([[0.0, 0, 10, 10], [15, 0, 10, 10], [0, 0, 5, 5]]),
        head_boxes=np.zeros((3, 4)),
    )

    def detector(images: list[Tensor]) -> list[dict[str, Tensor]]:
        boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 3, 3], [15, 0, 25, 10]])
        return [{"boxes": boxes, "scores": torch.tensor([0.9, 0.8, 0.3, 0.1])} for _ in images]

    figures = detection(detector, scenes, threshold=0.2)

    # The frame with ignored people is left out; one of two people is found by one of three boxes.
    assert figures == {"recall": 1 / 2, "precision": 1 / 3}


def test_flow_error_is_the_mean_distance_on_people() -> None:
    flow = torch.zeros(1, 2, 16, 16)
    flow[:, 0] = 3
    people = torch.zeros(1, 16, 16, dtype=torch.bool)
    people[:, :4] = True
    sight = torch.zeros_like(people)
    sight[:, :2] = True
    image = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)

    def estimate(first: Tensor, _second: Tensor) -> Tensor:
        wrong = torch.zeros(len(first), 2, 16, 16)
        wrong[:, 0, 2:] = 3
        wrong[:, 1] = 4
        return wrong

    # The estimate is (0, 4) in the upper rows and (3, 4) in the others: averaged over 5 x 5 pixels
    # all of which lie in one of them, it is that.
    joints = torch.tensor([[[8.0, 10.0], [4.0, 12.5], [9.0, 9.0]]])
    steps = torch.tensor([[[3.0, 4.0], [0.0, 0.0], [100.0, 0.0]]])
    known = torch.tensor([[True, True, False]])

    pairs = Pairs(image, image, flow, people, sight, joints, steps, known)
    figures = flow_error(estimate, iter([pairs]))

    assert figures["epe"] == pytest.approx(4.5)
    assert figures["epe_in_sight"] == pytest.approx(5)
    assert figures["zero_epe"] == pytest.approx(3)
    assert figures["joints"] == pytest.approx(2.5, abs=1e-3)
    assert figures["zero_joints"] == pytest.approx(2.5, abs=1e-3)
    assert figures["exact_joints"] == pytest.approx((4 + 3) / 2, abs=1e-3)


def test_a_joint_between_pixels_has_the_mean_of_the_cells_around_it() -> None:
    """Against a plain loop over the 5 x 5 pixels of the four neighbors of a joint."""
    generator = torch.Generator().manual_seed(0)
    flow = torch.rand(1, 2, 12, 10, generator=generator)
    joint = (3.25, 6.5)
    image = torch.zeros(1, 3, 12, 10, dtype=torch.uint8)
    nothing = torch.zeros(1, 12, 10, dtype=torch.bool)
    pairs = Pairs(
        image, image, flow, nothing, nothing,
        joints=torch.tensor([[joint]]), steps=torch.zeros(1, 1, 2), known=torch.ones(1, 1) > 0,
    )  # fmt: skip

    found = joint_errors(flow, pairs)

    expected = np.zeros(2)
    for column, row in ((3, 6), (4, 6), (3, 7), (4, 7)):
        share = (1 - abs(joint[0] - column)) * (1 - abs(joint[1] - row))
        block = flow[0, :, row - 2 : row + 3, column - 2 : column + 3]
        expected += share * block.mean(dim=(1, 2)).numpy()
    assert found.item() == pytest.approx(np.hypot(*expected), abs=1e-4)
