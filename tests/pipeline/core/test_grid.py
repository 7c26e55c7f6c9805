"""The heatmap grid and the networks that compute maps on it."""

from models.raft.network import HEATMAP_STRIDE
from pipeline.core.grid import STRIDE, grid_size


def test_grids_of_the_papers_crop_sizes() -> None:
    assert grid_size((384, 288)) == (96, 72)
    assert grid_size((256, 192)) == (64, 48)


def test_flow_is_pooled_to_the_heatmap_grid() -> None:
    assert HEATMAP_STRIDE == STRIDE
