"""Evaluation of one system on one split: subsets, tables and empty data sets."""

import numpy as np
import pandas as pd
import pytest

from pipeline.core.skeleton import GROUPS, JOINTS
from pipeline.evaluation.evaluation import SplitResult, evaluate_split, hard_frames
from pipeline.evaluation.metrics.error_kinds import KINDS
from pipeline.evaluation.metrics.posetrack_ap import match, score
from pipeline.evaluation.metrics.posetrack_pool import VideoPair, pool
from tests.posetrack_documents import (
    add_person,
    add_prediction,
    document,
    everywhere,
    pair,
    random_pair,
)


def evaluate(pairs: list[VideoPair], share: float = 0.5) -> SplitResult:
    return evaluate_split(pairs, "poseval", hard_share=share, curve_points=5)


def tagged() -> VideoPair:
    """Return two clean frames with a correct prediction and a blurred frame with a wrong one."""
    truth = document(3)
    predicted = document(3)
    for frame, tag in enumerate(("clean", "blurred", "clean")):
        truth["images"][frame]["tag"] = tag
        add_person(truth, frame, everywhere(100, 100), flag=int(frame > 0))
        shift = 500 if tag == "blurred" else 0
        add_prediction(predicted, frame, everywhere(100, 100 + shift), score=0.9 - 0.1 * frame)
    return pair(truth, predicted)


def test_frames_of_each_degradation_are_scored_separately() -> None:
    metrics = evaluate([tagged()]).metrics
    assert set(metrics["tags"]) == {"clean", "blurred"}
    clean, blurred = metrics["tags"]["clean"], metrics["tags"]["blurred"]
    assert (clean["ap_total"], clean["n_frames_used"], clean["n_gt"]) == (100.0, 2, 30)
    assert (blurred["ap_total"], blurred["n_frames_used"], blurred["n_gt"]) == (0.0, 1, 15)
    assert set(clean["groups"]) == {*GROUPS, "Mean"}


def test_visible_and_occluded_joints_are_scored_separately() -> None:
    metrics = evaluate([tagged()]).metrics
    # Occluded: frame 0 alone, found first; the wrong prediction of frame 1 has no partner.
    assert (metrics["occluded"]["ap_total"], metrics["occluded"]["n_gt"]) == (100.0, 15)
    # Visible: frames 1 and 2, of which the wrong one ranks first: recall 1/2 at precision 1/2.
    assert (metrics["visible"]["ap_total"], metrics["visible"]["n_gt"]) == (25.0, 30)


def test_real_data_have_no_tags() -> None:
    files = random_pair(0)
    assert not {"tags", "visible", "occluded"} & set(evaluate([pair(*files)]).metrics)


def test_the_hard_subset_contains_the_frames_where_people_overlap() -> None:
    truth = document(4)
    for frame, gap in enumerate((5000, 30, 5000, 60)):
        for number in range(2):
            add_person(truth, frame, everywhere(0, gap * number, step=5))
            truth["annotations"][-1]["bbox"] = [0, gap * number, 100, 50]
    videos = [pair(truth, document(4))]
    pooled = pool(videos, "poseval")
    assert hard_frames(videos, pooled, 0.25).tolist() == [False, True, False, False]
    # Frames of equal index come in their order, frames that are not scored never.
    assert hard_frames(videos, pooled, 0.5).tolist() == [True, True, False, False]
    alone = add_person(document(4), 2, everywhere(0, 0))
    videos = [pair(alone, document(4))]
    assert hard_frames(videos, pool(videos, "poseval"), 1.0).tolist() == [False, False, True, False]


def test_the_hard_subset_has_the_scores_of_a_data_set_of_its_frames() -> None:
    videos = [pair(*random_pair(seed), str(seed)) for seed in range(4)]
    result = evaluate(videos)
    pooled = pool(videos, "poseval")
    expected = score(match(pooled), hard_frames(videos, pooled, 0.5))
    assert result.hard["n_frames_used"] == expected["n_frames_used"]
    assert result.hard["n_frames_used"] == int(np.ceil(pooled.used.sum() / 2))
    assert result.hard["ap_total"] == pytest.approx(expected["ap_total"], abs=5e-5)


def test_curves_end_at_the_counts_and_have_a_maximum_number_of_points() -> None:
    videos = [pair(*random_pair(seed), str(seed)) for seed in range(6)]
    result = evaluate(videos)
    for joint, curve in result.curves.groupby("joint"):
        place = result.metrics["joints"].index(joint)
        assert len(curve) <= 5
        assert curve["recall"].is_monotonic_increasing
        assert curve["score"].is_monotonic_decreasing
        hits, labels = result.metrics["n_tp"][place], result.metrics["n_gt"][place]
        assert curve["recall"].iloc[-1] == pytest.approx(hits / labels)
        assert curve["precision"].iloc[-1] == pytest.approx(hits / result.metrics["n_pred"][place])


def test_every_video_has_a_row() -> None:
    videos = [pair(*random_pair(seed), str(seed)) for seed in range(4)]
    rows = evaluate(videos).videos
    for row, video in enumerate(videos):
        alone = score(match(pool([video], "poseval")))
        expected = np.nan if alone["ap_total"] is None else alone["ap_total"]
        assert rows["video"][row] == video.name
        assert rows["n_gt"][row] == sum(alone["n_gt"])
        assert np.array_equal(rows["Mean"][row], expected, equal_nan=True)


def test_error_shares_of_a_joint_sum_to_1() -> None:
    videos = [pair(*random_pair(seed), str(seed)) for seed in range(4)]
    errors = evaluate(videos).errors
    assert list(dict.fromkeys(errors["joint"])) == list(JOINTS)
    assert list(dict.fromkeys(errors["kind"])) == list(KINDS)
    assert errors.groupby("joint")["share"].sum().to_numpy() == pytest.approx(np.ones(15))


def test_without_videos_every_score_is_none_and_tables_are_empty() -> None:
    result = evaluate([])
    for metrics in (result.metrics, result.hard):
        assert metrics["ap_total"] is None
        assert metrics["groups"] == dict.fromkeys([*GROUPS, "Mean"])
        assert metrics["oks"] == dict.fromkeys(["AP", "AP50", "AP75", "AR"])
        assert metrics["n_frames_used"] == 0
    assert len(result.videos) == len(result.curves) == 0
    assert result.errors["count"].sum() == 0
    assert pd.api.types.is_integer_dtype(result.videos["n_gt"])
