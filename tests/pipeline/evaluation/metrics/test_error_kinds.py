"""Kinds of error: single moved joints, and random frames against a literal implementation."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.core.posetrack import posetrack18
from pipeline.core.skeleton import JOINT_SLOTS, JOINTS, OKS_SIGMAS, mirrored
from pipeline.evaluation.metrics.error_kinds import KINDS, LEAST_OKS, count_errors, frame_errors
from pipeline.evaluation.metrics.posetrack_pool import VideoPair
from tests.posetrack_documents import add_person, add_prediction, document, everywhere, random_pair

AREA = 20_000.0
SIGMAS = OKS_SIGMAS[JOINT_SLOTS]
WRIST, KNEE, NOSE = (JOINTS.index(name) for name in ("left_wrist", "right_knee", "nose"))


def spread(count: int) -> NDArray[np.float64]:
    """Return people whose joints are far from each other."""
    grid = np.stack(np.meshgrid(np.arange(15.0), np.arange(float(count))), axis=-1)
    return grid * 2_000


def radius(joint: int, similarity: float) -> float:
    """Return the distance at which a joint has a keypoint similarity."""
    return float(np.sqrt(-2 * AREA * np.log(similarity)) * 2 * SIGMAS[joint])


def kinds_of(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> NDArray[np.int64]:
    shown = np.ones(truth.shape[:2], bool)
    return frame_errors(
        (truth, shown, np.full(len(truth), AREA)),
        (predicted, np.ones(predicted.shape[:2], bool), np.arange(len(predicted), 0.0, -1.0)),
    )


@pytest.mark.parametrize(
    ("similarity", "kind"),
    [(1.0, "good"), (0.86, "good"), (0.84, "jitter"), (0.51, "jitter"), (0.49, "miss")],
)
@pytest.mark.parametrize("joint", [WRIST, KNEE, NOSE])
def test_the_distance_decides_between_good_jitter_and_miss(
    similarity: float, kind: str, joint: int
) -> None:
    truth = spread(2)
    predicted = truth.copy()
    predicted[0, joint, 1] += radius(joint, similarity)
    kinds = kinds_of(truth, predicted)
    assert KINDS[kinds[0, joint]] == kind
    assert (np.delete(kinds[0], joint) == 0).all()
    assert (kinds[1] == 0).all()


def test_the_mirrored_joint_is_an_inversion_and_another_joint_a_miss() -> None:
    truth = spread(1)
    predicted = truth.copy()
    predicted[0, WRIST] = truth[0, JOINTS.index("right_wrist")]
    predicted[0, KNEE] = truth[0, JOINTS.index("left_hip")]
    kinds = kinds_of(truth, predicted)
    assert KINDS[kinds[0, WRIST]] == "inversion"
    assert KINDS[kinds[0, KNEE]] == "miss"


@pytest.mark.parametrize("other", ["left_wrist", "right_wrist"])
def test_the_same_or_mirrored_joint_of_another_person_is_a_swap(other: str) -> None:
    truth = spread(2)
    predicted = truth.copy()
    predicted[0, WRIST] = truth[1, JOINTS.index(other)]
    assert KINDS[kinds_of(truth, predicted)[0, WRIST]] == "swap"


def test_people_without_a_prediction_are_undetected_and_false_positives_have_no_effect() -> None:
    truth = spread(2)
    nobody = np.zeros((0, 15, 2))
    assert (kinds_of(truth, nobody) == KINDS.index("undetected")).all()
    one = np.concatenate([truth[1:], truth[1:] + 5e6])
    kinds = kinds_of(truth, one)
    assert (kinds[0] == KINDS.index("undetected")).all()
    assert (kinds[1] == 0).all()


def test_the_prediction_with_the_higher_score_is_matched() -> None:
    truth = spread(1)
    worse = truth.copy()
    worse[0, WRIST] += 900
    assert (kinds_of(truth, np.concatenate([truth, worse])) == 0).all()
    assert KINDS[kinds_of(truth, np.concatenate([worse, truth]))[0, WRIST]] == "miss"


def test_a_joint_without_prediction_is_a_miss_and_a_joint_without_label_is_not_counted() -> None:
    truth = spread(1)
    shown, given_joints = np.ones((1, 15), bool), np.ones((1, 15), bool)
    shown[0, NOSE] = given_joints[0, KNEE] = False
    kinds = frame_errors((truth, shown, np.array([AREA])), (truth, given_joints, np.ones(1)))
    assert kinds[0, NOSE] == -1
    assert KINDS[kinds[0, KNEE]] == "miss"


def literal_similarity(pair: VideoPair, guess: int, joint: int, owner: int, place: int) -> float:
    truth, predicted = pair.truth.people, pair.predicted.people
    if not truth.present[owner, JOINT_SLOTS[place]]:
        return -1.0
    here = predicted.keypoints[guess, JOINT_SLOTS[joint], :2]
    offset = here - truth.keypoints[owner, JOINT_SLOTS[place], :2]
    area = truth.boxes_xywh[owner, 2] * truth.boxes_xywh[owner, 3]
    return float(np.exp(-(offset @ offset) / (2 * area * (2 * SIGMAS[joint]) ** 2)))


def literal_oks(pair: VideoPair, guess: int, owner: int) -> float:
    shown = [j for j in range(15) if pair.truth.people.present[owner, JOINT_SLOTS[j]]]
    given_joints = [j for j in shown if pair.predicted.people.present[guess, JOINT_SLOTS[j]]]
    values = [literal_similarity(pair, guess, j, owner, j) for j in given_joints]
    return sum(values) / max(len(shown), 1)


def literal_kind(pair: VideoPair, guess: int, joint: int, own: int, owners: list[int]) -> str:
    mirror = JOINTS.index(mirrored(JOINTS[joint]))
    right = literal_similarity(pair, guess, joint, own, joint)
    inverse = literal_similarity(pair, guess, joint, own, mirror)
    swapped = [
        literal_similarity(pair, guess, joint, owner, place)
        for owner in owners
        for place in (joint, mirror)
        if owner != own
    ]
    most = max(right, inverse, *swapped)
    if not pair.predicted.people.present[guess, JOINT_SLOTS[joint]] or most < 0.5:
        return "miss"
    if most == right:
        return "good" if right >= 0.85 else "jitter"
    return "inversion" if most == inverse else "swap"


def literal_kinds(pair: VideoPair, frame: int) -> dict[tuple[int, int], str]:
    """Classify the joints of one frame one by one, following the text of the paper."""
    truth, predicted = pair.truth.people, pair.predicted.people
    owners = [int(row) for row in np.flatnonzero(truth.frame == frame)]
    guesses = [int(row) for row in np.flatnonzero(predicted.frame == frame)]
    labels = [(o, j) for o in owners for j in range(15) if truth.present[o, JOINT_SLOTS[j]]]
    kinds = dict.fromkeys(labels, "undetected")
    free = list(owners)
    for guess in sorted(guesses, key=lambda row: -predicted.person_scores[row]):
        best = max(free, key=lambda owner: literal_oks(pair, guess, owner), default=None)
        if best is not None and literal_oks(pair, guess, best) >= LEAST_OKS:
            free.remove(best)
            for owner, joint in labels:
                if owner == best:
                    kinds[owner, joint] = literal_kind(pair, guess, joint, best, owners)
    return kinds


@settings(max_examples=50, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_random_frames_agree_with_the_literal_implementation(seed: int) -> None:
    files = random_pair(seed)
    rng = np.random.default_rng(seed)
    for person in files[0]["annotations"]:
        person["bbox"] = [0, 0, *rng.integers(20, 120, 2).tolist()]
    for person in files[1]["annotations"]:
        person["score"] = rng.random()
    parsed = [posetrack18.parse(f, Path("a"), truth=f is files[0]) for f in files]
    pair = VideoPair("a", *parsed)
    used = rng.random(len(parsed[0].file_names)) < 0.8
    expected = np.zeros((15, len(KINDS)), dtype=int)
    for frame in np.flatnonzero(used):
        for (_, joint), kind in literal_kinds(pair, int(frame)).items():
            expected[joint, KINDS.index(kind)] += 1
    assert np.array_equal(count_errors([pair], [used]), expected)


def test_every_label_is_counted_once() -> None:
    truth = add_person(document(2), 0, everywhere(100, 100))
    add_person(truth, 1, {"nose": (5.0, 5.0)})
    predicted = add_prediction(document(2), 0, everywhere(100, 100))
    parsed = [posetrack18.parse(f, Path("a"), truth=f is truth) for f in (truth, predicted)]
    counts = count_errors([VideoPair("a", *parsed)], [np.ones(2, bool)])
    assert counts.sum() == 16
    assert counts[:, KINDS.index("good")].tolist() == [1] * 15
    assert counts[NOSE, KINDS.index("undetected")] == 1
