"""The selection of people agrees with a count of joints one by one."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation.metrics.posetrack_ap import Matches
from pipeline.report.showcase import HEIGHT, found_share, most_changed, side_by_side
from tests.pipeline.report.test_bootstrap import VIDEOS, matched


def literal_share(matches: Matches, person: int) -> float:
    pool = matches.pool
    hits = 0
    for row, partner in enumerate(matches.partner):
        if partner != person:
            continue
        for joint in range(15):
            if not (pool.truth.exists[person, joint] and pool.predicted.exists[row, joint]):
                continue
            offset = pool.predicted.joints[row, joint] - pool.truth.joints[person, joint]
            hits += bool(np.hypot(*offset) / pool.truth.head[person] <= 0.5)
    return hits / pool.truth.exists[person].sum()


@pytest.fixture
def good_and_bad(tmp_path: Path) -> tuple[Matches, Matches]:
    good = matched(tmp_path / "good", 4.0, [1] * VIDEOS)
    return good, matched(tmp_path / "bad", 9.0, [1] * VIDEOS)


def test_the_share_of_correct_joints_agrees_with_a_plain_count(
    good_and_bad: tuple[Matches, Matches],
) -> None:
    for matches in good_and_bad:
        people = range(len(matches.pool.truth.frame))
        assert found_share(matches) == pytest.approx([literal_share(matches, p) for p in people])


def test_people_are_sorted_by_their_change(good_and_bad: tuple[Matches, Matches]) -> None:
    good, bad = good_and_bad
    change = found_share(good) - found_share(bad)
    chosen = most_changed(good, bad, 3)
    assert change[chosen["improved"][0]] == change.max() > 0
    assert (change[chosen["worsened"]] < 0).all()
    assert found_share(good)[chosen["worst"][0]] == found_share(good).min()


def test_a_picture_shows_the_labels_and_every_system(good_and_bad: tuple[Matches, Matches]) -> None:
    good, bad = good_and_bad
    blank = np.full((240, 240, 3), 90, np.uint8)
    shown = side_by_side({"bad": bad, "good": good}, 0, lambda *_: blank)
    assert shown.shape[0] == HEIGHT
    thirds = np.array_split(shown, 3, axis=1)
    assert all((part != 90).any() for part in thirds)
    assert not np.array_equal(thirds[1][:, :40], thirds[2][:, :40])
