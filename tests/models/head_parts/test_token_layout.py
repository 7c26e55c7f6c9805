"""The layout of tokens: row-major maps and refused shapes."""

import re

import pytest
import torch

from models.head_parts.token_layout import check_tokens, to_map, to_tokens


def test_a_map_holds_the_tokens_row_by_row() -> None:
    tokens = torch.arange(2 * 12 * 5).view(2, 12, 5)
    token_map = to_map(tokens, (3, 4))
    for row in range(3):
        for column in range(4):
            assert torch.equal(token_map[:, :, row, column], tokens[:, row * 4 + column])


def test_tokens_return_from_their_map() -> None:
    tokens = torch.randn(2, 12, 5)
    assert torch.equal(to_tokens(to_map(tokens, (3, 4))), tokens)


@pytest.mark.parametrize("shape", [(2, 5, 12, 8), (2, 3, 11, 8), (2, 3, 12, 9), (3, 12, 8)])
def test_other_tokens_than_expected_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"(any, 3, 12, 8), got {shape}")):
        check_tokens(torch.zeros(shape), frames=3, grid=(3, 4), embed_dim=8)


def test_the_expected_tokens_pass() -> None:
    check_tokens(torch.zeros(2, 3, 12, 8), frames=3, grid=(3, 4), embed_dim=8)
