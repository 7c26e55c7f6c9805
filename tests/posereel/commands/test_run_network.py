"""Command run-network: it rejects input that is not an array of crops for the network."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.core.skeleton import JOINTS
from posereel.cli import load

app = load("run-network")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("hrnet_w48", np.zeros((1, 64, 64, 3), np.float32), "uint8 (N, H, W, 3), got float32"),
        ("hrnet_w48", np.zeros((64, 64, 3), np.uint8), "got uint8 (64, 64, 3)"),
        ("hrnet_w48", np.zeros((0, 64, 64, 3), np.uint8), "got uint8 (0, 64, 64, 3)"),
        ("raft_small", np.zeros((1, 64, 64, 3), np.uint8), "uint8 (N, 2, H, W, 3), got uint8 (1,"),
        ("raft_small", np.zeros((1, 3, 64, 64, 3), np.uint8), "got uint8 (1, 3, 64, 64, 3)"),
        ("raft_small", np.array([{}]), "expected an array of numpy.save"),
        ("tiny", np.zeros((1, 64, 64, 3), np.uint8), "tiny: expected the name of an HRNet"),
        (
            "vitpose_l",
            np.zeros((1, 384, 288, 3), np.uint8),
            "crops of (256, 192) pixels (height, wid",
        ),
        ("vitpose_s", np.zeros((1, 65, 64, 3), np.uint8), "for vitpose_s, got (65, 64); crop the"),
        ("raft_small", np.zeros((1, 2, 64, 64, 3), np.uint8), "raft_small.safetensors: expected"),
    ],
)
def test_input_of_the_wrong_shape_or_type_gives_a_one_line_error(
    name: str, array: np.ndarray, message: str, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.npy", tmp_path / "out.npy"
    np.save(source, array)
    done = CliRunner().invoke(app, [name, str(source), str(out), "--weights", str(tmp_path)])
    assert done.exit_code == 1
    assert message in done.output
    assert len(done.output.splitlines()) == 1
    assert not out.exists()


def test_a_file_that_is_not_an_array_is_named(tmp_path: Path) -> None:
    (tmp_path / "in.npy").write_bytes(b"")
    words = ["raft_small", str(tmp_path / "in.npy"), str(tmp_path / "out.npy")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    assert "in.npy: expected an array of numpy.save" in done.output


def test_the_help_gives_the_shapes_of_the_arrays_and_the_order_of_the_rows() -> None:
    text = " ".join(CliRunner().invoke(app, ["--help"], terminal_width=110).output.split())
    for shape in ("(N, H, W, 3)", "(N, 15, H / 4, W / 4)", "(N, 2, H, W, 3)", "(N, 192, D)"):
        assert shape in text
    assert ", ".join(JOINTS) in text
