"""Digests of labels and weights, and values of params."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.evaluation.provenance import digest_files, label_version, lookup, weight_digests


def labels(root: Path) -> Path:
    for name, content in {"train/b": "1", "train/a": "2", "val/a": "3"}.items():
        file = root / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return root


def test_the_label_digest_is_the_digest_of_the_sorted_lines_of_sha256sum(tmp_path: Path) -> None:
    folder = labels(tmp_path / "annotations")
    names = ["train/a.json", "train/b.json", "val/a.json"]
    lines = subprocess.run(
        ["sha256sum", *names], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.splitlines(keepends=True)
    expected = hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    assert label_version(folder) == {"train_files": 2, "val_files": 1, "sha256": expected}


def test_the_digest_depends_on_contents_and_names_only(
    tmp_path: Path,
) -> None:
    folder = labels(tmp_path / "here")
    files = sorted(folder.rglob("*.json"))
    digest = digest_files(files, folder)
    assert digest_files(files[::-1], folder) == digest
    moved = Path(shutil.move(folder, tmp_path / "there"))
    assert label_version(moved)["sha256"] == digest
    (moved / "val/a.json").rename(moved / "val/c.json")
    assert label_version(moved)["sha256"] != digest


def test_a_missing_split_has_no_files(tmp_path: Path) -> None:
    assert label_version(tmp_path) == {
        "train_files": 0,
        "val_files": 0,
        "sha256": hashlib.sha256(b"").hexdigest(),
    }


def test_every_weights_file_has_a_digest(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"abc")
    (tmp_path / "history.csv").write_bytes(b"")
    assert weight_digests(tmp_path) == {"weights.safetensors": hashlib.sha256(b"abc").hexdigest()}
    assert weight_digests(tmp_path / "nowhere") == {}


def test_a_dotted_key_is_looked_up_and_a_missing_key_is_named() -> None:
    values = {"crop": {"mirror": False, "augment": {"seed": 3}}, "head": {"seed": 0}}
    assert lookup(values, "crop.mirror", Path("p.yaml")) is False
    for key in ("crop.flip", "crop.mirror.x", "predict"):
        with pytest.raises(
            ValueError, match=rf"p\.yaml: expected the key {key}, which the provenance"
        ):
            lookup(values, key, Path("p.yaml"))
    assert lookup(values, "crop.augment.seed", Path("p.yaml")) == 3
