"""VREMD's Equations 1 to 4 written as the paper writes them: loops, one number at a time.

Slow on purpose, in plain Python on nested lists: nothing here shares code with the networks.
The constants that the paper leaves out (models/heads/vremd/human_keypoint_mask.py) are arguments.
"""

import math

from torch import Tensor

Vector = list[float]
Matrix = list[Vector]


def dot(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def times(matrix: Matrix, vector: Vector) -> Vector:
    return [dot(row, vector) for row in matrix]


def softmax(values: Vector) -> Vector:
    powers = [math.exp(value - max(values)) for value in values]
    return [power / sum(powers) for power in powers]


def human_masked(visual: Matrix, human: Vector) -> Matrix:
    """Eq. 1 for one frame: each visual token times the squashed product with the human token."""
    masked = []
    for token in visual:
        score = dot(token, human) / math.sqrt(len(human))
        masked.append([value / (1 + math.exp(-score)) for value in token])
    return masked


def keypoint_mask(visual: Matrix, keypoints: Matrix) -> Vector:
    """Eq. 2: per joint token a softmax over all visual tokens; then the sum over joint tokens."""
    mask = [0.0] * len(visual)
    for joint in keypoints:
        logits = [dot(joint, token) / math.sqrt(len(joint)) for token in visual]
        for position, weight in enumerate(softmax(logits)):
            mask[position] += weight
    return [weight * len(visual) / len(keypoints) for weight in mask]


def bilinear(tokens: Matrix, grid: tuple[int, int], x: float, y: float) -> Vector:
    """Read a token map at a fractional place; a neighbor beyond the map counts as 0."""
    rows, columns = grid
    out = [0.0] * len(tokens[0])
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < rows and 0 <= column < columns:
                weight = (1 - abs(y - row)) * (1 - abs(x - column))
                token = tokens[row * columns + column]
                out = [value + weight * part for value, part in zip(out, token, strict=True)]
    return out


def convolve_3x3(tokens: Matrix, grid: tuple[int, int], weight: list, bias: Vector) -> Matrix:
    """Convolve a token map with ``weight[out][in][3][3]``, zeros around it."""
    rows, columns = grid
    out = []
    for row in range(rows):
        for column in range(columns):
            values = list(bias)
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    y, x = row + dy, column + dx
                    if 0 <= y < rows and 0 <= x < columns:
                        for channel, kernel in enumerate(weight):
                            values[channel] += sum(
                                plane[dy + 1][dx + 1] * value
                                for plane, value in zip(
                                    kernel, tokens[y * columns + x], strict=True
                                )
                            )
            out.append(values)
    return out


def gelu(value: float) -> float:
    return value * 0.5 * (1 + math.erf(value / math.sqrt(2)))


def deformable_cross_attention(
    motion: Matrix,
    enhanced: Matrix,
    weights: dict[str, Tensor],
    *,
    grid: tuple[int, int],
    heads: int,
    offset_range: float,
) -> tuple[Matrix, list[list[list[Vector]]]]:
    """Eqs. 3 and 4 head by head, W_k and W_v applied after the sampling, as printed.

    Returns:
        The tokens ``[N][D]`` and the points ``[heads][N][P]`` as (x, y).
    """
    width = len(motion[0]) // heads
    out: Matrix = [[] for _ in motion]
    all_points = []
    for head in range(heads):
        rows = slice(head * width, (head + 1) * width)
        w_q, w_z = (
            weights["query.weight"][rows].tolist(),
            weights["constraint.weight"][rows].tolist(),
        )
        w_k, w_v = (half[rows].tolist() for half in weights["key_value.weight"].chunk(2))
        q = [times(w_q, x) for x in motion]
        z = [times(w_z, f) for f in enhanced]
        psi = convolve_3x3(
            [a + b for a, b in zip(q, z, strict=True)],
            grid,
            weights["offset_features.weight"][rows].tolist(),
            weights["offset_features.bias"][rows].tolist(),
        )
        start = weights["places.start"][head].tolist()
        outputs = 2 * len(start)
        theta = weights["offsets.weight"][head * outputs : (head + 1) * outputs, :, 0, 0].tolist()
        points = []
        for n in range(len(motion)):
            raw = times(theta, [gelu(value) for value in psi[n]])
            p_z = (n % grid[1], n // grid[1])
            points.append(
                [
                    [
                        p_z[axis] + offset_range * math.tanh(raw[2 * p + axis] + start[p][axis])
                        for axis in (0, 1)
                    ]
                    for p in range(len(start))
                ]
            )
            sampled = [bilinear(motion, grid, *point) for point in points[n]]
            attention = softmax([dot(q[n], times(w_k, s)) / math.sqrt(width) for s in sampled])
            values = [times(w_v, s) for s in sampled]
            out[n] += [
                sum(a * value[channel] for a, value in zip(attention, values, strict=True))
                for channel in range(width)
            ]
        all_points.append(points)
    return out, all_points
