"""The layers of TAR-ViTPose written with loops, one number at a time.

Slow on purpose: only the weights come from the modules.
"""

import math
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from models.heads.tar.joint_queries import AttentionSum, FeedForwardSum
from tests.models.oracle_vremd import Matrix, Vector, dot, gelu, softmax, times


def plus(first: Vector, second: Vector) -> Vector:
    return [a + b for a, b in zip(first, second, strict=True)]


def affine(weight: Tensor, bias: Tensor) -> Callable[[Vector], Vector]:
    return partial(_affine, weight.tolist(), bias.tolist())


def _affine(weight: Matrix, bias: Vector, vector: Vector) -> Vector:
    return plus(times(weight, vector), bias)


def normalized(norm: nn.LayerNorm, values: Vector) -> Vector:
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values) + norm.eps)
    learned = zip(values, norm.weight.tolist(), norm.bias.tolist(), strict=True)
    return [(value - mean) / deviation * scale + shift for value, scale, shift in learned]


def attention_sum(
    module: AttentionSum, queries: Tensor, context: Tensor, blocked: Tensor
) -> Matrix:
    """LN(q + MHA(q, c)) of one clip, head by head; blocked tokens take no part in the softmax."""
    attention = module.attention
    weights, biases = attention.key_value.weight.chunk(2), attention.key_value.bias.chunk(2)
    to_key, to_value = map(affine, weights, biases)
    to_query = affine(attention.query.weight, attention.query.bias)
    project = affine(attention.project.weight, attention.project.bias)
    keys, values = ([make(token) for token in context.tolist()] for make in (to_key, to_value))
    width = context.shape[1] // attention.heads
    out = []
    for index, query in enumerate(queries.tolist()):
        asked, gathered = to_query(query), Vector()
        read = [m for m in range(len(keys)) if not blocked[index, m]]
        for start in range(0, len(query), width):
            part = slice(start, start + width)
            scores = [dot(asked[part], keys[m][part]) / math.sqrt(width) for m in read]
            shares = softmax(scores)
            gathered += [
                sum(share * values[m][channel] for share, m in zip(shares, read, strict=True))
                for channel in range(start, start + width)
            ]
        out.append(normalized(module.norm, plus(query, project(gathered))))
    return out


def feed_forward_sum(module: FeedForwardSum, tokens: Matrix) -> Matrix:
    """LN(x + MLP(x)) of every token."""
    first, _, second = module.mlp
    inner, outer = (affine(layer.weight, layer.bias) for layer in (first, second))
    return [
        normalized(module.norm, plus(token, outer([gelu(value) for value in inner(token)])))
        for token in tokens
    ]
