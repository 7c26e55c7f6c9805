"""Scores of the bench: means over seeds, gains, and ranks that intervals allow."""

from pathlib import Path

import pytest

from pipeline.bench.scores import score_systems
from pipeline.report.bootstrap import draw_ap, paired_gain
from tests.pipeline.report.test_bootstrap import VIDEOS, matched

COMPARISONS = {"head": ("base", "weak", "close", "absent")}


def test_a_system_is_ranked_above_another_only_if_the_interval_says_so(tmp_path: Path) -> None:
    good = matched(tmp_path / "good", 2.0, [1] * VIDEOS)
    bad = matched(tmp_path / "bad", 12.0, [1] * VIDEOS)
    scores = score_systems({"head": [good], "close": [good], "base": [bad]}, COMPARISONS)
    assert {name: score.ranks for name, score in scores.items()} == {
        "head": (1, 2), "close": (1, 2), "base": (3, 3),
    }  # fmt: skip


def test_gains_are_over_the_baseline_and_the_control_of_the_highest_mean(tmp_path: Path) -> None:
    noises = {"head": 4.0, "base": 12.0, "weak": 9.0, "close": 5.0}
    found = {name: matched(tmp_path / name, noise, [1] * VIDEOS) for name, noise in noises.items()}
    scores = score_systems({name: [each] for name, each in found.items()}, COMPARISONS)
    head = scores["head"]
    assert head.baseline is not None
    assert head.control is not None
    assert (head.baseline.other, head.control.other) == ("base", "close")
    assert head.baseline.gain == paired_gain(draw_ap(found["head"]), draw_ap(found["base"]))
    assert scores["base"].baseline is None
    assert scores["weak"].control is None
    assert head.deviation is None


def test_seeds_are_averaged_in_means_and_in_every_resample(tmp_path: Path) -> None:
    first, second = (matched(tmp_path / str(i), 4.0 + 4 * i, [1] * VIDEOS) for i in range(2))
    base = matched(tmp_path / "base", 12.0, [1] * VIDEOS)
    head = score_systems({"head": [first, second], "base": [base]}, COMPARISONS)["head"]
    drawn = [draw_ap(each) for each in (first, second)]
    assert head.seeds == tuple(float(each.values[0]) for each in drawn)
    assert head.mean == pytest.approx(sum(head.seeds) / 2)
    assert head.deviation == pytest.approx(abs(head.seeds[0] - head.seeds[1]) / 2**0.5)
    assert head.baseline is not None
    one = [paired_gain(each, draw_ap(base)) for each in drawn]
    assert head.baseline.gain.mean == pytest.approx(sum(each.mean for each in one if each) / 2)
    both = score_systems({"head": [first, first], "base": [base]}, COMPARISONS)["head"]
    assert both.baseline is not None
    assert both.baseline.gain.interval == pytest.approx(one[0].interval if one[0] else None)


def test_seeds_on_other_videos_are_refused(tmp_path: Path) -> None:
    found = [matched(tmp_path / str(i), 4.0, [1] * (i + 2)) for i in range(2)]
    with pytest.raises(ValueError, match="expected the same videos for every seed"):
        score_systems({"head": found}, COMPARISONS)
