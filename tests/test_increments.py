"""A change makes the units anew that it touches, and no other: counted in the log of units.

The DAG is cut to the stages index, detect, crop and flow of a small data set with two train
videos, ``v1`` and ``v2``, of four variants each.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.small_data_set import (
    HEIGHT,
    WIDTH,
    document,
    make_data_set,
    write_frames_manifest,
    write_json,
    write_video,
)
from tests.toy_clone import Clone

STAGES = ("index", "detect", "crop", "flow")
VARIANTS = 4
V1, V2 = ({f"{video}/v{i}" for i in range(VARIANTS)} for video in ("v1", "v2"))
Made = dict[str, list[str]]


class Project:
    """A clone with a data set beside it.

    Args:
        clone: The clone.
        root: The data set.
    """

    def __init__(self, clone: Clone, root: Path) -> None:
        self.clone = clone
        self.root = root
        self.data = clone.folder / "data"
        self.cache = clone.folder / ".dvc/cache"

    def take_in_data(self) -> None:
        """Do what ``posereel use-preset`` does to data/raw: copy annotations, list frames."""
        write_frames_manifest(self.root)
        taken = self.data / "raw/real_clip"
        shutil.rmtree(taken)
        shutil.copytree(self.root / "annotations", taken / "annotations")
        for file in ("frames.manifest", "detections.json"):
            shutil.copy(self.root / file, taken)

    def repro(self) -> Made:
        """Run the DAG; return the units that were computed, sorted, by stage."""
        log = self.cache / "scratch/timings.jsonl"
        before = len(log.read_text().splitlines()) if log.exists() else 0
        self.clone.run("dvc", "repro", "flow@train")
        made: Made = {"crop": [], "flow": []}
        for line in log.read_text().splitlines()[before:] if log.exists() else []:
            entry = json.loads(line)
            made[entry["stage"]].append(entry["unit"])
        return {stage: sorted(units) for stage, units in made.items()}

    def digests(self, store: str) -> dict[str, str]:
        """Return the content digests of a published store."""
        found: dict[str, str] = json.loads((self.data / store / "digests.json").read_text())
        return found

    def edit(self, file: str, change: Callable[[str], str]) -> None:
        """Replace a file of the clone by a changed copy."""
        path = self.clone.folder / file
        text = change(path.read_text())
        assert text != path.read_text()
        path.unlink()
        path.write_text(text)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Project:
    """A project whose DAG has run once; tests work on copies of it."""
    base = tmp_path_factory.mktemp("increments")
    make_data_set(base / "raw", train=(1, 2), val=(3,))
    for number, frame in enumerate(sorted((base / "raw/images").rglob("*.png"))):
        paint(frame, number)
    write_json(base / "raw/detections.json", [])
    clone = Clone(base / "clone", python, *STAGES)
    clone.run("posereel", "use-preset", "real_clip", "--root", str(base / "raw"))
    clone.edit_params(
        {
            "extract.workers": 1,
            "flow.updates": 1,
            "crop.variants": VARIANTS,
            # Half bodies are cut by their joints: such a unit would not see its box move.
            "crop.augment.half_body_chance": 0.0,
            "data.root": "../raw",
        }
    )
    project = Project(clone, base / "raw")
    project.take_in_data()
    assert project.repro() == {stage: sorted(V1 | V2) for stage in ("crop", "flow")}
    clone.commit()
    return project


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Project:
    """A copy of the project, for one test."""
    shutil.copytree(built.root, tmp_path / "raw")
    return Project(built.clone.copy(tmp_path / "clone"), tmp_path / "raw")


def paint(frame: Path, seed: int) -> None:
    """Fill a frame with noise: units of equal crops have equal keys, and are made once."""
    noise = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    cv2.imwrite(str(frame), noise)


def move_one_box(project: Project) -> None:
    """Edit one person's box in one frame of ``v1``."""
    content = document("train", 1)
    content["annotations"][0]["bbox"][2] += 7
    write_json(project.root / "annotations/train/v1.json", content)
    project.take_in_data()


def changed(project: Project, built: Project, store: str) -> set[str]:
    """Return the units of a store whose content is another than before, or is new or gone."""
    return {name for name, _ in project.digests(store).items() ^ built.digests(store).items()}


@pytest.mark.slow
def test_a_moved_box_makes_the_units_of_its_video_anew(project: Project, built: Project) -> None:
    move_one_box(project)
    assert project.repro() == {"crop": sorted(V1), "flow": sorted(V1)}
    assert changed(project, built, "crops/hrnet/train") == V1
    assert changed(project, built, "flow/train") == V1


