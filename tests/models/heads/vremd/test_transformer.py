"""The transformer pieces against torch's own layers; a post-norm block sees the scale of tokens."""

import math

import pytest
import torch
from torch import nn

from models.head_parts.attention import MultiHeadAttention
from models.heads.vremd.transformer import PostNormBlock, post_norm_blocks


def test_attention_equals_torchs_multi_head_attention() -> None:
    torch.manual_seed(0)
    ours = MultiHeadAttention(width=12, heads=3)
    reference = nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        reference.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
        reference.out_proj.load_state_dict(ours.project.state_dict())
    queries, context = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    expected = reference(queries, context, context, need_weights=False)[0]
    assert torch.allclose(ours(queries, context), expected, atol=1e-6)


def test_a_block_equals_torchs_post_norm_layer() -> None:
    torch.manual_seed(0)
    block = PostNormBlock(width=12, heads=3, mlp_ratio=2)
    reference = nn.TransformerEncoderLayer(
        12, 3, dim_feedforward=24, dropout=0.0, activation="gelu", batch_first=True
    )
    attention = block.attention
    with torch.no_grad():
        own = reference.self_attn
        own.in_proj_weight.copy_(torch.cat([attention.query.weight, attention.key_value.weight]))
        own.in_proj_bias.copy_(torch.cat([attention.query.bias, attention.key_value.bias]))
        own.out_proj.load_state_dict(attention.project.state_dict())
        reference.linear1.load_state_dict(block.mlp[0].state_dict())
        reference.linear2.load_state_dict(block.mlp[2].state_dict())
    tokens = torch.randn(2, 5, 12)
    assert torch.allclose(block(tokens), reference(tokens), atol=1e-5)


def test_tokens_leave_a_block_with_unit_length_per_channel() -> None:
    torch.manual_seed(0)
    tokens = post_norm_blocks(2, width=16, heads=2, mlp_ratio=2)(5 * torch.randn(3, 4, 16))
    lengths = tokens.norm(dim=-1) / math.sqrt(16)
    assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-3)


def test_a_block_sees_the_scale_of_single_tokens() -> None:
    """A pre-norm block would not: the sum is what a mask on its input has to change."""
    torch.manual_seed(0)
    blocks = post_norm_blocks(1, width=16, heads=2, mlp_ratio=2)
    tokens = torch.randn(1, 6, 16)
    scale = torch.tensor([0.1, 1.0, 1.0, 1.0, 1.0, 3.0])[:, None]
    change = (blocks(tokens * scale) - blocks(tokens)).norm() / blocks(tokens).norm()
    assert change > 0.05


def test_heads_that_do_not_divide_the_width_are_named() -> None:
    with pytest.raises(ValueError, match="5 heads for a width of 12"):
        MultiHeadAttention(width=12, heads=5)


def test_a_depth_of_zero_is_named() -> None:
    with pytest.raises(ValueError, match="at least 1 block, got 0"):
        post_norm_blocks(0, width=12, heads=3, mlp_ratio=2)
