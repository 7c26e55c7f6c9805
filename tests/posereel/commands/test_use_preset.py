"""Command use-preset: it replaces params.yaml and imports a data set without its frames."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.core.manifest import read_manifest
from pipeline.core.params import read_params
from pipeline.core.tables.parquet import read_table
from pipeline.core.tables.schemas import BOXES
from posereel.cli import load
from stages import detect, index
from tests.official_trees import write_tree

app = load("use-preset")

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty DVC repository with the presets."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "presets").mkdir()
    for preset in (ROOT / "presets").glob("*.yaml"):
        (folder / "presets" / preset.name).write_text(preset.read_text())
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    subprocess.run(["dvc", "init", "--quiet"], cwd=folder, check=True)
    subprocess.run(["dvc", "config", "cache.type", "hardlink"], cwd=folder, check=True)
    return folder


@pytest.fixture
def clone(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the repository, which is the working directory."""
    folder = tmp_path / "clone"
    shutil.copytree(template, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """Return a data set of one video with two frames, one of them in the annotation file."""
    root = tmp_path / "real"
    (root / "images/a").mkdir(parents=True)
    for name in ("000000.jpg", "000001.jpg"):
        (root / "images/a" / name).write_bytes(name.encode())
    image = {"id": 1, "file_name": "images/a/000000.jpg"}
    (root / "a.json").write_text(json.dumps({"images": [image]}))
    return root


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.output


def test_a_data_set_is_imported_and_tracked(clone: Path, real: Path) -> None:
    code, output = run("real_clip", "--root", str(real))
    assert code == 0, output
    folder = clone / "data/raw/real_clip"
    assert (folder / "annotations/val/a.json").read_bytes() == (real / "a.json").read_bytes()
    assert sorted(read_manifest(folder / "frames.manifest")) == [
        "images/a/000000.jpg", "images/a/000001.jpg",
    ]  # fmt: skip
    assert (clone / "data/raw/real_clip.dvc").is_file()
    params = read_params(clone / "params.yaml")
    assert params["data"]["root"] == real.resolve().as_posix()
    assert params["detect"]["kind"] == "hog"


def test_given_detections_are_used_as_boxes(clone: Path, real: Path, tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.json"
    boxes.write_text('[{"image_id": 1}]')
    code, output = run("real_clip", "--root", str(real), "--detections", str(boxes))
    assert code == 0, output
    assert (clone / "data/raw/real_clip/detections.json").read_text() == boxes.read_text()
    assert read_params(clone / "params.yaml")["detect"]["kind"] == "file"


def test_a_release_is_imported_in_the_layout_of_its_archives(clone: Path, tmp_path: Path) -> None:
    write_tree(tmp_path / "given", "posetrack21")
    code, output = run("posetrack21", "--root", str(tmp_path / "given"))
    assert code == 0, output
    imported = clone / "data/raw/posetrack21"
    assert [file.stem for file in sorted((imported / "annotations").glob("*/*.json"))] == [
        "v1",
        "v3",
    ]
    assert len(read_manifest(imported / "frames.manifest")) == 10
    assert read_params(clone / "params.yaml")["data"]["root"] == str(tmp_path / "given")


def test_the_stage_detect_reads_precomputed_boxes_of_dcpose(clone: Path, tmp_path: Path) -> None:
    write_tree(tmp_path / "given", "posetrack18")
    boxes = [
        {
            "image_name": f"images/val/v3/{frame:06d}.jpg",
            "bbox": [10.0, 5.0, 20.0, 40.0],
            "score": 0.9,
            "category_id": 1,
            "nframes": 5,
            "frame_id": frame,
        }
        for frame in (0, 4)
    ]
    (tmp_path / "val_boxes.json").write_text(json.dumps(boxes))
    words = ["--root", str(tmp_path / "given"), "--detections", str(tmp_path / "val_boxes.json")]
    assert run("posetrack18", *words)[0] == 0
    for stage, options in ((index, []), (detect, ["--split", "val"])):
        done = CliRunner().invoke(stage.app, options)
        assert done.exit_code == 0, done.output
    table = read_table(clone / "data/boxes/val.parquet", BOXES)
    assert list(table["frame"]) == [0, 4]
    assert list(table["w"]) == [20.0, 20.0]


def test_a_second_import_replaces_the_first(clone: Path, real: Path) -> None:
    assert run("real_clip", "--root", str(real))[0] == 0
    (real / "a.json").rename(real / "b.json")
    assert run("real_clip", "--root", str(real))[0] == 0
    imported = (clone / "data/raw/real_clip/annotations/val").iterdir()
    assert [file.name for file in imported] == ["b.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing: expected a preset, one of ['ablation', 'bench', 'posetrack17'"),
        (["real_clip"], "this preset needs --root DIR"),
        (["synthetic", "--root", "."], "takes no --root: its data set is rendered"),
        (["real_clip", "--root", "."], "expected annotations/<train|val>/*.json"),
        (
            ["posetrack17", "--root", "../given"],
            "v3.json: expected validation labels of posetrack17",
        ),
    ],
)
def test_invalid_arguments_give_a_one_line_error_and_change_nothing(
    clone: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    write_tree(tmp_path / "given", "coco_video")
    code, output = run(*arguments)
    assert code == 1
    assert message in output
    assert len(output.splitlines()) == 1
    assert not (clone / "params.yaml").exists()
    assert not [file for file in clone.glob("data/**/*") if file.is_file()]


def test_the_preset_synthetic_needs_no_options(clone: Path) -> None:
    assert run("synthetic")[0] == 0
    assert read_params(clone / "params.yaml") == read_params(ROOT / "presets/synthetic.yaml")
