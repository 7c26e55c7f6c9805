"""Stage render on videos of three frames."""

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.synthetic.dataset import SEED_RANGES
from stages.render import app

PARAMS = """
render:
  videos: {{train: {train}, val: {val}}}
  seed: {seed}
  val_range: {val_range}
  frames: 3
  height: 96
  width: 128
  label_run: 1
  label_step: 2
  faults: independent
extract: {{engine: local, workers: 1, threads: 1, device: cpu, devices: []}}
"""


def params(
    folder: Path, train: int = 2, val: int = 1, seed: int = 0, val_range: str = "val"
) -> Path:
    path = folder / "params.yaml"
    path.write_text(PARAMS.format(train=train, val=val, seed=seed, val_range=val_range))
    return path


def run(data: Path, path: Path) -> tuple[int, str]:
    config = data / ".dvc" / "config"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("[cache]\n    type = hardlink\n")
    done = CliRunner().invoke(app, ["--data", str(data), "--params", str(path)])
    return done.exit_code, done.output


def content(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("render")
    code, output = run(folder, params(folder))
    assert code == 0, output
    assert "3 units computed, 0 reused" in output
    return folder / "raw/synthetic"


def test_both_splits_contain_the_videos_of_their_seed_ranges(rendered: Path) -> None:
    found = {
        split: sorted(path.stem for path in (rendered / "annotations" / split).glob("*.json"))
        for split in ("train", "val")
    }
    assert found == {
        split: [f"{seed}_mpii_synthetic" for seed in SEED_RANGES[split][:count]]
        for split, count in (("train", 2), ("val", 1))
    }


def test_the_manifest_lists_exactly_the_frames(rendered: Path) -> None:
    lines = (rendered / "frames.manifest").read_text().splitlines()
    named = {}
    for line in lines:
        digest, count, path = line.split(" ", 2)
        assert (rendered / path).stat().st_size == int(count)
        named[path] = digest
    assert list(named) == sorted(named)
    frames = {path: digest for path, digest in content(rendered).items() if path.endswith(".jpg")}
    assert named == frames
    assert len(frames) == 9


def test_the_detections_file_is_empty(rendered: Path) -> None:
    assert json.loads((rendered / "detections.json").read_text()) == []


def test_a_second_run_restores_the_same_files(rendered: Path, tmp_path: Path) -> None:
    before = content(rendered)
    (rendered / "images/train/left_over.jpg").write_bytes(b"old")
    data = rendered.parents[1]
    code, output = run(data, params(tmp_path))
    assert code == 0, output
    assert "0 units computed, 3 reused" in output
    assert content(rendered) == before


def test_a_video_does_not_depend_on_the_other_videos(rendered: Path, tmp_path: Path) -> None:
    code, output = run(tmp_path, params(tmp_path, train=1, val=0))
    assert code == 0, output
    alone, together = content(tmp_path / "raw/synthetic"), content(rendered)
    files = {path: digest for path, digest in alone.items() if path.startswith(("images", "annot"))}
    assert len(files) == 4
    assert files.items() <= together.items()


def test_no_videos_give_an_empty_data_set(tmp_path: Path) -> None:
    code, output = run(tmp_path, params(tmp_path, 0, 0))
    assert code == 0, output
    out = tmp_path / "raw/synthetic"
    assert content(out).keys() == {"frames.manifest", "detections.json"}
    assert (out / "frames.manifest").read_text() == ""


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"val_range": "train"}, "another seed range than train"),
        ({"val_range": "tset"}, "got 'tset'"),
        ({"seed": 9_999, "val": 2}, "seed range val"),
        ({"train": -1}, "seed range train"),
    ],
)
def test_invalid_params_give_a_one_line_error_and_no_output(
    tmp_path: Path, kinds: dict[str, str | int], message: str
) -> None:
    code, output = run(tmp_path, params(tmp_path, **kinds))  # type: ignore[arg-type]
    assert code == 1
    assert message in output
    assert len(output.splitlines()) == 1
    assert not (tmp_path / "raw").exists()
