"""A change recomputes exactly the units that depend on it, as the log of units shows.

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
Computed = dict[str, list[str]]


class Project:
    """A clone and a data set next to it.

    Args:
        clone: The clone.
        root: The data set.
    """

    def __init__(self, clone: Clone, root: Path) -> None:
        self.clone = clone
        self.root = root
        self.data = clone.folder / "data"
        self.cache = clone.folder / ".dvc/cache"

    def import_data(self) -> None:
        """Copy annotations and list frames, as ``posereel use-preset`` does."""
        write_frames_manifest(self.root)
        imported = self.data / "raw/real_clip"
        shutil.rmtree(imported)
        shutil.copytree(self.root / "annotations", imported / "annotations")
        for file in ("frames.manifest", "detections.json"):
            shutil.copy(self.root / file, imported)

    def repro(self) -> Computed:
        """Run the DAG and return the computed units by stage, sorted."""
        log = self.cache / "scratch/timings.jsonl"
        before = len(log.read_text().splitlines()) if log.exists() else 0
        self.clone.run("dvc", "repro", "flow@train")
        computed: Computed = {"crop": [], "flow": []}
        for line in log.read_text().splitlines()[before:] if log.exists() else []:
            entry = json.loads(line)
            computed[entry["stage"]].append(entry["unit"])
        return {stage: sorted(units) for stage, units in computed.items()}

    def digests(self, store: str) -> dict[str, str]:
        """Return the content digests of a published store."""
        found: dict[str, str] = json.loads((self.data / store / "digests.json").read_text())
        return found

    def edit(self, file: str, change: Callable[[str], str]) -> None:
        """Replace a file of the clone by an edited copy."""
        path = self.clone.folder / file
        text = change(path.read_text())
        assert text != path.read_text()
        path.unlink()
        path.write_text(text)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Project:
    """Return a project whose DAG has run once; tests use copies of it."""
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
            # Crops of half bodies depend on joints, not on the box, which one test moves.
            "crop.augment.half_body_chance": 0.0,
            "data.root": "../raw",
        }
    )
    project = Project(clone, base / "raw")
    project.import_data()
    assert project.repro() == {stage: sorted(V1 | V2) for stage in ("crop", "flow")}
    clone.commit()
    return project


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Project:
    """Return a copy of the project for one test."""
    shutil.copytree(built.root, tmp_path / "raw")
    return Project(built.clone.copy(tmp_path / "clone"), tmp_path / "raw")


def paint(frame: Path, seed: int) -> None:
    """Fill a frame with noise, because units of equal crops have equal keys."""
    noise = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    cv2.imwrite(str(frame), noise)


def move_one_box(project: Project) -> None:
    """Edit the box of one person in one frame of ``v1``."""
    content = document("train", 1)
    content["annotations"][0]["bbox"][2] += 7
    write_json(project.root / "annotations/train/v1.json", content)
    project.import_data()


def changed(project: Project, built: Project, store: str) -> set[str]:
    """Return the units of a store that were changed, added or removed."""
    return {name for name, _ in project.digests(store).items() ^ built.digests(store).items()}


@pytest.mark.slow
def test_a_moved_box_recomputes_the_units_of_its_video(project: Project, built: Project) -> None:
    move_one_box(project)
    assert project.repro() == {"crop": sorted(V1), "flow": sorted(V1)}
    assert changed(project, built, "crops/hrnet/train") == V1
    assert changed(project, built, "flow/train") == V1


@pytest.mark.slow
def test_a_moved_box_recomputes_the_same_units_in_a_clone_with_an_empty_scratch(
    project: Project, built: Project
) -> None:
    fresh = project.clone.folder.with_name("fresh")
    project.clone.git("clone", "--quiet", str(project.clone.folder), str(fresh))
    # The state after `dvc fetch`.
    shutil.copytree(project.cache / "files", fresh / ".dvc/cache/files")
    second = Project(project.clone.at(fresh), project.root)
    second.clone.run("dvc", "checkout", "--quiet", "--with-deps", "flow@train")
    move_one_box(second)
    assert second.repro() == {"crop": sorted(V1), "flow": sorted(V1)}
    assert changed(second, built, "flow/train") == V1


@pytest.mark.slow
def test_only_a_new_video_is_computed_and_its_removal_leaves_nothing(
    project: Project, built: Project
) -> None:
    write_video(project.root, "train", 4)
    for number, frame in enumerate((project.root / "images/train/v4").iterdir()):
        paint(frame, 100 + number)
    project.import_data()
    new = {f"v4/v{i}" for i in range(VARIANTS)}
    assert project.repro() == {"crop": sorted(new), "flow": sorted(new)}
    assert changed(project, built, "flow/train") == new
    (project.root / "annotations/train/v4.json").unlink()
    project.import_data()
    assert project.repro() == {"crop": [], "flow": []}
    for store in ("crops/hrnet/train", "flow/train"):
        assert changed(project, built, store) == set()
        assert not (project.data / store / "v4").exists()


@pytest.mark.slow
def test_a_param_of_flow_recomputes_all_flow_and_no_crop(project: Project, built: Project) -> None:
    project.clone.edit_params({"flow.updates": 2})
    assert project.repro() == {"crop": [], "flow": sorted(V1 | V2)}
    assert changed(project, built, "flow/train") == V1 | V2


@pytest.mark.slow
def test_new_weights_recompute_all_flow_and_no_crop(project: Project, built: Project) -> None:
    file = project.clone.folder / "data/weights/synthetic/raft_small.safetensors"
    weights = load_file(file)
    name = min(weights)
    weights[name] = (weights[name] * 1.5).astype(weights[name].dtype)
    file.unlink()
    save_file(weights, file)
    assert project.repro() == {"crop": [], "flow": sorted(V1 | V2)}
    assert changed(project, built, "flow/train") == V1 | V2


@pytest.mark.slow
def test_a_changed_frame_recomputes_the_units_of_its_video(
    project: Project, built: Project
) -> None:
    paint(project.root / "images/train/v1/000002.png", 1000)
    project.import_data()
    assert project.repro() == {"crop": sorted(V1), "flow": sorted(V1)}
    assert changed(project, built, "flow/train") == V1


@pytest.mark.slow
def test_a_new_version_of_a_library_recomputes_the_units_that_depend_on_it(
    project: Project, built: Project
) -> None:
    project.edit(
        "pipeline/core/numerics.lock",
        lambda text: text.replace('torchvision = "', 'torchvision = "9.'),
    )
    pin = next(
        line.split('"')[1]
        for line in (project.clone.folder / "pipeline/core/numerics.lock").read_text().splitlines()
        if line.startswith("torchvision")
    )
    # The metadata claims the new version; the installed library stays the same.
    metadata = project.clone.folder / f"torchvision-{pin}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: torchvision\nVersion: {pin}\n"
    )
    assert project.repro() == {"crop": [], "flow": sorted(V1 | V2)}
    assert changed(project, built, "flow/train") == set()


@pytest.mark.slow
def test_comments_and_docstrings_anywhere_in_the_code_recompute_nothing(
    project: Project, built: Project
) -> None:
    files = [
        file.relative_to(project.clone.folder).as_posix()
        for package in ("models", "pipeline", "stages")
        for file in (project.clone.folder / package).rglob("*.py")
    ]
    assert len(files) > 150
    for file in files:
        project.edit(file, lambda text: f'"""Another docstring."""\n{text}\n# A comment.\n')
    assert project.repro() == {"crop": [], "flow": []}
    assert changed(project, built, "flow/train") == set()
    lock = (project.clone.folder / "dvc.lock").read_text()
    assert lock != (built.clone.folder / "dvc.lock").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "recomputed"),
    [
        ("models/raft/network.py", {"flow"}),
        ("pipeline/extraction/task.py", {"flow"}),
        ("pipeline/clips/augment.py", {"crop"}),
        ("pipeline/core/store/shards.py", {"crop", "flow"}),
        ("pipeline/core/units/engines.py", set()),
        ("pipeline/core/heatmap.py", set()),
        ("models/hrnet/network.py", set()),
    ],
)
def test_an_edit_of_code_recomputes_the_units_whose_closure_holds_it(
    project: Project, built: Project, file: str, recomputed: set[str]
) -> None:
    project.edit(file, lambda text: f"{text}\n_UNUSED = 1\n")
    units = {stage: sorted(V1 | V2) if stage in recomputed else [] for stage in ("crop", "flow")}
    assert project.repro() == units
    assert changed(project, built, "flow/train") == set()


@pytest.mark.slow
def test_after_rekey_an_edit_without_effect_recomputes_nothing(
    project: Project, built: Project
) -> None:
    project.edit("models/raft/network.py", lambda text: f"{text}\n_UNUSED = 0\n")
    printed = project.clone.run("posereel", "rekey", "flow", "--sample", "2")
    assert "2 sampled units have the same bytes, 6 units got new keys, 0 are missing" in printed
    assert project.repro() == {"crop": [], "flow": []}
    assert changed(project, built, "flow/train") == set()


@pytest.mark.slow
def test_more_variants_keep_the_existing_ones(project: Project, built: Project) -> None:
    project.clone.edit_params({"crop.variants": 8})
    new = {f"{video}/v{i}" for video in ("v1", "v2") for i in range(4, 8)}
    assert project.repro() == {"crop": sorted(new), "flow": sorted(new)}
    assert changed(project, built, "flow/train") == new


@pytest.mark.slow
def test_a_shard_has_one_inode_in_scratch_workspace_and_cache(project: Project) -> None:
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
