"""Written PNG files decode to the same pixels."""

from pathlib import Path

import cv2
import numpy as np

from pipeline.pictures.png import write_png


def test_a_picture_keeps_its_colors(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    write_png(tmp_path / "p.png", picture)
    assert np.array_equal(cv2.imread(str(tmp_path / "p.png"))[..., ::-1], picture)
