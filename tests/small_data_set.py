"""A tiny data set in PoseTrack18's format, and a workspace with it, for tests of stages.

Frames are black with one white pixel per person, on the nose, so that tests can find it in crops.
"""

import json
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from pipeline.core.manifest import write_manifest
from pipeline.core.skeleton import SLOTS
from pipeline.core.units.key import modules_digest, stage_pins

HEIGHT, WIDTH = 60, 90
PARAMS: dict[str, Any] = {
    "data": {
        "name": "small",
        "root": "raw",
        "annotations": "raw/annotations",
        "manifest": "raw/frames.manifest",
        "detections": "raw/detections.json",
    },
    "extract": {"engine": "local", "workers": 1, "threads": 1, "device": "cpu", "devices": []},
    "index": {},
    "detect": {
        "kind": "ground_truth",
        "variant": "tiny",
        "weights": "raw/detector.safetensors",
        "score_min": 0.2,
        "batch": 2,
    },
    "crop": {
        "hrnet": {"height": 128, "width": 96, "delta": 1},
        "vit": {"height": 64, "width": 48, "delta": 2},
        "gap": 1,
        "enlarge": 1.25,
        "key_frames": "labelled",
        "variants": 1,
        "mirror": False,
        "jitter": {"shift": 0.0, "scale": 0.0},
        "augment": {
            "seed": 5,
            "rotation": 45.0,
            "rotation_limit": 45.0,
            "rotation_chance": 0.6,
            "scale": 0.35,
            "half_body_chance": 0.3,
            "flip_chance": 0.5,
        },
    },
}


def joints(video: int, frame: int, person: int) -> np.ndarray:
    """Return the 17 keypoints ``(17, 3)`` of a person: ears unlabeled, one ankle occluded."""
    random = np.random.default_rng((video, person))
    slots = np.column_stack([random.integers(-4, 5, (17, 2)), np.ones(17)]).astype(float)
    slots[:, :2] += (20 + 45 * person + frame, 30)
    slots[3:5] = 0
    slots[16, 2] = 0
    return slots


def document(
    split: str, video: int, frames: int = 5, people: int = 2, labeled: tuple[int, ...] = (0, 2, 4)
) -> dict[str, Any]:
    """Return the content of the annotation file of a video."""
    first = 1000 * video
    images = [
        {
            "id": first + frame,
            "file_name": f"images/{split}/v{video}/{frame:06d}.png",
            "is_labeled": frame in labeled,
            "height": HEIGHT,
            "width": WIDTH,
            "vid_id": f"v{video}",
            "nframes": frames,
        }
        for frame in range(frames)
    ]
    annotations = []
    for frame in labeled:
        for person in range(people):
            slots = joints(video, frame, person)
            center = slots[0, :2]
            annotations.append(
                {
                    "id": 10 * (first + frame) + person,
                    "image_id": first + frame,
                    "track_id": person,
                    "keypoints": slots.ravel().tolist(),
                    "bbox": [center[0] - 8, center[1] - 10, 16.0, 20.0],
                    "bbox_head": [center[0] - 2, center[1] - 2, 4.0, 4.0],
                }
            )
    categories = [{"id": 1, "name": "person", "keypoints": list(SLOTS)}]
    return {"images": images, "annotations": annotations, "categories": categories}


def picture(video: int, frame: int, people: int = 2) -> np.ndarray:
    """Return a black frame with one white pixel on the nose of each person."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for person in range(people):
        x, y = joints(video, frame, person)[0, :2].astype(int)
        image[y, x] = 255
    return image


def write_video(root: Path, split: str, video: int, **shape: Any) -> None:  # noqa: ANN401
    """Write the annotations and frames of one video."""
    content = document(split, video, **shape)
    write_json(root / "annotations" / split / f"v{video}.json", content)
    for frame, image in enumerate(content["images"]):
        file = root / image["file_name"]
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), picture(video, frame))


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_frames_manifest(root: Path) -> None:
    """Write the manifest of all frames on disk."""
    files = [file.relative_to(root).as_posix() for file in root.glob("images/**/*.*")]
    write_manifest(root / "frames.manifest", root, files)


def make_data_set(root: Path, train: tuple[int, ...] = (1, 2), val: tuple[int, ...] = (3,)) -> None:
    """Write a data set whose videos show two people in five frames."""
    for split, videos in (("train", train), ("val", val)):
        for video in videos:
            write_video(root, split, video)
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    write_frames_manifest(root)


def write_params(path: Path, changes: Mapping[str, object]) -> None:
    """Write params.yaml with changes to some values, given by dotted names."""
    values = json.loads(json.dumps(PARAMS))
    for name, value in changes.items():
        *sections, last = name.split(".")
        section = values
        for part in sections:
            section = section[part]
        section[last] = value
    with path.open("w") as file:
        YAML(typ="safe").dump(values, file)


_MODULES, _PINS = cache(modules_digest), cache(stage_pins)


class Workspace:
    """A folder with the files of a DVC repository that stages need, the data set and its params."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, template: Path | None = None
    ) -> None:
        self.folder = folder
        self.root = folder / "raw"
        if template is not None:
            shutil.copytree(template, folder, dirs_exist_ok=True)
        (folder / ".dvc").mkdir(parents=True, exist_ok=True)
        (folder / ".dvc/config").write_text("[cache]\n    type = hardlink\n")
        monkeypatch.chdir(folder)
        # The code does not change during tests, so it is parsed once.
        for module in ("stages.crop", "pipeline.detection.units"):
            monkeypatch.setattr(f"{module}.modules_digest", _MODULES)
            monkeypatch.setattr(f"{module}.stage_pins", _PINS)
        self.set_params()

    def set_params(self, **changes: object) -> None:
        """Write params.yaml; double underscores in names mean dots."""
        dotted = {name.replace("__", "."): value for name, value in changes.items()}
        write_params(self.folder / "params.yaml", dotted)

    def run(self, app: Any, *arguments: str) -> Result:  # noqa: ANN401
        """Run a stage in this process and return its result."""
        return CliRunner().invoke(app, list(arguments))

    def files(self, path: str) -> dict[str, bytes]:
        """Return the content of all files below a folder of the workspace, by path."""
        folder = self.folder / path
        return {
            file.relative_to(folder).as_posix(): file.read_bytes()
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
