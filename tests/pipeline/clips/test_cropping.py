"""Cropping: comparison with a literal resampler, and the number of frames read."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from pipeline.clips.clips import ClipSettings, VideoBoxes, clip_rows
from pipeline.clips.cropping import CropTask, crop, crop_clips
from pipeline.core.frames.video_frames import VideoFrames
from pipeline.core.geometry.affine import crop_matrix, mirror, transform
from pipeline.core.geometry.boxes import Region
from tests.pipeline.clips.test_clips import AUGMENT, boxes, people

SIZE = (64, 48)
SETTINGS = ClipSettings(SIZE, 1.25, 1, 1, AUGMENT, None)


@pytest.fixture
def images() -> list[np.ndarray]:
    random = np.random.default_rng(7)
    return [
        cv2.GaussianBlur(random.integers(0, 256, (60, 90, 3), dtype=np.uint8), (5, 5), 0)
        for _ in range(5)
    ]


@pytest.fixture
def frames(images: list[np.ndarray], tmp_path: Path) -> VideoFrames:
    names, digests = [], []
    for position, image in enumerate(images):
        data = bytes(cv2.imencode(".png", image[:, :, ::-1])[1])
        (tmp_path / f"{position}.png").write_bytes(data)
        names.append(f"{position}.png")
        digests.append(hashlib.sha256(data).hexdigest())
    return VideoFrames(tmp_path, (60, 90), tuple(names), tuple(digests))


def source(rows: Sequence[tuple[int, int, int]]) -> VideoBoxes:
    return VideoBoxes("v1", 5, boxes(*rows), people())


def resampled(image: np.ndarray, to_crop: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a crop computed by inverse mapping of each pixel and linear interpolation."""
    matrix = np.vstack([to_crop.reshape(2, 3), [0, 0, 1]])
    columns, rows = np.meshgrid(np.arange(size[1]), np.arange(size[0]))
    positions = np.linalg.inv(matrix) @ np.stack(
        [columns.ravel(), rows.ravel(), np.ones(columns.size)]
    )
    channels = [
        map_coordinates(
            image[..., c].astype(float), positions[1::-1], order=1, mode="grid-constant"
        )
        for c in range(3)
    ]
    return np.stack(channels, axis=-1).reshape(*size, 3)


@pytest.mark.parametrize("variant", [0, 1, 2, 3])
def test_crops_equal_those_of_a_literal_resampler(
    variant: int, frames: VideoFrames, images: list[np.ndarray]
) -> None:
    rows = clip_rows(source([(0, 0, 0), (2, 0, 0), (2, 1, 1), (4, 0, 1)]), variant, SETTINGS)
    blocks = list(crop_clips(rows, frames, SIZE))
    assert [block.shape for block in blocks] == [(1, 3, *SIZE, 3)] * 4
    for row, block in zip(rows.to_dict("records"), blocks, strict=True):
        for step, frame in enumerate(row["frames"]):
            expected = resampled(images[frame], row["to_crop"], SIZE)
            # OpenCV 4 samples at multiples of 1/32 pixel, and both round.
            assert np.abs(block[0, step] - expected).max() < 12
            assert np.abs(block[0, step] - expected).mean() < 0.6


def test_each_frame_is_read_once(frames: VideoFrames, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = VideoFrames.read

    def counting_read(self: VideoFrames, frame: int) -> np.ndarray:
        read.append(frame)
        return original(self, frame)

    monkeypatch.setattr(VideoFrames, "read", counting_read)
    order = [(frame, row, row) for frame in range(5) for row in range(2)]
    list(crop_clips(clip_rows(source(order), 0, SETTINGS), frames, SIZE))
    assert read == [0, 1, 2, 3, 4]


def test_a_task_writes_the_array_of_its_unit(frames: VideoFrames, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    video_boxes = source([(0, 0, 0), (3, 0, 1)])
    task = CropTask({"a/v v1": video_boxes}, {"a/v v1": frames}, SETTINGS)
    task("a/v v1/v2", tmp_path / "out")
    stored = zarr.open_array(tmp_path / "out", mode="r")[:]
    expected = np.concatenate(list(crop_clips(clip_rows(video_boxes, 2, SETTINGS), frames, SIZE)))
    np.testing.assert_array_equal(stored, expected)


def test_a_crop_outside_the_image_is_black() -> None:
    frame = np.full((20, 20, 3), 255, np.uint8)
    matrix = crop_matrix(Region((-100.0, -100.0), 40, 40), (40, 40), 0)
    assert not crop(frame, matrix, (40, 40), flipped=False).any()


def test_a_flipped_crop_is_the_exact_mirror_image_of_the_unflipped_crop() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    matrix = crop_matrix(Region((51.3, 47.8), 73.1, 54.8), (64, 48), 23.0)
    unflipped = crop(frame, matrix, (64, 48), flipped=False)
    flipped = crop(frame, mirror(matrix, 48), (64, 48), flipped=True)
    np.testing.assert_array_equal(flipped, unflipped[:, ::-1])


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("rotation", [0.0, 30.0, -75.0])
def test_a_white_pixel_moves_to_the_position_given_by_the_matrix(
    rotation: float, flipped: bool
) -> None:
    matrix = crop_matrix(Region((60.0, 50.0), 20, 15), (128, 96), rotation)
    if flipped:
        matrix = mirror(matrix, 96)
    for x, y in [(60, 50), (62, 53), (57, 48)]:
        frame = np.zeros((100, 120, 3), np.uint8)
        frame[y, x] = 255
        cropped = crop(frame, matrix, (128, 96), flipped=flipped)[..., 1].astype(float)
        columns, rows = np.meshgrid(np.arange(96), np.arange(128))
        found = np.array([(cropped * columns).sum(), (cropped * rows).sum()]) / cropped.sum()
        np.testing.assert_allclose(found, transform(np.array([x, y]), matrix), atol=0.15)
