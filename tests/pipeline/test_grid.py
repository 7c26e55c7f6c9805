"""The heatmap grid agrees with the networks that fill it."""

from models.raft.network import HEATMAP_STRIDE
from pipeline.grid import STRIDE, grid_size


def test_the_grid_of_the_papers_crops() -> None:
    assert grid_size((384, 288)) == (96, 72)
    assert grid_size((256, 192)) == (64, 48)


def test_flow_is_pooled_to_the_grid_of_the_heatmaps() -> None:
    assert HEATMAP_STRIDE == STRIDE
