"""Stage evaluate on a small data set: its outputs, their reproducibility, and its errors."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from pipeline.core.posetrack.reader import read_annotations
from pipeline.core.tables.parquet import read_table, write_table
from pipeline.core.tables.schemas import BOXES, PEOPLE, VIDEOS
from pipeline.maintenance.score import score_folders
from stages.evaluate import CURVES, ERRORS, VIDEO_SCORES, app
from tests.pipeline.toy_stage import make_project, tree
from tests.posetrack_documents import as_2017, random_pair, write

ROOT = Path(__file__).parents[2]
ANNOTATIONS = Path("data/raw/toy/annotations")
PARAMS: dict[str, Any] = {
    "data": {
        "name": "toy",
        "root": "data/raw/toy",
        "annotations": str(ANNOTATIONS),
        "manifest": "data/raw/toy/frames.manifest",
        "detections": "data/raw/toy/detections.json",
    },
    "detect": {"kind": "file", "score_min": 0.2},
    "crop": {
        "key_frames": "labelled",
        "gap": 3,
        "variants": 4,
        "jitter": {"shift": 0.04, "scale": 0.1},
        "augment": {"seed": 3},
    },
    "finetune_backbone": {"folds": 2, "seed": 5},
    "train_jmpose": {"weights": "none", "seed": 7},
    "predict": {"decode": "dark", "score": "product", "flip": False, "weights": "last"},
    "evaluate": {"protocol": "poseval", "hard_share": 0.5, "curve_points": 20},
}


def run(system: str = "jmpose") -> tuple[int, str]:
    result = CliRunner().invoke(app, ["--system", system])
    return result.exit_code, result.stderr


def read(name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(Path("data/metrics", name).read_text(encoding="utf-8"))
    return values


def write_inputs(videos: int) -> None:
    """Write the inputs of the stage below the working directory."""
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(PARAMS, file)
    rows, people = [], []
    for number in range(videos):
        truth, predicted = random_pair(number)
        for image, tag in zip(truth["images"], ("clean", "blurred", "clean"), strict=False):
            image["tag"] = tag
        for person in truth["annotations"]:
            # The stage warns of head boxes of zero size, which random_pair makes, too.
            person["bbox_head"][2:] = [side or 5.0 for side in person["bbox_head"][2:]]
        name = f"video{number}"
        write(ANNOTATIONS / "val", {name: truth})
        for split in ("val", "val_gt"):
            write(Path("data/predictions/jmpose") / split, {name: predicted})
        labels = read_annotations(ANNOTATIONS / "val" / f"{name}.json").people
        frames = len(truth["images"])
        rows.append((name, "val", frames, 100, 100, "posetrack18", f"val/{name}.json"))
        for row, (frame, box) in enumerate(zip(labels.frame, labels.boxes_xywh, strict=True)):
            people.append((name, "val", int(frame), row, -1, -1, *box, *box, [0.0] * 51))
    table = pd.DataFrame(people, columns=PEOPLE.names)
    write_table(Path("data/index/videos.parquet"), pd.DataFrame(rows, columns=VIDEOS.names), VIDEOS)
    write_table(Path("data/index/people.parquet"), table, PEOPLE)
    boxes = [(p[0], p[2], p[3], *p[6:10], 0.9, -1, "file") for p in people[::2]]
    write_table(Path("data/boxes/val.parquet"), pd.DataFrame(boxes, columns=BOXES.names), BOXES)
    Path("data/runs/jmpose").mkdir(parents=True)
    Path("data/runs/jmpose/weights.safetensors").write_bytes(b"weights")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_metrics_contain_the_scores_of_every_split_and_subset(folder: Path) -> None:
    del folder
    write_inputs(6)
    assert run() == (0, "")
    metrics = read("jmpose.json")
    assert set(metrics) == {"val", "val_gt", "val_hard", "val_gt_hard"}
    expected = score_folders(ANNOTATIONS / "val", Path("data/predictions/jmpose/val"), "poseval")
    got = metrics["val"]
    assert set(got) == {*expected, "tags", "visible", "occluded"}
    for name in ("ap", "joint_ap", "groups", "oks"):
        assert got[name] == pytest.approx(expected[name], abs=5.1e-5)
    assert set(got["acceleration"]) == {"n_joints", "step", "pixels", "heads", "reason"}
    for name in ("n_gt", "n_pred", "n_tp", "n_frames_used", "joints", "protocol"):
        assert got[name] == expected[name]
    assert metrics["val_gt"] == got
    assert 0 < metrics["val_hard"]["n_frames_used"] < got["n_frames_used"]
    assert {tag: values["n_frames_used"] for tag, values in got["tags"].items()}.keys() == {
        "clean",
        "blurred",
    }


def test_provenance_documents_the_inputs_and_contains_no_absolute_path(folder: Path) -> None:
    write_inputs(6)
    assert run() == (0, "")
    facts = read("jmpose.provenance.json")
    assert facts["protocol"] == "poseval"
    assert facts["data_set"] == "toy"
    assert facts["labels"]["val_files"] == 6
    assert len(facts["labels"]["sha256"]) == 64
    assert facts["box_source"] == {"val": "file", "val_gt": "ground truth"}
    assert 0.4 < facts["box_recall"] <= 1
    assert facts["decode"] == "dark"
    assert facts["score_rule"] == "product"
    assert facts["flip"] is False
    assert (facts["variants"], facts["folds"]) == (4, 2)
    assert (facts["seed"], facts["augment_seed"]) == (7, 3)
    assert (facts["gap"], facts["box_jitter"]) == (3, {"shift": 0.04, "scale": 0.1})
    assert len(facts["weights_sha256"]["weights.safetensors"]) == 64
    assert str(folder) not in json.dumps(facts)


def test_a_second_run_writes_the_same_bytes(folder: Path) -> None:
    del folder
    write_inputs(5)
    assert run() == (0, "")
    files = sorted(Path("data/metrics").iterdir()) + sorted(Path("data/evaluation").rglob("*.*"))
    assert len(files) == 7
    before = [file.read_bytes() for file in files]
    assert run() == (0, "")
    assert [file.read_bytes() for file in files] == before


def test_an_evaluation_is_reused_until_an_input_of_it_changes(folder: Path) -> None:
    write_inputs(3)

    def counts() -> str:
        result = CliRunner().invoke(app, ["--system", "jmpose"])
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()[-1].partition("jmpose: ")[2]

    assert counts().startswith("1 units computed, 0 reused")
    before = tree(folder / "data/metrics")
    shutil.rmtree("data/metrics")
    assert counts().startswith("0 units computed, 1 reused")
    assert tree(folder / "data/metrics") == before
    for path in (folder / "data/metrics").iterdir():
        assert path.stat().st_nlink == 1
    write(Path("data/predictions/jmpose/val"), {"video0": random_pair(0)[0]})
    assert counts().startswith("1 units computed, 0 reused")
    Path("data/runs/jmpose/weights.safetensors").write_bytes(b"others")
    assert counts().startswith("1 units computed, 0 reused")
    assert counts().startswith("0 units computed, 1 reused")


def test_git_keeps_a_copy_of_metrics_and_provenance(folder: Path) -> None:
    del folder
    write_inputs(3)
    assert run() == (0, "")
    for copy, name in (("jmpose.json", "metrics"), ("jmpose.provenance.json", "provenance")):
        original = Path(f"data/evaluation/jmpose/{name}.json")
        assert Path("data/metrics", copy).read_bytes() == original.read_bytes()


def test_tables_follow_their_schemas_and_contain_both_splits(folder: Path) -> None:
    del folder
    write_inputs(5)
    assert run() == (0, "")
    folder = Path("data/evaluation/jmpose")
    for name, schema in (("curves", CURVES), ("videos", VIDEO_SCORES), ("errors", ERRORS)):
        table = read_table(folder / f"{name}.parquet", schema)
        assert set(table["split"]) == {"val", "val_gt"}
    videos = read_table(folder / "videos.parquet", VIDEO_SCORES)
    assert len(videos) == 10


def test_a_data_set_without_val_videos_gives_null_scores(folder: Path) -> None:
    del folder
    write_inputs(0)
    assert run() == (0, "")
    metrics = read("jmpose.json")
    for values in metrics.values():
        assert values["ap_total"] is None
        assert values["n_frames_used"] == 0
    facts = read("jmpose.provenance.json")
    assert facts["box_recall"] is None
    assert facts["labels"]["val_files"] == 0


def test_head_boxes_of_zero_size_are_reported_with_the_file(folder: Path) -> None:
    del folder
    write_inputs(2)
    file = ANNOTATIONS / "val/video1.json"
    truth = json.loads(file.read_text())
    for person in truth["annotations"]:
        person["bbox_head"] = [0, 0, 0, 0]
    file.write_text(json.dumps(truth))
    code, message = run()
    assert code == 0
    people = len(truth["annotations"])
    assert message.startswith(
        f"evaluate: {file}: {people} of {people} people have a head box of zero size"
    )
    assert message.count("zero size") == 1


def test_missing_predictions_keys_and_systems_give_one_line_errors(folder: Path) -> None:
    del folder
    write_inputs(2)
    code, error = run("unknown")
    assert code == 1
    assert "section 'train_unknown': expected a mapping" in error
    params = PARAMS | {"predict": {"decode": "dark", "flip": False, "weights": "last"}}
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(params, file)
    code, error = run()
    assert code == 1
    assert "expected the key predict.score" in error
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(PARAMS, file)
    Path("data/predictions/jmpose/val/video1.json").unlink()
    code, error = run()
    assert code == 1
    assert len(error.splitlines()) == 1
    assert "video1.json: expected a JSON file, found nothing" in error
    assert not Path("data/metrics").exists()


@pytest.mark.parametrize(
    ("data_set", "code"),
    [("posetrack17", 1), ("posetrack18", 0), ("posetrack21", 1), ("my_conversion", 0)],
)
def test_a_release_is_evaluated_only_on_its_official_files(
    data_set: str, code: int, folder: Path
) -> None:
    del folder
    write_inputs(3)  # in the format of 2018, like conversions of PoseTrack17
    params = PARAMS | {"data": PARAMS["data"] | {"name": data_set}}
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(params, file)
    found, error = run()
    assert found == code
    if code:
        assert len(error.splitlines()) == 1
        assert f"val/video0.json: expected validation labels of {data_set}, " in error
        assert "got those of posetrack18; give the official files" in error
        assert not Path("data/metrics").exists()


def test_official_files_of_posetrack17_are_evaluated(folder: Path) -> None:
    del folder
    write_inputs(3)
    params = PARAMS | {"data": PARAMS["data"] | {"name": "posetrack17"}}
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(params, file)
    for file_ in sorted((ANNOTATIONS / "val").glob("*.json")):
        write(ANNOTATIONS / "val", {file_.stem: as_2017(json.loads(file_.read_text()), truth=True)})
    assert run() == (0, "")
    assert read("jmpose.json")["val"]["n_frames_used"] > 0


def test_the_stage_does_not_import_torch() -> None:
    code = "import sys, stages.evaluate, posereel.commands.score; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
