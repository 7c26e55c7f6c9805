"""Targets of a batch equal those of single people; weights follow their definition."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.heatmap import encode
from pipeline.training.targets import joint_weights, make_targets


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), sigma=st.floats(0.7, 4))
def test_a_batch_has_the_targets_of_each_single_person(seed: int, sigma: float) -> None:
    generator = np.random.default_rng(seed)
    keypoints = generator.uniform(-20, 90, (4, 15, 2))
    visible = generator.choice([0, 1, 2], (4, 15)).astype(np.int8)
    keypoints[visible == 0] = np.nan
    ours = make_targets(torch.from_numpy(keypoints), torch.from_numpy(visible), (18, 13), sigma)
    assert ours.dtype == torch.float32
    for person in range(4):
        alone = encode(np.nan_to_num(keypoints[person]), visible[person], (18, 13), sigma)
        np.testing.assert_allclose(ours[person].numpy(), alone, rtol=3e-7, atol=1e-12)


def test_the_peak_is_1_on_the_joint_and_falls_as_a_gaussian_of_sigma_cells() -> None:
    keypoints = torch.tensor([[[20.0, 12.0]]], dtype=torch.float64)
    target = make_targets(keypoints, torch.tensor([[2]]), (8, 8), 2.0)[0, 0]
    assert target[3, 5] == 1  # rows are y / 4, columns x / 4
    torch.testing.assert_close(target[3, 7], torch.tensor(np.exp(-0.5), dtype=torch.float32))


def test_occluded_joints_count_only_where_they_are_trained() -> None:
    visible = torch.tensor([[0, 1, 2]], dtype=torch.int8)
    assert joint_weights(visible, "train").tolist() == [[0, 1, 1]]
    assert joint_weights(visible, "ignore").tolist() == [[0, 0, 1]]
