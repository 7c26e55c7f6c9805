"""Exact flow against the pictures and joints that it explains."""

import cv2
import numpy as np
import pytest

from pipeline.synthetic.dataset import VideoSpec, video_specs
from pipeline.synthetic.motion import ExactFlow, exact_flow
from pipeline.synthetic.rendering import SyntheticVideo, render_video
from pipeline.synthetic.scene import build_scene

SPECS = video_specs("tests", 4, frames=8)


@pytest.fixture(scope="module")
def pairs() -> list[tuple[SyntheticVideo, int, ExactFlow]]:
    found = []
    for spec in SPECS:
        video, scene = render_video(spec), build_scene(spec)
        sharp = [tag in ("clean", "crossing") for tag in video.tags]
        frames = [frame for frame in range(7) if sharp[frame] and sharp[frame + 1]]
        found += [(video, frame, exact_flow(scene, frame)) for frame in frames]
    return found


def test_the_next_picture_moved_back_along_the_flow_is_the_picture(
    pairs: list[tuple[SyntheticVideo, int, ExactFlow]],
) -> None:
    y, x = np.mgrid[0:240, 0:320].astype(np.float32)
    left, moved, still = [], [], []
    for video, frame, (flow, people, occluded) in pairs:
        first, second = video.images[frame].astype(float), video.images[frame + 1]
        back = cv2.remap(second, x + flow[0], y + flow[1], cv2.INTER_LINEAR).astype(float)
        seen = ~occluded & (people >= 0)
        left.append(np.abs(back - first).mean(axis=-1)[seen].mean())
        still.append(np.abs(second - first).mean(axis=-1)[seen].mean())
        moved.append(np.abs(back - first).mean(axis=-1)[~occluded & (people < 0)].mean())
    assert len(left) >= 5
    assert np.mean(left) < 6
    assert np.mean(still) > 3 * np.mean(left)
    assert np.mean(moved) < 4


def test_the_flow_at_a_seen_joint_leads_to_the_joint_in_the_next_frame(
    pairs: list[tuple[SyntheticVideo, int, ExactFlow]],
) -> None:
    errors, steps = [], []
    for video, frame, (flow, people, _) in pairs:
        for person, slot in np.argwhere(video.visible[frame] == 2).tolist():
            here, there = video.keypoints[frame : frame + 2, person, slot]
            column, row = np.round(here).astype(int)
            if people[row, column] == person:
                errors.append(np.linalg.norm(here + flow[:, row, column] - there))
                steps.append(np.linalg.norm(there - here))
    assert len(errors) > 200
    assert np.median(errors) < 0.1
    assert np.median(steps) > 5 * np.median(errors)


def test_shapes_types_and_people(pairs: list[tuple[SyntheticVideo, int, ExactFlow]]) -> None:
    video, _, (flow, people, occluded) = pairs[0]
    assert flow.shape == (2, 240, 320)
    assert flow.dtype == np.float32
    assert people.dtype == np.int16
    assert occluded.dtype == np.bool_
    assert -1 <= people.min() <= people.max() < video.present.shape[1]
    assert occluded.mean() < 0.2


def test_a_spec_gives_the_same_flow_as_its_scene() -> None:
    spec = VideoSpec(910_000, frames=3, height=96, width=128)
    assert (exact_flow(spec, 1).flow == exact_flow(build_scene(spec), 1).flow).all()


def test_flow_over_a_gap_leads_seen_joints_to_their_place_in_the_later_frame() -> None:
    errors, steps = [], []
    for spec in SPECS[:2]:
        video, scene = render_video(spec), build_scene(spec)
        for frame in (0, 2, 4):
            flow, people, _ = exact_flow(scene, frame, gap=3)
            for person, slot in np.argwhere(video.visible[frame] == 2).tolist():
                here, there = video.keypoints[[frame, frame + 3], person, slot]
                column, row = np.round(here).astype(int)
                if people[row, column] == person:
                    errors.append(np.linalg.norm(here + flow[:, row, column] - there))
                    steps.append(np.linalg.norm(there - here))
    assert len(errors) > 100
    assert np.median(errors) < 0.2
    assert np.median(steps) > 5 * np.median(errors)


@pytest.mark.parametrize(("frame", "gap"), [(0, 3), (0, 0), (1, -1)])
def test_a_gap_that_leaves_the_video_or_goes_back_is_refused(frame: int, gap: int) -> None:
    with pytest.raises(ValueError, match=f"got {frame} and a gap of {gap}"):
        exact_flow(VideoSpec(910_000, frames=3, height=96, width=128), frame, gap)


@pytest.mark.parametrize("frame", [-1, 2])
def test_the_last_frame_has_no_flow(frame: int) -> None:
    with pytest.raises(ValueError, match=rf"within 0\.\.1, got {frame}"):
        exact_flow(VideoSpec(910_000, frames=3, height=96, width=128), frame)
