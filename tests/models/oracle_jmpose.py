"""JM-Pose's equations written as the paper writes them: loops, one number at a time.

Slow on purpose, in plain Python on nested lists (log-determinants: numpy): nothing here shares
code with the networks.
"""

import math

import numpy as np

Vector = list[float]
Matrix = list[Vector]
Maps = list[Matrix]
"""Channels of rows of columns."""


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def softmax(values: Vector) -> Vector:
    powers = [math.exp(value - max(values)) for value in values]
    return [power / sum(powers) for power in powers]


def bilinear(grid: Matrix, row: float, column: float) -> float:
    """Read a map between its cells; cells outside it are zero."""
    total = 0.0
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            if 0 <= i < len(grid) and 0 <= j < len(grid[0]):
                total += (1 - abs(row - i)) * (1 - abs(column - j)) * grid[i][j]
    return total


def modulated_deformable_convolution(
    maps: Maps, offsets: Maps, masks: Maps, weight: list[Maps], dilation: int
) -> Maps:
    """Eq. 5 for one clip: sum over channels and taps of weight, mask and the value read.

    Offsets are (dy, dx) for each tap of the 3x3 kernel in reading order, for each group.
    """
    groups = len(masks) // 9
    height, width = len(maps[0]), len(maps[0][0])
    out = []
    for kernel in weight:
        plane = [[0.0] * width for _ in range(height)]
        for row in range(height):
            for column in range(width):
                for channel, grid in enumerate(maps):
                    group = channel * groups // len(maps)
                    for tap in range(9):
                        y = row + (tap // 3 - 1) * dilation
                        x = column + (tap % 3 - 1) * dilation
                        y += offsets[18 * group + 2 * tap][row][column]
                        x += offsets[18 * group + 2 * tap + 1][row][column]
                        value = bilinear(grid, y, x) * masks[9 * group + tap][row][column]
                        plane[row][column] += kernel[channel][tap // 3][tap % 3] * value
        out.append(plane)
    return out


def attention(query: Matrix, key: Matrix, value: Matrix, scale: float) -> Matrix:
    """Eqs. 7 and 8 without the residual: one row per token, softmax over the keys."""
    out = []
    for q in query:
        scores = [scale * sum(a * b for a, b in zip(q, k, strict=True)) for k in key]
        shares = softmax(scores)
        columns = zip(*value, strict=True)
        out.append([sum(s * v for s, v in zip(shares, column, strict=True)) for column in columns])
    return out


def unit(vector: Vector) -> Vector:
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector]


def masked(joint: Vector, motion: Vector, concatenated: Vector) -> tuple[Vector, Vector]:
    """Eqs. 9 and 10 for one cell: sigmoid, cut in two, multiply.

    ``concatenated`` is J and M one after the other, or what convolutions made of them.
    """
    squashed = [sigmoid(value) for value in concatenated]
    joint_mask, motion_mask = squashed[: len(joint)], squashed[len(joint) :]
    return (
        [a * value for a, value in zip(joint_mask, joint, strict=True)],
        [a * value for a, value in zip(motion_mask, motion, strict=True)],
    )


def heatmap_distribution(heatmap: Matrix, temperature: float) -> Vector:
    """Cells of one heatmap, scaled to a peak of 1 and not negative, as probabilities."""
    values = [v for row in heatmap for v in row]
    peak = max(values)
    return softmax([max(v, 0.0) / peak / temperature for v in values])


def kullback_leibler(p: Vector, q: Vector) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def heatmap_loss(prediction: list[Maps], target: list[Maps], weights: Matrix) -> float:
    """Eq. 15 as the field has it: per joint the mean over clips and cells, then over joints."""
    joints = len(weights[0])
    per_joint = [0.0] * joints
    cells = 0
    for clip, (predicted, wanted) in enumerate(zip(prediction, target, strict=True)):
        for joint in range(joints):
            for row, wanted_row in zip(predicted[joint], wanted[joint], strict=True):
                for value, wanted_value in zip(row, wanted_row, strict=True):
                    weight = weights[clip][joint]
                    per_joint[joint] += (weight * value - weight * wanted_value) ** 2
                    cells += 1
    return sum(total / (cells / joints) for total in per_joint) / joints


def gaussian_conditional_information(
    covariance: np.ndarray, first: list[int], second: list[int], given: list[int]
) -> float:
    """I(first; second | given) of a Gaussian, straight from Eq. 12's definition, in nats."""

    def log_determinant(*parts: list[int]) -> float:
        chosen = [index for part in parts for index in part]
        return float(np.linalg.slogdet(covariance[np.ix_(chosen, chosen)])[1])

    joint = log_determinant(first, given) + log_determinant(second, given)
    return 0.5 * (joint - log_determinant(first, second, given) - log_determinant(given))
