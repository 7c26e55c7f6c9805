"""Command score: its output, and one line with exit code 1 for invalid input."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.core.skeleton import GROUPS, POSEVAL_JOINTS
from posereel.cli import load
from tests.posetrack_documents import (
    Document,
    add_person,
    add_prediction,
    as_2017,
    document,
    everywhere,
    write,
)

app = load("score")

ROOT = Path(__file__).parents[3]
KEYS = {
    "protocol", "joints", "ap", "joint_ap", "ap_total", "groups", "n_gt", "n_pred", "n_tp",
    "n_frames_used", "oks", "acceleration",
}  # fmt: skip


def sample() -> tuple[Document, Document]:
    truth = add_person(document(2), 0, everywhere(50, 50))
    add_person(truth, 1, {"nose": (70.0, 70.0)})
    predicted = add_prediction(document(2), 0, everywhere(50, 50), score=0.1 + 0.2)
    return truth, predicted


def score(tmp_path: Path, truth: Document, predicted: Document, *options: str) -> dict[str, Any]:
    gt, pred = write(tmp_path / "gt", {"a": truth}), write(tmp_path / "pred", {"a": predicted})
    out = tmp_path / "new" / "score.json"
    result = CliRunner().invoke(app, [str(gt), str(pred), "--out", str(out), *options])
    assert result.exit_code == 0, result.output
    assert [file.name for file in out.parent.iterdir()] == ["score.json"]
    values: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return values


@pytest.mark.parametrize("protocol", ["poseval", "posetrack21"])
def test_all_keys_are_written(protocol: str, tmp_path: Path) -> None:
    values = score(tmp_path, *sample(), "--protocol", protocol)
    assert set(values) == KEYS
    assert values["protocol"] == protocol
    assert values["joints"] == list(POSEVAL_JOINTS)
    assert set(values["joint_ap"]) == set(POSEVAL_JOINTS)
    assert set(values["groups"]) == {*GROUPS, "Mean"}
    assert values["groups"]["Mean"] == values["ap_total"]
    assert values["ap_total"] == pytest.approx((14 * 100 + 50) / 15, abs=1e-12)
    assert set(values["oks"]) == {"AP", "AP50", "AP75", "AR"}
    assert [len(values[name]) for name in ("ap", "n_gt", "n_pred", "n_tp")] == [15] * 4
    assert values["n_frames_used"] == 2


def test_head_boxes_of_zero_size_give_the_score_of_poseval_and_a_warning(tmp_path: Path) -> None:
    truth, predicted = sample()
    empty = json.loads(json.dumps(truth))
    empty["annotations"][0]["bbox_head"] = [0, 0, 0, 0]
    gt = write(tmp_path / "gt", {"a": truth, "b": empty})
    pred = write(tmp_path / "pred", {"a": predicted, "b": predicted})
    words = [str(gt), str(pred), "--out", str(tmp_path / "out.json"), "--protocol", "poseval"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    assert done.stderr.startswith(f"score: warning: {gt}/b.json: 1 of 2 people have a head box of")
    assert len(done.stderr.splitlines()) == 1
    values = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    # The same joint is found in one of the two videos.
    assert values["n_tp"] == [1] * 15
    assert sum(values["n_gt"]) == 2 * 16


def test_oks_is_null_with_no_oks_and_for_files_of_2017(tmp_path: Path) -> None:
    truth, predicted = sample()
    without = score(tmp_path, truth, predicted, "--protocol", "poseval", "--no-oks")
    assert without["oks"] is None
    old = score(tmp_path / "2017", as_2017(truth, truth=True), as_2017(predicted, truth=False),
                "--protocol", "poseval")  # fmt: skip
    assert old == without


def run(tmp_path: Path, gt: Path, pred: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "posereel",
        "score",
        gt,
        pred,
        "--out",
        tmp_path / "out.json",
    ]
    words = [str(word) for word in command] + list(options or ("--protocol", "poseval"))
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_missing_folder_gives_one_line_and_exit_code_1_of_the_process(tmp_path: Path) -> None:
    result = run(tmp_path, tmp_path / "gt", tmp_path / "pred")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("posereel score: ")
    assert "expected a folder of ground-truth files" in result.stderr


FAULTS: dict[str, tuple[str, str]] = {
    "prediction with NaN": ('"keypoints":[', '"keypoints":[NaN,'),
    "prediction with Infinity": ('"keypoints":[', '"keypoints":[-Infinity,'),
    "prediction with infinite score": ('"score":0.3', '"score":1e999'),
    "duplicate key": ('"track_id":0', '"track_id":0,"track_id":1'),
    "46 numbers": ('"keypoints":[', '"keypoints":[7,'),
    "unknown image": ('"image_id":1', '"image_id":5'),
    "truncated": ("]}]}", ""),
    "text for a number": ('"score":0.3', '"score":"high"'),
    "huge integer": ('"image_id":1', '"image_id":' + "9" * 5000),
    "deep nesting": ('"image_id":1', '"image_id":' + "[" * 50_000),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_invalid_prediction_gives_one_line_and_exit_code_1(fault: str, tmp_path: Path) -> None:
    truth, predicted = sample()
    gt, pred = write(tmp_path / "gt", {"a": truth}), tmp_path / "pred"
    pred.mkdir()
    text = json.dumps(predicted, separators=(",", ":"))
    old, new = FAULTS[fault]
    assert old in text
    (pred / "a.json").write_text(text.replace(old, new, 1), encoding="utf-8")
    out = tmp_path / "out.json"
    words = [str(gt), str(pred), "--out", str(out), "--protocol", "poseval"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "a.json" in result.stderr
    assert not out.exists()


def test_an_unknown_protocol_is_rejected(tmp_path: Path) -> None:
    words = [str(tmp_path), str(tmp_path), "--out", "x.json", "--protocol", "coco"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "poseval" in result.output
