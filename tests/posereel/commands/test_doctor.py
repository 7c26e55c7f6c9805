"""What the doctor finds in a sound installation, and in one where something is wrong."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from pipeline.units.numerics import read_pins
from posereel.cli import load

app = load("doctor")

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's params, pins and weights, and a DVC config."""
    shutil.copytree(ROOT / "data/weights", tmp_path / "data/weights")
    for name in ("params.yaml", "numerics.lock"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    configure(tmp_path, "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configure(project: Path, remotes: str, link_type: str = "hardlink") -> None:
    (project / ".dvc").mkdir(exist_ok=True)
    (project / ".dvc/config").write_text(f"[cache]\n    type = {link_type}\n{remotes}")


def examined(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def bad() -> dict[str, dict[str, str]]:
    content = json.loads(examined("--json").stdout)
    failed = [finding for finding in content["findings"] if not finding["well"]]
    assert content["well"] is not bool(failed)
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
def test_a_sound_installation_passes() -> None:
    result = examined()
    assert result.exit_code == 0, result.output
    assert "BAD" not in result.stdout
    for name in ("torch", "deform_conv2d", "nms", "links", "free space", "weights of flow"):
        assert f"ok  {name}" in result.stdout


def test_another_version_than_the_pinned_one_is_named(project: Path) -> None:
    pinned = read_pins(project)["numpy"]
    lock = project / "numerics.lock"
    lock.write_text(lock.read_text().replace(pinned, "1.0.0"))
    assert bad()["numpy"]["found"] == f"{pinned}, numerics.lock pins 1.0.0"
    assert bad()["numpy"]["cure"] == "make setup"


def test_a_cache_that_copies_and_a_full_disk_are_named(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(project, "", link_type="copy")
    usage = shutil.disk_usage(project)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**9))
    found = bad()
    assert "run: dvc config cache.type hardlink" in found["links"]["found"]
    assert found["free space"]["found"] == "1.0 GB"
    assert "posereel gc --yes" in found["free space"]["cure"]


def test_a_remote_whose_bytes_are_not_verified_is_named(project: Path) -> None:
    good = "['remote \"lab\"']\n    url = ssh://lab/cache\n    verify = true\n"
    lax = "['remote \"disk\"']\n    url = /mnt/disk\n"
    configure(project, good + lax)
    found = bad()
    assert set(found) == {"remote disk"}
    assert found["remote disk"]["cure"] == "dvc remote modify disk verify true"
    # A local setting comes on top.
    (project / ".dvc/config.local").write_text("['remote \"disk\"']\n    verify = true\n")
    assert bad() == {}


def test_weights_that_are_absent_or_not_those_of_their_card_are_named(project: Path) -> None:
    (project / "data/weights/synthetic/vit.safetensors").unlink()
    with (project / "data/weights/synthetic/hrnet.safetensors").open("ab") as file:
        file.write(b"x")
    set_params(project, train_jmpose__weights="nowhere")
    found = bad()
    assert set(found) == {
        "weights of tokens",
        "weights of finetune_backbone",
        "weights of train_jmpose",
    }
    assert "vit.safetensors is not there" in found["weights of tokens"]["found"]
    assert "its card says" in found["weights of finetune_backbone"]["found"]


def test_a_real_data_set_that_is_not_there_and_frames_that_are_missing_are_named(
    project: Path,
) -> None:
    folder = project / "data/raw/synthetic"
    folder.mkdir(parents=True)
    (folder / "frames.manifest").write_text(f"{'0' * 64} 3 images/val/v/000000.jpg\n")
    found = bad()["data set synthetic"]
    assert "1 of 1 frames are not below data/raw/synthetic: images/val/v" in found["found"]
    assert "data.root" in found["cure"]
    set_params(project, data__name="posetrack18", data__manifest="data/raw/x/frames.manifest")
    assert "posereel use-preset" in bad()["data set posetrack18"]["cure"]


@pytest.mark.usefixtures("project")
def test_operators_that_fail_or_lie_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> torch.Tensor:
        raise RuntimeError("Couldn't load custom C++ ops")

    monkeypatch.setattr(torchvision.ops, "nms", absent)
    monkeypatch.setattr(
        torchvision.ops,
        "deform_conv2d",
        lambda *_, **__: torch.zeros(1, 3, 6, 6),
    )
    found = bad()
    assert "Couldn't load custom C++ ops" in found["nms"]["found"]
    assert "wrong values" in found["deform_conv2d"]["found"]


def test_what_keeps_a_check_from_running_is_a_finding_too(project: Path) -> None:
    (project / "params.yaml").write_text("data: {}\nflow: {}\n")
    (project / "numerics.lock").unlink()
    found = bad()
    assert {"versions", "weights", "data set"} <= set(found)
    result = examined()
    assert result.exit_code == 1
    assert "checks failed (above, each with its cure)" in result.stderr
