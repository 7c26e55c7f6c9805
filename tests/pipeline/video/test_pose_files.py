"""COCO and PoseTrack files of a video, read by pycocotools and by the PoseTrack reader."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from pycocotools.coco import COCO

from pipeline.core.posetrack.reader import read_predictions
from pipeline.core.skeleton import JOINT_SLOTS, SLOTS
from pipeline.video.pose_files import write_coco, write_posetrack
from pipeline.video.poses import POSES


def poses() -> pd.DataFrame:
    """Return poses of two people in frame 4 and one in frame 6."""
    random = np.random.default_rng(1)
    rows = [
        (
            *(frame, frame / 25, row, track),
            *(10.0 * track, 20.0, 30.0, 40.0, 0.9),
            *(random.uniform(0, 90, 30), random.uniform(0, 1, 15)),
        )
        for frame, row, track in ((4, 0, 0), (4, 1, 1), (6, 0, 1))
    ]
    return pd.DataFrame(rows, columns=POSES.names)


def test_the_posetrack_file_has_all_frames_and_joints(tmp_path: Path) -> None:
    write_posetrack(tmp_path / "p.json", poses(), range(4, 8), "clip")
    read = read_predictions(tmp_path / "p.json")
    assert read.file_names == tuple(f"clip/{n:06d}.jpg" for n in range(4, 8))
    assert read.image_ids.tolist() == [4, 5, 6, 7]
    assert read.people.frame.tolist() == [0, 0, 2]
    assert read.people.track_id.tolist() == [0, 1, 1]
    joints = np.stack(poses()["keypoints"].tolist()).reshape(3, 15, 2)
    np.testing.assert_allclose(read.people.keypoints[:, JOINT_SLOTS, :2], joints, atol=1e-4)
    np.testing.assert_allclose(read.people.scores[:, JOINT_SLOTS], list(poses()["scores"]))


def test_pycocotools_reads_the_coco_file(tmp_path: Path) -> None:
    write_coco(tmp_path / "c.json", poses(), range(4, 8), "clip", (48, 64))
    coco = COCO(str(tmp_path / "c.json"))
    assert coco.getImgIds() == [4, 5, 6, 7]
    assert coco.loadImgs(4)[0]["height"] == 48
    person = coco.loadAnns(coco.getAnnIds(imgIds=6))[0]
    assert (person["area"], person["num_keypoints"], person["iscrowd"]) == (1200, 15, 0)
    names = coco.loadCats(1)[0]["keypoints"]
    assert tuple(names) == SLOTS
    limbs = coco.loadCats(1)[0]["skeleton"]
    assert ["left_knee", "left_ankle"] in [[names[a - 1], names[b - 1]] for a, b in limbs]


def test_a_video_without_people_has_all_frames(tmp_path: Path) -> None:
    no_poses = poses().iloc[:0]
    write_coco(tmp_path / "c.json", no_poses, range(3), "clip", (48, 64))
    content = json.loads((tmp_path / "c.json").read_text())
    assert len(content["images"]) == 3
    assert content["annotations"] == []
