"""Rendered videos: shapes, the same bytes everywhere, faults that show."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.core.skeleton import SLOTS
from pipeline.synthetic.dataset import video_specs
from pipeline.synthetic.degradation import TAGS
from pipeline.synthetic.painting import part_map
from pipeline.synthetic.rendering import SyntheticVideo, render_video
from pipeline.synthetic.scene import build_scene

ROOT = Path(__file__).resolve().parents[3]
SPECS = video_specs("tests", 10, frames=12, height=120, width=160)
DIGEST = """
import hashlib
from pipeline.synthetic.dataset import video_specs
from pipeline.synthetic.rendering import render_video
video = render_video(video_specs("tests", 1, frames=12, height=120, width=160)[0])
print(hashlib.sha256(video.images.tobytes() + video.keypoints.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def videos() -> list[SyntheticVideo]:
    return [render_video(spec) for spec in SPECS]


def test_pictures_and_labels_have_the_shapes_they_promise(videos: list[SyntheticVideo]) -> None:
    for video in videos:
        people = video.present.shape[1]
        assert video.images.shape == (12, 120, 160, 3)
        assert video.images.dtype == np.uint8
        assert video.keypoints.shape == (12, people, 17, 2)
        assert video.visible.shape == (12, people, 17)
        assert video.boxes.shape == video.head_boxes.shape == (12, people, 4)
        assert set(video.tags) <= set(TAGS)
        assert len(video.tags) == len(video.labeled) == len(video.ignored) == 12


def test_joints_off_the_picture_and_ears_have_no_label(videos: list[SyntheticVideo]) -> None:
    ears = [slot for slot, name in enumerate(SLOTS) if name.endswith("_ear")]
    for video in videos:
        assert not video.visible[..., ears].any()
        assert not video.keypoints[..., ears, :].any()
        places = np.round(video.keypoints)
        inside = (places >= 0).all(axis=-1) & (places < [160, 120]).all(axis=-1)
        inside[..., ears] = False
        assert ((video.visible > 0) == inside).all()


def test_two_processes_with_other_hash_seeds_render_the_same_bytes(
    videos: list[SyntheticVideo],
) -> None:
    content = videos[0].images.tobytes() + videos[0].keypoints.tobytes()
    digests = {hashlib.sha256(content).hexdigest()}
    for seed in ("1",):
        done = subprocess.run(
            [sys.executable, "-c", DIGEST],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1


def test_other_seeds_give_other_videos(videos: list[SyntheticVideo]) -> None:
    assert len({video.images.tobytes() for video in videos}) == len(videos)


def test_blurred_frames_are_less_sharp_than_clean_ones(videos: list[SyntheticVideo]) -> None:
    ratios = []
    for video in videos:
        sharp = [float(cv2.Laplacian(cv2.GaussianBlur(image, (0, 0), 1.2), cv2.CV_64F).var())
                 for image in video.images]  # fmt: skip
        by_tag = {
            tag: [s for s, t in zip(sharp, video.tags, strict=True) if t == tag] for tag in TAGS
        }
        if by_tag["blurred"] and by_tag["clean"]:
            ratios.append(np.median(by_tag["blurred"]) / np.median(by_tag["clean"]))
    assert len(ratios) >= 5
    assert max(ratios) < 0.75


def test_covered_frames_hide_more_limbs_than_their_clean_neighbors(
    videos: list[SyntheticVideo],
) -> None:
    hidden: dict[str, list[float]] = {tag: [] for tag in TAGS}
    for video in videos:
        for frame, tag in enumerate(video.tags):
            flags = video.visible[frame, video.present[frame]]
            hidden[tag].extend((flags[flags > 0] == 1).tolist())
    assert np.mean(hidden["covered"]) > np.mean(hidden["clean"]) + 0.1


def test_people_cross_enter_and_leave(videos: list[SyntheticVideo]) -> None:
    assert any("crossing" in video.tags for video in videos)
    comings = [np.diff(video.present.astype(int), axis=0) for video in videos]
    assert any((change == 1).any() for change in comings)
    assert any((change == -1).any() for change in comings)


def test_a_clean_background_pixel_shows_the_background_alone() -> None:
    scene = build_scene(SPECS[0])
    canvas, parts = part_map(scene, 0)
    camera = scene.camera.matrices(np.zeros(1))[0]
    place = (np.vstack([camera, [0, 0, 1]]) @ np.vstack([scene.background.place, [0, 0, 1]]))[:2]
    backdrop = cv2.warpAffine(
        scene.background.picture, place, (160, 120), borderMode=cv2.BORDER_REFLECT_101
    )
    nobody = cv2.erode((parts == -1).astype(np.uint8), np.ones((5, 5))) == 1
    same = np.abs(canvas - backdrop).max(axis=-1)[nobody] < 1e-6
    # Shadows and props are the rest.
    assert same.mean() > 0.6
