"""Command show-overlay: frames of an overlay side by side."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pipeline.video.overlay import write_overlay
from pipeline.video.source import Frame
from posereel.cli import load

app = load("show-overlay")
SHADES = (10, 60, 110, 160, 210)


@pytest.fixture
def poses(tmp_path: Path) -> Path:
    """Return a folder with an overlay of five gray frames without people."""
    frames = (
        Frame(number, number / 25, np.full((48, 64, 3), shade, np.uint8))
        for number, shade in enumerate(SHADES)
    )
    write_overlay(tmp_path / "overlay.mp4", frames, pd.DataFrame({"frame": []}), 25.0, 0.2)
    return tmp_path


@pytest.mark.parametrize(("count", "shown"), [(1, [0]), (3, [0, 2, 4]), (9, [0, 1, 2, 3, 4])])
def test_evenly_spaced_frames_are_side_by_side(poses: Path, count: int, shown: list[int]) -> None:
    out = poses / "sheet.png"
    done = CliRunner().invoke(app, [str(poses), "--frames", str(count), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.output == f"show-overlay: frames {', '.join(map(str, shown))} in {out}\n"
    sheet = cv2.imread(str(out))
    assert sheet is not None
    assert sheet.shape == (48, len(shown) * (64 + 8) - 8, 3)
    for place, number in enumerate(shown):
        frame = sheet[:, place * 72 : place * 72 + 64]
        np.testing.assert_allclose(frame, SHADES[number], atol=3)  # H.264 is lossy


def test_a_folder_without_an_overlay_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [str(tmp_path)])
    assert done.exit_code == 1
    assert f"{tmp_path}/overlay.mp4: expected a video" in done.output
