"""PoseTrack AP agrees with the official tools, a literal oracle and results by hand."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.skeleton import GROUPS, JOINTS
from pipeline.evaluation.metrics.posetrack_ap import Curve, Matches, match, score
from pipeline.evaluation.metrics.posetrack_pool import Protocol, pool
from pipeline.maintenance.score import score_folders
from tests.oracle_poseval import posetrack_ap
from tests.posetrack_documents import (
    Document,
    add_person,
    add_prediction,
    as_2017,
    document,
    everywhere,
    pair,
    random_pair,
)

SHARED = Path(__file__).parents[4].parent / "shared"
CASES = sorted(SHARED.glob("eval_cases/*/expected.json"))
GROUP_NAMES = {"Shou": "Shoulder", "Elb": "Elbow", "Wri": "Wrist", "Ankl": "Ankle", "Total": "Mean"}
PROTOCOLS: tuple[Protocol, ...] = ("poseval", "posetrack21")
SEEDS = st.lists(st.integers(0, 10**6), min_size=1, max_size=2)


def matched(videos: list[tuple[Document, Document]], protocol: Protocol = "poseval") -> Matches:
    return match(pool([pair(*files, str(i)) for i, files in enumerate(videos)], protocol))


def same(got: float | None, expected: float | None) -> bool:
    if got is None or expected is None or math.isnan(expected):
        return got is None and (expected is None or math.isnan(expected))
    return math.isclose(got, expected, rel_tol=0, abs_tol=1e-9)


def official(case: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(case.read_text(encoding="utf-8"))
    return values


def has_number_21(case: Path) -> bool:
    """Return whether the official tool gives a number that is the same on all CPUs."""
    values = official(case)
    return not values["tie_sensitive"] and "error" not in values["posetrack21"]


CASES_21 = [case for case in CASES if has_number_21(case)]


def test_the_official_cases_are_present_if_the_shared_material_is() -> None:
    if not SHARED.is_dir():
        pytest.skip("the shared reference material is not beside the project")
    assert len(CASES) >= 12


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.parent.name)
def test_poseval_numbers_are_reproduced(case: Path) -> None:
    expected = official(case)
    got = score_folders(case.parent / "gt", case.parent / "pred", "poseval", oks=False)
    renamed = ["neck" if name == "head_bottom" else name for name in got["joints"]]
    assert renamed == expected["joints"]
    for value, reference in zip(got["ap"], expected["ap_stable"], strict=True):
        assert same(value, reference)
    for name, reference in expected["groups_stable"].items():
        assert same(got["groups"][GROUP_NAMES.get(name, name)], reference)
    assert same(got["ap_total"], expected["ap_stable_total"])
    for name in ("n_gt", "n_pred", "n_tp", "n_frames_used"):
        assert got[name] == expected[name]


@pytest.mark.parametrize("case", CASES_21, ids=lambda case: case.parent.name)
def test_posetrack21_numbers_are_reproduced(case: Path) -> None:
    expected = official(case)
    got = score_folders(case.parent / "gt", case.parent / "pred", "posetrack21", oks=False)
    reference = expected["posetrack21"]
    for name, value in zip(reference["joints"], reference["ap"], strict=True):
        assert same(got["joint_ap"][name], value)
    for name, value in reference["groups"].items():
        assert same(got["groups"][GROUP_NAMES.get(name, name)], value)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.parent.name)
def test_the_number_of_poseval_for_every_single_video_is_reproduced(case: Path) -> None:
    expected = official(case)
    for name, reference in expected["per_sequence_stable"].items():
        files = [official(case.parent / side / f"{name}.json") for side in ("gt", "pred")]
        got = score(matched([(files[0], files[1])]))
        assert same(got["ap_total"], reference["total"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=80, deadline=None, derandomize=True)
@given(seeds=SEEDS)
def test_random_data_sets_agree_with_plain_loops(protocol: Protocol, seeds: list[int]) -> None:
    videos = [random_pair(seed) for seed in seeds]
    expected = posetrack_ap(videos, protocol)
    got = score(matched(videos, protocol))
    assert got["n_frames_used"] == expected["n_frames_used"]
    for name in ("n_gt", "n_pred", "n_tp"):
        assert dict(zip(got["joints"], got[name], strict=True)) == expected[name]
    if expected["n_frames_used"]:
        for name, value in expected["ap"].items():
            assert same(got["joint_ap"][name], value)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seeds=SEEDS)
def test_the_2017_form_of_ground_truth_or_predictions_gives_the_same_result(
    seeds: list[int],
) -> None:
    videos = [random_pair(seed) for seed in seeds]
    expected = score(matched(videos))
    for truth_2017, predicted_2017 in ((True, False), (False, True), (True, True)):
        converted = [
            (
                as_2017(truth, truth=True) if truth_2017 else truth,
                as_2017(predicted, truth=False) if predicted_2017 else predicted,
            )
            for truth, predicted in videos
        ]
        assert score(matched(converted)) == expected


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(seeds=SEEDS)
def test_perfect_predictions_have_an_ap_of_100(protocol: Protocol, seeds: list[int]) -> None:
    videos = []
    for seed in seeds:
        truth, _ = random_pair(seed)
        for row, person in enumerate(truth["annotations"]):
            person["bbox_head"] = [0, 0, 3, 4]
            # Apart from all others, or a twin could take the match, and with every joint.
            person["keypoints"] = [
                v for j in range(17) for v in (1000 * row + 20 * j + 1, 1000 * row + 1, 1)
            ]
        for image in truth["images"]:
            image["ignore_regions_x"] = image["ignore_regions_y"] = []
        predicted = copy.deepcopy(truth)
        for person in predicted["annotations"]:
            person["scores"] = [1.0] * 17
        videos.append((truth, predicted))
    got = score(matched(videos, protocol))
    if sum(got["n_gt"]):
        assert got["ap"] == [100.0] * 15
        assert set(got["groups"].values()) == {100.0}


def test_the_order_of_people_does_not_matter_without_ties() -> None:
    # Every person has one prediction near them, so that no two shares compete.
    rng = np.random.default_rng(0)
    truth, predicted = document(3), document(3)
    for frame in range(3):
        for number in range(6):
            place = 400.0 * number + 50
            add_person(truth, frame, everywhere(100, place))
            near = {n: tuple(p + rng.normal(0, 12, 2)) for n, p in everywhere(100, place).items()}
            add_prediction(predicted, frame, near, score=rng.random())
            add_prediction(predicted, frame, everywhere(5000, place), score=rng.random())
    before = score(matched([(truth, predicted)]))
    assert 0 < min(before["n_tp"]) <= max(before["n_tp"]) < 18
    for _ in range(5):
        rng.shuffle(truth["annotations"])
        rng.shuffle(predicted["annotations"])
        assert score(matched([(truth, predicted)])) == before


def test_the_order_of_videos_does_not_matter_without_ties() -> None:
    rng = np.random.default_rng(0)
    videos = [random_pair(seed) for seed in range(6)]
    for _, predicted in videos:
        for person in predicted["annotations"]:
            person["scores"] = rng.random(17).tolist()
    forward, backward = score(matched(videos)), score(matched(videos[::-1]))
    for a, b in zip(forward["ap"], backward["ap"], strict=True):
        assert same(a, b)


def test_a_monotone_change_of_scores_has_no_effect() -> None:
    videos = [random_pair(seed) for seed in range(6)]
    before = score(matched(videos))
    for _, predicted in videos:
        for person in predicted["annotations"]:
            if "scores" in person:
                person["scores"] = [math.exp(value) - 10 for value in person["scores"]]
    assert score(matched(videos)) == before


def one_person(distance: float, head: tuple[float, float] = (30.0, 40.0)) -> dict[str, Any]:
    truth = add_person(document(1), 0, everywhere(100, 100), head=head)
    predicted = add_prediction(document(1), 0, everywhere(100, 100 + distance))
    return score(matched([(truth, predicted)]))


def test_a_distance_of_exactly_half_a_head_is_correct_and_a_larger_one_is_not() -> None:
    assert one_person(15.0)["ap_total"] == 100.0
    assert one_person(15.000001)["ap_total"] == 0.0


def test_a_head_box_of_zero_size_is_never_matched() -> None:
    got = one_person(0.0, head=(0.0, 0.0))
    assert got["ap_total"] == 0.0
    assert got["n_gt"] == [1] * 15
    assert got["n_tp"] == [0] * 15


def test_a_prediction_that_loses_its_person_stays_unassigned() -> None:
    # Both predictions are nearest to the first person; the second is free and 15 px away.
    truth = add_person(document(1), 0, everywhere(100, 100))
    add_person(truth, 0, everywhere(100, 115))
    predicted = add_prediction(document(1), 0, everywhere(100, 100), score=0.9)
    loser = everywhere(100, 104) | {"nose": (100.0, 112.0)}
    add_prediction(predicted, 0, loser, score=0.8)
    got = score(matched([(truth, predicted)]))
    assert got["n_tp"] == [1] * 15
    # One right of two people, found first: recall 1/2 at precision 1.
    assert got["ap"] == [50.0] * 15


def test_a_predicted_joint_that_is_not_annotated_is_wrong() -> None:
    points = everywhere(100, 100)
    truth = add_person(document(1), 0, {n: p for n, p in points.items() if n != "left_wrist"})
    predicted = add_prediction(document(1), 0, points)
    got = score(matched([(truth, predicted)]))
    assert got["joint_ap"]["left_wrist"] is None
    assert got["groups"]["Wrist"] is None
    assert got["ap_total"] == got["groups"]["Mean"] == 100.0
    as_21 = score(matched([(truth, predicted)], "posetrack21"))
    assert as_21["joint_ap"]["left_wrist"] == 0.0
    assert as_21["groups"]["Wrist"] == 50.0
    assert as_21["ap_total"] == pytest.approx(100 * 14 / 15)


def test_only_poseval_counts_occluded_joints_and_negative_coordinates() -> None:
    points = everywhere(100, 100) | {"nose": (-4.0, 3.0)}
    truth = add_person(document(1), 0, points, flag=0)
    predicted = add_prediction(document(1), 0, points)
    assert score(matched([(truth, predicted)]))["n_gt"] == [1] * 15
    as_21 = score(matched([(truth, predicted)], "posetrack21"))
    assert dict(zip(as_21["joints"], as_21["n_gt"], strict=True))["nose"] == 0


def test_frames_without_annotations_are_dropped_with_their_predictions() -> None:
    truth = add_person(document(2), 0, everywhere(100, 100))
    predicted = add_prediction(document(2), 0, everywhere(100, 100))
    add_prediction(predicted, 1, everywhere(300, 300), score=0.9)
    assert score(matched([(truth, predicted)]))["ap_total"] == 100.0
    # PoseTrack21 looks at is_labeled: the second prediction is wrong and ranks first.
    as_21 = score(matched([(truth, predicted)], "posetrack21"))
    assert as_21["n_frames_used"] == 2
    assert as_21["ap_total"] == 50.0


def test_missing_scores_rank_below_all_others() -> None:
    truth = add_person(document(1), 0, everywhere(100, 100))
    predicted = add_prediction(document(1), 0, everywhere(100, 100))
    add_prediction(predicted, 0, everywhere(400, 400), score=-5000.0)
    predicted["annotations"][0]["scores"] = []
    assert score(matched([(truth, predicted)]))["ap_total"] == 50.0


def test_ap_is_zero_without_predictions_and_none_without_frames() -> None:
    truth = add_person(document(1), 0, everywhere(100, 100))
    assert score(matched([(truth, document(1))]))["ap"] == [0.0] * 15
    nothing = score(matched([(document(1), document(1))]))
    assert nothing["ap"] == [None] * 15
    assert nothing["ap_total"] is None
    assert score(matched([]))["groups"] == dict.fromkeys([*GROUPS, "Mean"])


def test_a_person_without_a_head_box_is_named() -> None:
    truth = add_person(document(2), 1, everywhere(100, 100))
    truth["annotations"][0]["bbox_head"] = []
    predicted = add_prediction(document(2), 1, everywhere(100, 100))
    with pytest.raises(ValueError, match=r"0: frame 1: expected a head box .* add the box"):
        matched([(truth, predicted)])
    assert score(matched([(truth, document(2))]))["ap_total"] == 0.0


def test_joints_that_are_not_counted_are_removed_with_their_predictions() -> None:
    truth = add_person(document(1), 0, everywhere(100, 100))
    start = 3 * 9  # left wrist
    truth["annotations"][0]["keypoints"][start + 2] = 0
    predicted = add_prediction(document(1), 0, everywhere(100, 100), score=0.9)
    add_prediction(predicted, 0, everywhere(500, 500), score=0.5)
    matches = matched([(truth, predicted)])
    visible = matches.pool.truth.visible
    assert visible.sum() == 14
    shown, hidden = score(matches, joints=visible), score(matches, joints=~visible)
    counts = dict(zip(shown["joints"], shown["n_pred"], strict=True))
    assert (counts["left_wrist"], counts["nose"]) == (1, 2)
    counts = dict(zip(hidden["joints"], hidden["n_pred"], strict=True))
    assert (counts["left_wrist"], counts["nose"]) == (2, 1)
    assert hidden["joint_ap"]["left_wrist"] == 100.0
    assert hidden["joint_ap"]["nose"] is None


def test_a_prediction_without_partner_is_wrong_for_every_selection_of_joints() -> None:
    truth = add_person(document(1), 0, everywhere(100, 100), flag=0)
    matches = matched([(truth, add_prediction(document(1), 0, everywhere(500, 500)))])
    assert matches.partner.tolist() == [-1]
    nothing = np.zeros((1, 15), bool)
    assert score(matches, joints=nothing)["n_pred"] == [1] * 15


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_a_subset_of_frames_has_the_scores_of_a_file_of_these_frames(seed: int) -> None:
    truth, predicted = random_pair(seed)
    chosen = np.random.default_rng(seed).random(len(truth["images"])) < 0.5
    got = score(matched([(truth, predicted)]), frames=chosen)
    for file in (truth, predicted):
        kept = {image["id"] for image, keep in zip(file["images"], chosen, strict=True) if keep}
        file["annotations"] = [a for a in file["annotations"] if a["image_id"] in kept]
    assert got == score(matched([(truth, predicted)]))


def test_the_area_is_the_area_under_the_envelope() -> None:
    # right, wrong, right of two: precision 1, 1/2, 2/3; envelope 1 to recall 1/2, then 2/3.
    curve = Curve(
        scores=np.array([0.9, 0.8, 0.7]),
        recall=np.array([0.5, 0.5, 1.0]),
        precision=np.array([1.0, 0.5, 2 / 3]),
        n_gt=2,
        n_tp=2,
    )
    assert curve.area() == pytest.approx(100 * (0.5 + 0.5 * 2 / 3))


def test_the_scores_list_every_joint_once() -> None:
    got = one_person(0.0)
    assert sorted(got["joints"]) == sorted(JOINTS)
    assert list(got["joint_ap"]) == got["joints"]
