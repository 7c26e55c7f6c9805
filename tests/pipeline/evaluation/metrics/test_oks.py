"""OKS AP: official values of pycocotools on files, a literal OKS, and checks of the input."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.skeleton import OKS_SIGMAS, SLOTS
from pipeline.evaluation.metrics.oks import oks_ap
from pipeline.evaluation.metrics.posetrack_pool import read_pairs
from tests.posetrack_documents import (
    add_person,
    add_prediction,
    as_2017,
    document,
    everywhere,
    pair,
)

SHARED = Path(__file__).parents[4].parent / "shared"
CASES = sorted(SHARED.glob("eval_cases/*/expected_coco.json"))


def perfect() -> object:
    return pytest.approx(dict.fromkeys(("AP", "AP50", "AP75", "AR"), 100.0))


def test_the_official_values_are_present_if_the_shared_material_is() -> None:
    if not SHARED.is_dir():
        pytest.skip("the shared reference material is not beside the project")
    assert len(CASES) >= 11


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.parent.name)
def test_official_values_are_reproduced(case: Path) -> None:
    expected: dict[str, Any] = json.loads(case.read_text(encoding="utf-8"))["stats"]
    got = oks_ap(read_pairs(case.parent / "gt", case.parent / "pred"))
    assert got is not None
    for name, value in got.items():
        assert value == pytest.approx(100 * expected[name], abs=1e-9)


def test_a_person_of_one_joint_and_an_empty_box_is_scored() -> None:
    points = {"nose": (100.0, 100.0)}
    truth = add_person(document(1), 0, points)
    truth["annotations"][0]["bbox"] = [100.0, 100.0, 0.0, 0.0]
    assert oks_ap([pair(truth, add_prediction(document(1), 0, points))]) == perfect()


def moved(similarity: float) -> dict[str, float | None] | None:
    """Return the values for one person whose joints all have the same keypoint similarity."""
    points = everywhere(100, 100)
    truth = add_person(document(1), 0, points)
    area = 100 * 200
    distances = np.sqrt(-2 * area * np.log(similarity)) * 2 * OKS_SIGMAS
    predicted = add_prediction(
        document(1), 0, {n: (x, y + distances[SLOTS.index(n)]) for n, (x, y) in points.items()}
    )
    return oks_ap([pair(truth, predicted)])


@pytest.mark.parametrize(("similarity", "thresholds"), [(1.0, 10), (0.77, 6), (0.52, 1), (0.4, 0)])
def test_ap_counts_the_thresholds_below_the_oks(similarity: float, thresholds: int) -> None:
    got = moved(similarity)
    assert got is not None
    assert got["AP"] == pytest.approx(10 * thresholds)
    assert got["AP50"] == pytest.approx(100 if thresholds else 0)
    assert got["AR"] == pytest.approx(10 * thresholds)


def test_predictions_in_frames_without_annotations_are_dropped() -> None:
    truth = add_person(document(2), 1, everywhere(100, 100))
    predicted = add_prediction(document(2), 0, everywhere(100, 100), score=0.9)
    add_prediction(predicted, 1, everywhere(100, 100), score=0.5)
    assert oks_ap([pair(truth, predicted)]) == perfect()


def test_only_the_selected_frames_are_counted() -> None:
    truth = add_person(document(2), 0, everywhere(100, 100))
    add_person(truth, 1, everywhere(100, 100))
    predicted = add_prediction(document(2), 1, everywhere(100, 100))
    both, second = [pair(truth, predicted)] * 2, np.array([False, True, False, False])
    assert oks_ap(both, second) == perfect()
    assert oks_ap(both, ~second)["AR"] == pytest.approx(100 / 3)  # type: ignore[index]


def test_predictions_are_ranked_by_person_score_or_else_mean_joint_score() -> None:
    truth = add_person(document(1), 0, everywhere(100, 100))
    predicted = add_prediction(document(1), 0, everywhere(100, 100), score=0.2)
    add_prediction(predicted, 0, everywhere(900, 900), score=0.8)
    ranked = oks_ap([pair(truth, predicted)])
    assert ranked is not None
    assert ranked["AP"] == pytest.approx(50)
    for person in predicted["annotations"]:
        del person["score"]
    assert oks_ap([pair(truth, predicted)]) == ranked


def test_a_form_without_person_boxes_has_no_oks() -> None:
    truth = add_person(document(1), 0, everywhere(100, 100))
    predicted = add_prediction(document(1), 0, everywhere(100, 100))
    assert oks_ap([pair(as_2017(truth, truth=True), predicted)]) is None
    assert oks_ap([pair(truth, as_2017(predicted, truth=False))]) is not None
    truth["annotations"][0]["bbox"] = []
    assert oks_ap([pair(truth, predicted)]) is None


def test_values_are_none_without_labeled_people_and_zero_without_predictions() -> None:
    nothing = dict.fromkeys(("AP", "AP50", "AP75", "AR"))
    assert oks_ap([]) == nothing
    assert oks_ap([pair(document(1), document(1))]) == nothing
    headless = add_person(document(1), 0, {})
    headless["annotations"][0]["bbox"] = []
    assert oks_ap([pair(headless, document(1))]) == nothing
    truth = add_person(document(1), 0, everywhere(100, 100))
    assert oks_ap([pair(truth, document(1))]) == dict.fromkeys(nothing, 0.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("field", ["keypoints", "person_scores"])
def test_values_that_are_not_finite_are_refused(field: str, value: float) -> None:
    truth = add_person(document(1), 0, everywhere(100, 100))
    files = pair(truth, add_prediction(document(1), 0, everywhere(500, 500)))
    values = getattr(files.predicted.people, field)
    values[0] = value
    if field == "person_scores" and np.isnan(value):
        files.predicted.people.scores[:] = value
    broken = replace(files, predicted=files.predicted)
    with pytest.raises(ValueError, match="a: frame 0: expected finite keypoints and scores"):
        oks_ap([broken])


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    moved(0.9)
    assert capsys.readouterr().out == ""