@pytest.mark.slow
def test_it_does_so_in_a_fresh_clone_with_an_empty_scratch(
    project: Project, built: Project
) -> None:
    fresh = project.clone.folder.with_name("fresh")
    project.clone.git("clone", "--quiet", str(project.clone.folder), str(fresh))
    # What `dvc fetch` brings.
    shutil.copytree(project.cache / "files", fresh / ".dvc/cache/files")
    second = Project(project.clone.at(fresh), project.root)
    second.clone.run("dvc", "checkout", "--quiet", "--with-deps", "flow@train")
    move_one_box(second)
    assert second.repro() == {"crop": sorted(V1), "flow": sorted(V1)}
    assert changed(second, built, "flow/train") == V1


@pytest.mark.slow
def test_a_new_video_is_made_alone_and_leaves_nothing_when_it_goes(
    project: Project, built: Project
) -> None:
    write_video(project.root, "train", 4)
    for number, frame in enumerate((project.root / "images/train/v4").iterdir()):
        paint(frame, 100 + number)
    project.take_in_data()
    new = {f"v4/v{i}" for i in range(VARIANTS)}
    assert project.repro() == {"crop": sorted(new), "flow": sorted(new)}
    assert changed(project, built, "flow/train") == new
    (project.root / "annotations/train/v4.json").unlink()
    project.take_in_data()
    assert project.repro() == {"crop": [], "flow": []}
    for store in ("crops/hrnet/train", "flow/train"):
        assert changed(project, built, store) == set()
        assert not (project.data / store / "v4").exists()


@pytest.mark.slow
def test_a_param_of_the_flow_makes_all_flow_anew_and_no_crop(
    project: Project, built: Project
) -> None:
    project.clone.edit_params({"flow.updates": 2})
    assert project.repro() == {"crop": [], "flow": sorted(V1 | V2)}
    assert changed(project, built, "flow/train") == V1 | V2


@pytest.mark.slow
def test_other_weights_make_all_flow_anew_and_no_crop(project: Project, built: Project) -> None:
    file = project.clone.folder / "data/weights/synthetic/raft_small.safetensors"
    weights = load_file(file)
    name = min(weights)
    weights[name] = (weights[name] * 1.5).astype(weights[name].dtype)
    file.unlink()
    save_file(weights, file)
    assert project.repro() == {"crop": [], "flow": sorted(V1 | V2)}
    assert changed(project, built, "flow/train") == V1 | V2


@pytest.mark.slow
def test_other_pixels_of_a_frame_make_the_units_of_its_video_anew(
    project: Project, built: Project
) -> None:
    paint(project.root / "images/train/v1/000002.png", 1000)
    project.take_in_data()
    assert project.repro() == {"crop": sorted(V1), "flow": sorted(V1)}
    assert changed(project, built, "flow/train") == V1


@pytest.mark.slow
def test_another_version_of_a_library_makes_the_units_anew_that_it_computed(
    project: Project, built: Project
) -> None:
    project.edit("numerics.lock", lambda text: text.replace('torchvision = "', 'torchvision = "9.'))
    pin = next(
        line.split('"')[1]
        for line in (project.clone.folder / "numerics.lock").read_text().splitlines()
        if line.startswith("torchvision")
    )
    # The environment says that it has this version, and goes on with the one that it has.
    said = project.clone.folder / f"torchvision-{pin}.dist-info"
    said.mkdir()
    (said / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torchvision\nVersion: {pin}\n")
    assert project.repro() == {"crop": [], "flow": sorted(V1 | V2)}
    assert changed(project, built, "flow/train") == set()


@pytest.mark.slow
def test_a_comment_in_the_code_costs_no_unit_once_a_sample_agreed(
    project: Project, built: Project
) -> None:
    project.edit("models/raft/network.py", lambda text: f"{text}\n# Changes no number.\n")
    said = project.clone.run("posereel", "rekey", "flow", "--sample", "2")
    assert "2 sampled units have the same bytes, 6 units got new keys, 0 are missing" in said
    assert project.repro() == {"crop": [], "flow": []}
    assert changed(project, built, "flow/train") == set()


@pytest.mark.slow
def test_more_variants_keep_those_that_are_there(project: Project, built: Project) -> None:
    project.clone.edit_params({"crop.variants": 8})
    new = {f"{video}/v{i}" for video in ("v1", "v2") for i in range(4, 8)}
    assert project.repro() == {"crop": sorted(new), "flow": sorted(new)}
    assert changed(project, built, "flow/train") == new


@pytest.mark.slow
def test_a_shard_is_one_inode_in_scratch_workspace_and_cache(project: Project) -> None:
    move_one_box(project)
    project.repro()
    scratch = {file.stat().st_ino for file in (project.cache / "scratch").rglob("c.*")}
    objects = {file.stat().st_ino for file in (project.cache / "files").rglob("*")}
    published = [
        file
        for store in ("crops/hrnet/train", "flow/train")
        for file in (project.data / store).rglob("c.*")
    ]
    assert published
    for shard in published:
        assert shard.stat().st_ino in scratch & objects
        assert shard.stat().st_nlink == 3
