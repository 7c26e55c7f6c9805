"""Video sources: every frame once, at its display time, with the correct rotation."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.video.source import Shortfall, open_source
from tests.pipeline.small_videos import (
    Picture,
    number_of,
    numbered,
    turn_clockwise,
    write_video,
)


def test_frames_of_a_variable_rate_keep_their_times(tmp_path: Path) -> None:
    seconds = [0.0, 0.04, 0.24, 0.25, 0.9]
    write_video(tmp_path / "v.mp4", numbered(5), seconds)
    frames = list(open_source(tmp_path / "v.mp4").read())
    assert [frame.number for frame in frames] == list(range(5))
    assert [number_of(frame.picture) for frame in frames] == list(range(5))
    np.testing.assert_allclose([frame.seconds for frame in frames], seconds, atol=1e-3)


def test_odd_sizes_are_kept(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", numbered(2, (47, 65)), [0, 0.04])
    frames = list(open_source(tmp_path / "v.mp4").read())
    assert [frame.picture.shape for frame in frames] == [(47, 65, 3)] * 2


def test_frames_are_rotated_according_to_the_rotation_flag(tmp_path: Path) -> None:
    pictures = numbered(2, (48, 64))
    write_video(tmp_path / "v.mp4", pictures, [0, 0.04])
    turn_clockwise(tmp_path / "v.mp4")
    for frame, picture in zip(open_source(tmp_path / "v.mp4").read(), pictures, strict=True):
        # Clockwise: the left column becomes the top row.
        expected = np.flipud(picture).transpose(1, 0, 2)
        assert frame.picture.shape == expected.shape == (64, 48, 3)
        assert np.abs(frame.picture.astype(int) - expected).max() < 8


def test_a_folder_is_sorted_by_the_numbers_in_its_names(tmp_path: Path) -> None:
    for name, picture in zip(("f2.png", "f10.png", "f9.png"), numbered(3), strict=True):
        cv2.imwrite(str(tmp_path / name), picture)
    (tmp_path / "notes.txt").touch()
    source = open_source(tmp_path)
    assert source.frames == 3
    assert [number_of(frame.picture) for frame in source.read()] == [0, 2, 1]


def test_a_source_can_be_read_repeatedly(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", numbered(3), [0, 0.04, 0.08])
    source = open_source(tmp_path / "v.mp4")
    assert next(source.read()).number == next(source.read()).number == 0
    assert source.digest() == open_source(tmp_path / "v.mp4").digest()


def test_files_that_are_no_videos_are_rejected(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", numbered(3), [0, 0.04, 0.08])
    data = (tmp_path / "v.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.mp4").write_text("no film")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("cut.mp4", "cannot be opened"),
        ("text.mp4", "cannot be opened"),
        ("none.mp4", "found nothing"),
        ("empty", r"expected images \(.jpg"),
    ):
        with pytest.raises(ValueError, match=rf"{name}: .*{message}"):
            open_source(tmp_path / name)


def test_images_of_different_sizes_are_rejected(tmp_path: Path) -> None:
    for number, size in enumerate([(48, 64), (48, 66)]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), numbered(1, size)[0])
    with pytest.raises(ValueError, match="expected 48 x 64 pixels"):
        list(open_source(tmp_path).read())


def noise(count: int) -> list[Picture]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (64, 96, 3), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_truncated_file_is_refused_and_accepted_only_where_that_is_asked(
    suffix: str, tmp_path: Path
) -> None:
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    write_video(whole, noise(16), [n / 25 for n in range(16)], faststart=True)
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 6 // 10])
    assert len(list(open_source(whole).read())) == 16
    decoded = []
    with pytest.raises(ValueError, match=r"cut\..*: expected 0.64 s of video, .*\(--incomplete\)"):
        decoded += list(open_source(cut).read())
    found: list[Shortfall] = []
    frames = list(open_source(cut).read(found.append))
    assert 5 < len(frames) < 12
    (shortfall,) = found
    assert shortfall.frames == len(frames)
    assert shortfall.decoded == pytest.approx(len(frames) / 25)
    assert shortfall.expected == pytest.approx(0.64)


def test_the_last_frame_of_a_variable_rate_may_be_held(tmp_path: Path) -> None:
    for name in ("v.mkv", "v.mp4"):
        write_video(tmp_path / name, numbered(5), [0.0, 0.04, 0.24, 0.25, 0.9])
        assert len(list(open_source(tmp_path / name).read())) == 5
