"""Length and learning rate of a run, compared with values computed by hand."""

import pytest
from pydantic import ValidationError

from pipeline.core.schedule import Training

PAPER = {
    "epochs": 20, "steps": 0, "batch": 30, "lr": 1e-4, "weight_decay": 0.01,
    "milestones": [5, 10, 15], "decay": 0.1, "warm_up": 0, "clip": 0.0, "seed": 0,
}  # fmt: skip


def test_milestones_are_in_epochs_if_the_length_is() -> None:
    training = Training(**PAPER)
    assert training.total_steps(7) == 140
    rates = [training.rate(step, 7) for step in range(140)]
    expected = [1e-4] * 35 + [1e-5] * 35 + [1e-6] * 35 + [1e-7] * 35
    assert rates == pytest.approx(expected, rel=1e-9)


def test_milestones_are_in_steps_if_the_length_is() -> None:
    training = Training(**PAPER | {"epochs": 0, "steps": 12, "milestones": [4, 10]})
    assert training.total_steps(7) == 12
    rates = [training.rate(step, 7) for step in range(12)]
    assert rates == pytest.approx([1e-4] * 4 + [1e-5] * 6 + [1e-6] * 2, rel=1e-9)


def test_the_warm_up_is_linear() -> None:
    training = Training(**PAPER | {"warm_up": 4, "milestones": []})
    rates = [training.rate(step, 7) / 1e-4 for step in range(6)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 5}, "give epochs or steps"),
        ({"milestones": [10, 5]}, "increasing numbers up to 20"),
        ({"milestones": [25]}, "increasing numbers up to 20"),
        ({"decay": 0.0}, "greater than 0"),
        ({"batch": 0}, "greater than or equal to 1"),
        ({"lr": "1e-4"}, "valid number"),
        ({"lr": 1e300}, "less than or equal to 10"),
    ],
)
def test_invalid_parameters_raise_an_error(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Training(**PAPER | changes)


def test_nothing_is_trained_without_epochs_and_steps() -> None:
    assert Training(**PAPER | {"epochs": 0}).total_steps(7) == 0
