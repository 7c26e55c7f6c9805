"""Command show-clips: a sheet of rendered videos."""

from pathlib import Path

import cv2
import numpy as np
from typer.testing import CliRunner

from posereel.cli import load

app = load("show-clips")


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.output


def test_the_sheet_has_one_row_per_video_and_shows_the_labels(tmp_path: Path) -> None:
    sheets = []
    for extra in ([], ["--plain"]):
        out = tmp_path / f"sheet{len(extra)}.png"
        code, output = run("--out", str(out), "--videos", "1", "--frames", "2", *extra)
        assert code == 0, output
        sheet = cv2.imread(str(out))
        assert sheet is not None
        assert sheet.shape == (480 + 8, 2 * 640 + 12, 3)
        sheets.append(sheet.astype(int))
    changed = np.abs(sheets[0] - sheets[1]).max(axis=-1) > 40
    assert 0.001 < changed.mean() < 0.4


def test_an_unknown_seed_range_gives_a_one_line_error(tmp_path: Path) -> None:
    code, output = run("--out", str(tmp_path / "a.png"), "--seed-range", "nowhere")
    assert code == 1
    assert "got 'nowhere'" in output
    assert not list(tmp_path.iterdir())
