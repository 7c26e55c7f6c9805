"""Seed ranges, names and label patterns of rendered videos."""

import re
from itertools import combinations

import pytest

from pipeline.synthetic.dataset import SEED_RANGES, VideoSpec, video_specs


def test_ranges_of_seeds_do_not_overlap() -> None:
    for (first, one), (second, other) in combinations(SEED_RANGES.items(), 2):
        assert one.stop <= other.start or other.stop <= one.start, (first, second)


def test_every_name_has_the_form_that_poseval_reads() -> None:
    # poseval, evaluate.py: the file's stem must be NNNNNN_{mpii|bonn|mpiinew}_...
    for seeds in SEED_RANGES.values():
        for seed in (seeds[0], seeds[-1]):
            assert re.fullmatch(r"\d{6}_mpii_[a-z]+", VideoSpec(seed).name)
            assert VideoSpec(seed).name.startswith(str(seed))


def test_specs_are_consecutive_seeds_of_the_range() -> None:
    specs = video_specs("val", 3, first=5, frames=7, height=96, width=128)
    assert [spec.seed for spec in specs] == [SEED_RANGES["val"][5 + index] for index in range(3)]
    assert {(spec.frames, spec.height, spec.width) for spec in specs} == {(7, 96, 128)}
    assert video_specs("val", 0) == ()


def test_an_unknown_range_is_named() -> None:
    with pytest.raises(ValueError, match="got 'test'"):
        video_specs("test", 1)


@pytest.mark.parametrize(("first", "count"), [(-1, 1), (0, -1), (9_999, 2), (10_000, 1)])
def test_videos_beyond_a_range_are_refused(first: int, count: int) -> None:
    with pytest.raises(ValueError, match=rf"seed range val: .*got {count} from {first}"):
        video_specs("val", count, first=first)


def test_a_spec_without_frames_or_with_a_tiny_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="frames=0"):
        VideoSpec(1, frames=0)
    with pytest.raises(ValueError, match="height=20"):
        VideoSpec(1, height=20)
    with pytest.raises(ValueError, match="label_step=0"):
        VideoSpec(1, label_step=0)


def test_the_middle_is_labeled_densely_and_the_rest_every_fourth_frame() -> None:
    spec = VideoSpec(1, frames=24, label_run=6, label_step=4)
    labeled = [frame for frame in range(24) if spec.labeled(frame)]
    assert labeled == [0, 4, 8, 9, 10, 11, 12, 13, 14, 16, 20]


def test_a_step_of_one_labels_every_frame() -> None:
    assert all(VideoSpec(1, frames=5, label_run=0, label_step=1).labeled(f) for f in range(5))
