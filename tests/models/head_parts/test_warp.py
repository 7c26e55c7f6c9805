"""Maps moved onto the key frame, one cell at a time and against the exact motion of renderings."""

import numpy as np
import pytest
import torch
from torch import Tensor

from models.head_parts.warp import chain, sample, splat, warp_to_key_frame
from models.raft.network import cells_from_pixels
from pipeline.core.heatmap import encode
from pipeline.synthetic.dataset import VideoSpec
from pipeline.synthetic.motion import exact_flow
from pipeline.synthetic.rendering import render_video
from pipeline.synthetic.scene import build_scene

HEIGHT, WIDTH = 9, 7


def one_cell(row: int, column: int) -> Tensor:
    maps = torch.zeros(1, 1, HEIGHT, WIDTH)
    maps[0, 0, row, column] = 1
    return maps


def constant(dx: float, dy: float) -> Tensor:
    return torch.tensor([dx, dy]).view(1, 2, 1, 1).expand(1, 2, HEIGHT, WIDTH).clone()


def lit(maps: Tensor) -> dict[tuple[int, int], float]:
    """Return row and column of every cell that is not 0, with its value."""
    return {(r, c): round(maps[0, 0, r, c].item(), 6) for _, _, r, c in maps.nonzero().tolist()}


def test_a_cell_of_an_earlier_frame_moves_along_its_own_flow() -> None:
    flow = torch.zeros(1, 2, HEIGHT, WIDTH)
    flow[0, :, 4, 2] = torch.tensor([3.0, -1.0])

    assert lit(splat(one_cell(4, 2), flow)) == {(3, 5): 1}


def test_a_cell_of_a_later_frame_is_found_by_the_cell_that_leads_to_it() -> None:
    flow = torch.zeros(1, 2, HEIGHT, WIDTH)
    flow[0, :, 4, 2] = torch.tensor([3.0, -1.0])

    # Cell (3, 5) of the later frame is also where cell (3, 5) itself stays.
    assert lit(sample(one_cell(3, 5), flow)) == {(4, 2): 1, (3, 5): 1}


def test_fractions_of_a_cell_are_shared_among_four_cells() -> None:
    shares = {(3, 2): 0.75 * 0.6, (3, 3): 0.25 * 0.6, (4, 2): 0.75 * 0.4, (4, 3): 0.25 * 0.4}
    expected = {cell: pytest.approx(share, abs=1e-6) for cell, share in shares.items()}

    assert lit(splat(one_cell(3, 2), constant(0.25, 0.4))) == expected
    assert lit(sample(one_cell(3, 2), constant(-0.25, -0.4))) == expected


def test_cells_that_leave_the_map_are_lost() -> None:
    assert lit(splat(one_cell(0, 6), constant(1.0, 0.0))) == {}
    assert lit(sample(one_cell(8, 0), constant(0.0, 2.0))) == {(6, 0): 1}
    assert sample(torch.ones(1, 1, HEIGHT, WIDTH), constant(100.0, 0.0)).sum() == 0


def test_splatting_is_the_transpose_of_sampling() -> None:
    generator = torch.Generator().manual_seed(0)
    one, two = (torch.rand(2, 3, HEIGHT, WIDTH, generator=generator) for _ in range(2))
    flow = 6 * torch.rand(2, 2, HEIGHT, WIDTH, generator=generator) - 3

    there, back = (splat(one, flow) * two).sum(), (one * sample(two, flow)).sum()

    assert there.item() == pytest.approx(back.item(), rel=1e-5)


def test_two_cells_that_meet_add_up() -> None:
    maps = one_cell(4, 2) + one_cell(4, 5)
    flow = torch.zeros(1, 2, HEIGHT, WIDTH)
    flow[0, 0, 4, 2] = 3

    assert lit(splat(maps, flow)) == {(4, 5): 2}


def test_a_chain_starts_each_step_where_the_last_ended() -> None:
    """Against a literal walk from each cell, at random flow of whole cells."""
    generator = torch.Generator().manual_seed(1)
    flow = torch.randint(-2, 3, (1, 3, 2, HEIGHT, WIDTH), generator=generator).float()

    total = chain(flow)

    for row in range(HEIGHT):
        for column in range(WIDTH):
            x, y = column, row
            for step in flow[0]:
                # Beyond the border the nearest cell's flow continues.
                dx, dy = step[:, min(max(y, 0), HEIGHT - 1), min(max(x, 0), WIDTH - 1)].int()
                x, y = x + int(dx), y + int(dy)
            expected = pytest.approx([x - column, y - row], abs=1e-5)
            assert total[0, :, row, column].tolist() == expected


@pytest.mark.parametrize("frames", [1, 3, 5])
def test_a_moving_peak_lies_on_the_key_frames_in_all_frames(frames: int) -> None:
    """A translation with another step between each pair of frames."""
    steps = [(1.5, -1.0), (0.5, 2.25), (-2.0, 0.5), (1.0, 1.0)][: frames - 1]
    places = np.cumsum([(9.0, 12.0), *steps], axis=0)
    maps = np.stack([encode(place[None], np.array([2]), (32, 24), 1.5) for place in 4 * places])
    flow = torch.tensor(steps).view(1, frames - 1, 2, 1, 1).expand(1, -1, 2, 32, 24)

    moved = warp_to_key_frame(torch.from_numpy(maps)[None].float(), flow)

    key = moved[0, frames // 2]
    torch.testing.assert_close(key, torch.from_numpy(maps[frames // 2]).float())
    for frame in moved[0]:
        # Bilinear interpolation blurs a Gaussian by a little, and moves it by nothing.
        assert (frame - key).abs().max() < 0.15
        mass = frame[0] / frame[0].sum()
        x, y = (mass.sum(0) * torch.arange(24)).sum(), (mass.sum(1) * torch.arange(32)).sum()
        assert (x.item(), y.item()) == pytest.approx(tuple(places[frames // 2]), abs=0.03)


def test_exact_flow_of_a_rendering_brings_the_joints_onto_those_of_the_key_frame() -> None:
    """Seen joints of frames 0 and 6 against frame 3; whole frames are the crops here."""
    spec = VideoSpec(910_004, frames=7)
    video, scene = render_video(spec), build_scene(spec)
    parts = [torch.from_numpy(exact_flow(scene, frame, 3).flow)[None] for frame in (0, 3)]
    flow = torch.stack([cells_from_pixels(part) for part in parts], dim=1)
    seen = (video.visible[[0, 3, 6]] == 2).all(axis=0)
    before, after = [], []
    for person, slot in np.argwhere(seen).tolist():
        places = video.keypoints[[0, 3, 6], person, slot]
        maps = [encode(place[None], np.array([2]), (60, 80), 1.5) for place in places]
        stacked = torch.from_numpy(np.stack(maps))[None].float()
        for frame in (0, 2):
            for found, errors in ((stacked, before), (warp_to_key_frame(stacked, flow), after)):
                row, column = divmod(int(found[0, frame, 0].argmax()), 80)
                errors.append(np.hypot(*(places[1] / 4 - (column, row))))
    assert len(before) > 40
    assert np.median(before) > 1
    assert np.median(after) < 0.7
    assert np.mean(after) < 0.6 * np.mean(before)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"flow of shape \(1, 2, 2, 4, 5\), got 3 frames"):
        warp_to_key_frame(torch.zeros(1, 3, 1, 4, 5), torch.zeros(1, 1, 2, 4, 5))
    with pytest.raises(ValueError, match="odd number of frames"):
        warp_to_key_frame(torch.zeros(1, 2, 1, 4, 5), torch.zeros(1, 1, 2, 4, 5))
