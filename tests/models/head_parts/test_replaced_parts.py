"""Replacement of inputs and outputs: what is exchanged, what is measured, what remains."""

import pytest
import torch
from torch import Tensor, nn

from models.head_parts.replaced_parts import (
    Input,
    Output,
    Part,
    Replace,
    another_clips,
    doubled,
    key_frames,
    one,
    run_measured,
    run_replaced,
    sigmoid_one,
    supporting,
    zero,
)


class Split(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x + 1, 2 * x


class Toy(nn.Module):
    """Heatmaps are ``(x + 1) * 10 + 2 x`` of the values ``x`` that a batch holds."""

    def __init__(self) -> None:
        super().__init__()
        self.split = Split()

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        plus, double = self.split(batch["x"])
        return 10 * plus + double


def batch(*values: float) -> dict[str, Tensor]:
    return {"x": torch.tensor(values)[:, None]}


@pytest.mark.parametrize(
    ("replace", "expected"),
    [(zero, 6.0), (one, 16.0), (doubled, 86.0), (another_clips, 66.0)],
)
def test_one_item_of_an_output_is_replaced(replace: Replace, expected: float) -> None:
    toy = Toy()
    part = Part("plus", (Output(toy.split, replace, item=0),))
    assert run_replaced(toy, part, batch(3.0), batch(5.0)).item() == expected
    assert toy(batch(3.0)).item() == 46.0


def test_an_output_that_is_one_value_is_replaced() -> None:
    toy = Toy()
    part = Part("head", (Output(toy, another_clips),))
    assert torch.equal(run_replaced(toy, part, batch(1, 2), batch(2, 1)), toy(batch(2, 1)))


def test_an_input_is_replaced_and_the_batch_is_not() -> None:
    toy, own = Toy(), batch(3.0)
    part = Part("x", (Input("x", another_clips),))
    assert torch.equal(run_replaced(toy, part, own, batch(5.0)), toy(batch(5.0)))
    assert own["x"].item() == 3.0


def test_several_places_are_replaced_at_once() -> None:
    toy = Toy()
    both = (Output(toy.split, zero, item=0), Output(toy.split, another_clips, item=1))
    assert run_replaced(toy, Part("both", both), batch(3.0), batch(5.0)).item() == 10.0


def test_the_measured_values_are_those_of_the_head_as_it_is() -> None:
    toy = Toy()
    parts = [
        Part("item", (Output(toy.split, zero, item=1),)),
        Part("input", (Input("x", zero, read=torch.neg),)),
        Part("both", (Output(toy.split, zero, item=0), Input("x", zero))),
        Part("not measured", (Output(toy.split, zero, item=0, read=None),)),
    ]
    heatmaps, measured = run_measured(toy, parts, batch(3, 5))
    assert torch.equal(heatmaps, toy(batch(3, 5)))
    assert {name: values.tolist() for name, values in measured.items()} == {
        "item": [[6], [10]], "input": [[-3], [-5]], "both": [[4, 3], [6, 5]],
    }  # fmt: skip


def test_no_hook_remains_even_after_an_error() -> None:
    toy = Toy()
    part = Part("plus", (Output(toy.split, zero, item=0),))
    for call in (
        lambda: run_replaced(toy, part, {}, {}),
        lambda: run_measured(toy, [part], {}),
    ):
        with pytest.raises(KeyError):
            call()
        assert not toy.split._forward_hooks


def test_values_of_frames() -> None:
    frames = torch.arange(30.0).view(2, 3, 5)
    assert torch.equal(key_frames(frames, frames), frames[:, [1, 1, 1]])
    assert torch.equal(supporting(frames), frames[:, [0, 2]])
    assert torch.equal(sigmoid_one(frames, frames).sigmoid(), torch.ones(2, 3, 5))
