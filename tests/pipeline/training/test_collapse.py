"""The share of a part that varies between clips, accumulated over batches."""

import math

import numpy as np
import pytest
import torch

from pipeline.training.collapse import ClipSpread, across_clip_share


def spread_of(*batches: torch.Tensor) -> float:
    spread = ClipSpread()
    for batch in batches:
        spread.add(batch)
    return spread.share()


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_the_share_of_batches_is_that_of_all_clips_by_numpy(offset: float) -> None:
    values = torch.randn(11, 3, 5, generator=torch.Generator().manual_seed(0)) + offset
    flat = values.double().flatten(1).numpy()
    expected = np.sqrt(flat.var(axis=0).mean()) / flat.std()
    assert spread_of(*values.split(4)) == pytest.approx(expected, rel=1e-6)
    assert across_clip_share(values) == pytest.approx(expected, rel=1e-6)


def test_the_share_of_equal_clips_is_exactly_zero() -> None:
    one_clip = torch.randn(1, 7, 3)
    assert spread_of(one_clip.expand(5, -1, -1), one_clip.expand(3, -1, -1)) == 0
    assert spread_of(torch.zeros(4, 2)) == 0


def test_one_clip_has_no_share() -> None:
    assert math.isnan(spread_of(torch.randn(1, 3)))
    assert math.isnan(spread_of())
