"""Annotation files and frames on disk, read back."""

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.core.posetrack.reader import read_annotations
from pipeline.core.skeleton import SLOTS
from pipeline.synthetic.annotation import write_video
from pipeline.synthetic.dataset import VideoSpec
from pipeline.synthetic.rendering import SyntheticVideo, render_video

SPEC = VideoSpec(910_002, frames=6, height=120, width=160, label_run=2, label_step=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    write_video(SPEC, "val", folder)
    return folder


@pytest.fixture(scope="module")
def video() -> SyntheticVideo:
    return render_video(SPEC)


@pytest.fixture(scope="module")
def document(folder: Path) -> dict[str, Any]:
    text = (folder / f"annotations/val/{SPEC.name}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def test_only_this_videos_files_are_written_and_they_are_listed(folder: Path) -> None:
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert files[0] == Path(f"annotations/val/{SPEC.name}.json")
    assert files[1:] == [Path(f"images/val/{SPEC.name}/{frame:06d}.jpg") for frame in range(6)]


def test_writing_again_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    listed = write_video(SPEC, "val", tmp_path)
    for path in listed:
        assert (tmp_path / path).read_bytes() == (folder / path).read_bytes()
    assert len(listed) == 7


def test_images_have_the_fields_and_names_that_the_official_tools_read(
    document: dict[str, Any],
) -> None:
    for frame, image in enumerate(document["images"]):
        # poseval, evaluate.py and convert.py: NNNNNN_{mpii|bonn|mpiinew}_*/DDDDDD.jpg
        assert re.search(r"/\d{6}_mpii_[a-z]+/\d{6}\.jpg$", image["file_name"])
        assert image["id"] == image["frame_id"] == 10_000_000_000 + SPEC.seed * 10_000 + frame
        assert image["nframes"] == 6
        assert image["vid_id"] == "910002"
        assert (image["height"], image["width"]) == (120, 160)
        assert len(image["ignore_regions_x"]) == len(image["ignore_regions_y"])
    assert document["categories"][0]["keypoints"] == list(SLOTS)


def test_only_labeled_frames_hold_people(document: dict[str, Any], video: SyntheticVideo) -> None:
    labeled = [image["is_labeled"] for image in document["images"]]
    assert labeled == [True, False, True, True, True, False] == video.labeled.tolist()
    holding = {person["image_id"] % 10_000 for person in document["annotations"]}
    assert holding <= {0, 2, 3, 4}
    assert len(document["annotations"]) == video.present[video.labeled].sum()


def test_a_hidden_joint_keeps_its_place_with_flag_0_and_a_missing_one_has_none(
    document: dict[str, Any], video: SyntheticVideo
) -> None:
    hidden = 0
    for person in document["annotations"]:
        frame, track = person["image_id"] % 10_000, person["track_id"]
        for slot, (x, y, flag) in enumerate(np.reshape(person["keypoints"], (17, 3))):
            visible = video.visible[frame, track, slot]
            if visible == 0:
                assert (x, y, flag) == (0, 0, 0)
            else:
                assert (x, y) == pytest.approx(video.keypoints[frame, track, slot], abs=1e-3)
                assert flag == (visible == 2)
                hidden += flag == 0
        assert person["num_keypoints"] == (video.visible[frame, track] > 0).sum()
    assert hidden > 0


def test_the_projects_own_reader_takes_the_file(folder: Path, document: dict[str, Any]) -> None:
    found = read_annotations(folder / f"annotations/val/{SPEC.name}.json")
    assert found.format == "posetrack18"
    assert found.people.track_id.tolist() == [p["track_id"] for p in document["annotations"]]
    assert found.people.boxes_xywh == pytest.approx(
        np.array([person["bbox"] for person in document["annotations"]])
    )


def test_the_jpegs_show_the_rendered_pictures(folder: Path, video: SyntheticVideo) -> None:
    for frame in range(6):
        stored = cv2.imread(str(folder / f"images/val/{SPEC.name}/{frame:06d}.jpg"))
        assert stored is not None
        difference = stored[..., ::-1].astype(float) - video.images[frame]
        assert np.abs(difference).mean() < 4
