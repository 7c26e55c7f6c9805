"""Sprites of dressed people against what light and faces must look like."""

import numpy as np
import pytest

from pipeline.synthetic.appearance import draw_outfit, make_sprites, to_linear
from pipeline.synthetic.parts import PART, PARTS


def test_linear_light_is_the_power_of_gamma() -> None:
    assert to_linear(np.array([0.0, 0.5, 1.0, 2.0])) == pytest.approx([0, 0.5**2.2, 1, 1])


def test_sprites_are_premultiplied_and_within_range() -> None:
    rng = np.random.default_rng(5)
    sprites = make_sprites(draw_outfit(rng), np.full(len(PARTS), 2.0), 14, rng)
    assert len(sprites) == len(PARTS)
    for sprite in sprites:
        picture = sprite.turned(0.3)
        assert picture.dtype == np.float32
        assert picture.min() >= 0
        # Light may exceed white where a lit cloth is bright, alpha may not.
        assert picture[..., 3].max() == 1
        assert (picture[picture[..., 3] == 0] == 0).all()


def test_a_face_is_seen_from_the_front_only() -> None:
    differences = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        head = make_sprites(draw_outfit(rng), np.full(len(PARTS), 1.3), 30, rng)[PART["head"]]
        front, back = head.turned(0.0), head.turned(np.pi)
        rows = slice(int(0.4 * len(front)), int(0.9 * len(front)))
        columns = slice(int(0.3 * front.shape[1]), int(0.7 * front.shape[1]))
        detail = [
            float(np.abs(np.diff(face[rows, columns, 0], axis=1)).mean()) for face in (front, back)
        ]
        differences.append(detail[0] / max(detail[1], 1e-4))
    assert np.median(differences) > 1.5
