"""Command doctor: no findings in a correct installation, and one finding per problem."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from pipeline.core.units.numerics import LOCK, read_pins
from posereel.cli import load

app = load("doctor")

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the project's params, pins and weights, and a DVC config."""
    shutil.copytree(ROOT / "data/weights", tmp_path / "data/weights")
    (tmp_path / LOCK).parent.mkdir(parents=True)
    for name in ("params.yaml", LOCK):
        shutil.copyfile(ROOT / name, tmp_path / name)
    configure(tmp_path, "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configure(project: Path, remotes: str, link_type: str = "hardlink") -> None:
    (project / ".dvc").mkdir(exist_ok=True)
    (project / ".dvc/config").write_text(f"[cache]\n    type = {link_type}\n{remotes}")


def examine(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def problems() -> dict[str, dict[str, str]]:
    content = json.loads(examine("--json").stdout)
    failed = [finding for finding in content["findings"] if not finding["ok"]]
    assert content["ok"] is not bool(failed)
    assert all(finding["cure"] for finding in failed)
    return {finding["check"]: finding for finding in failed}


def set_params(project: Path, **changes: object) -> None:
    yaml = YAML()
    values: Any = yaml.load((project / "params.yaml").read_text())
    for name, value in changes.items():
        section, _, key = name.partition("__")
        values[section][key] = value
    yaml.dump(values, project / "params.yaml")


@pytest.mark.usefixtures("project")
def test_a_correct_installation_passes() -> None:
    result = examine()
    assert result.exit_code == 0, result.output
    assert "BAD" not in result.stdout
    for name in ("torch", "deform_conv2d", "nms", "links", "free space", "weights of flow"):
        assert f"ok  {name}" in result.stdout


def test_a_version_that_differs_from_the_pin_is_reported(project: Path) -> None:
    pinned = read_pins(project)["numpy"]
    lock = project / LOCK
    lock.write_text(lock.read_text().replace(pinned, "1.0.0"))
    assert problems()["numpy"]["found"] == f"{pinned}, {LOCK} pins 1.0.0"
    assert problems()["numpy"]["cure"] == "make setup"


def test_a_cache_that_copies_and_a_full_disk_are_reported(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(project, "", link_type="copy")
    usage = shutil.disk_usage(project)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**9))
    found = problems()
    assert "run: dvc config cache.type hardlink" in found["links"]["found"]
    assert found["free space"]["found"] == "1.0 GB"
    assert "posereel gc --yes" in found["free space"]["cure"]


def test_a_remote_without_verification_is_reported(project: Path) -> None:
    verified = "['remote \"lab\"']\n    url = ssh://lab/cache\n    verify = true\n"
    unverified = "['remote \"disk\"']\n    url = /mnt/disk\n"
    configure(project, verified + unverified)
    found = problems()
    assert set(found) == {"remote disk"}
    assert found["remote disk"]["cure"] == "dvc remote modify disk verify true"
    # .dvc/config.local overrides .dvc/config.
    (project / ".dvc/config.local").write_text("['remote \"disk\"']\n    verify = true\n")
    assert problems() == {}


def test_weights_that_are_missing_or_do_not_match_their_card_are_reported(project: Path) -> None:
    (project / "data/weights/synthetic/vit.safetensors").unlink()
    with (project / "data/weights/synthetic/hrnet.safetensors").open("ab") as file:
        file.write(b"x")
    set_params(project, train_jmpose__weights="nowhere")
    found = problems()
    assert set(found) == {
        "weights of tokens",
        "weights of finetune_backbone",
        "weights of train_jmpose",
    }
    assert "vit.safetensors does not exist" in found["weights of tokens"]["found"]
    assert "its card says" in found["weights of finetune_backbone"]["found"]


def test_a_missing_data_set_and_missing_frames_are_reported(
    project: Path,
) -> None:
    folder = project / "data/raw/synthetic"
    folder.mkdir(parents=True)
    (folder / "frames.manifest").write_text(f"{'0' * 64} 3 images/val/v/000000.jpg\n")
    found = problems()["data set synthetic"]
    assert "1 of 1 frames are not below data/raw/synthetic: images/val/v" in found["found"]
    assert "data.root" in found["cure"]
    set_params(project, data__name="posetrack18", data__manifest="data/raw/x/frames.manifest")
    assert "posereel use-preset" in problems()["data set posetrack18"]["cure"]


@pytest.mark.usefixtures("project")
def test_operators_that_fail_or_return_wrong_values_are_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(*_: object, **__: object) -> torch.Tensor:
        raise RuntimeError("Couldn't load custom C++ ops")

    monkeypatch.setattr(torchvision.ops, "nms", absent)
    monkeypatch.setattr(
        torchvision.ops,
        "deform_conv2d",
        lambda *_, **__: torch.zeros(1, 3, 6, 6),
    )
    found = problems()
    assert "Couldn't load custom C++ ops" in found["nms"]["found"]
    assert "wrong values" in found["deform_conv2d"]["found"]


def test_a_check_that_cannot_run_is_reported(project: Path) -> None:
    (project / "params.yaml").write_text("data: {}\nflow: {}\n")
    (project / LOCK).unlink()
    found = problems()
    assert {"versions", "weights", "data set"} <= set(found)
    result = examine()
    assert result.exit_code == 1
    assert "checks failed (above, each with its cure)" in result.stderr
