"""The history of a run is the same in memory, as a tensor and as CSV."""

from pathlib import Path

import pytest
import torch

from pipeline.training.history import History


def noted(steps: int) -> History:
    history = History()
    for step in range(steps):
        terms = {"heatmap": torch.tensor(0.5 + step), "auxiliary": torch.tensor(0.25)}
        history.add(step + 1, step // 2, 1e-3, terms)
    history.append_pending(history.pending_losses())
    return history


def test_rows_are_restored_from_the_tensor_of_a_checkpoint(tmp_path: Path) -> None:
    history = noted(4)
    again = History(history.columns, history.to_tensor())
    assert len(again) == 4
    history.write(tmp_path / "one.csv")
    again.write(tmp_path / "two.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert (tmp_path / "one.csv").read_text().splitlines()[:2] == [
        "step,epoch,lr,heatmap,auxiliary,loss",
        "1,0,0.001,0.5,0.25,0.75",
    ]


def test_pending_steps_count_before_they_are_settled() -> None:
    history = noted(2)
    history.add(3, 1, 1e-3, {"heatmap": torch.tensor(1.0), "auxiliary": torch.tensor(1.0)})
    assert len(history) == 3
    assert len(history.to_tensor()) == 2


def test_the_lowest_held_out_loss_is_reported_and_the_column_appears(tmp_path: Path) -> None:
    history = noted(2)
    assert history.record_held_out(2.0)
    history.add(3, 1, 1e-3, {"heatmap": torch.tensor(1.0), "auxiliary": torch.tensor(0.5)})
    history.append_pending(history.pending_losses())
    assert not history.record_held_out(3.0)
    history.write(tmp_path / "history.csv")
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0].endswith("loss,held_out")
    assert [line.rsplit(",", 1)[1] for line in lines[1:]] == ["", "2", "3"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_named(value: float) -> None:
    history = History()
    history.add(7, 0, 1e-3, {"heatmap": torch.tensor(value)})
    with pytest.raises(ValueError, match="step 7: expected a finite loss, got heatmap"):
        history.append_pending(history.pending_losses())


def test_a_run_without_steps_has_a_header(tmp_path: Path) -> None:
    History().write(tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text() == "step,epoch,lr\n"
