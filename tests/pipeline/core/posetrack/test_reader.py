"""Reading PoseTrack files of every format, and malformed files."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.posetrack import posetrack17, posetrack18
from pipeline.core.posetrack.annotations import MISSING_SCORE, person_boxes
from pipeline.core.posetrack.reader import read_annotations, read_predictions
from pipeline.core.skeleton import JOINT_SLOTS, SLOTS
from pipeline.importing.coco_video import split_videos
from tests.posetrack_documents import (
    Document,
    add_person,
    add_prediction,
    as_2017,
    document,
    everywhere,
    random_pair,
)

Edit = Callable[[Document], object]


def sample() -> Document:
    file = add_person(document(2, first_id=70), 0, everywhere(100, 100))
    add_person(file, 1, {"nose": (3.0, 4.0), "left_wrist": (0.0, 5.0)}, flag=0)
    file["images"][0]["ignore_regions_x"] = [[0, 10, 10], [5, 6, 7, 8]]
    file["images"][0]["ignore_regions_y"] = [[0, 0, 10], [1, 2, 3, 4]]
    return file


def save(folder: Path, file: object, name: str = "000001_mpii_test.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(file), encoding="utf-8")
    return path


def test_keypoints_are_in_the_order_of_the_slots(tmp_path: Path) -> None:
    read = read_annotations(save(tmp_path, sample()))
    assert read.format == "posetrack18"
    assert read.file_names[1] == "images/val/000001_mpii_test/000001.jpg"
    assert read.image_ids.tolist() == [70, 71]
    assert read.has_people.tolist() == [True, True]
    people = read.people
    assert people.frame.tolist() == [0, 1]
    assert people.annotation_id.tolist() == [1000, 1001]
    assert people.track_id.tolist() == [0, 1]
    assert people.keypoints[1, SLOTS.index("nose")].tolist() == [3, 4, 0]
    present = [SLOTS[i] for i in np.flatnonzero(people.present[1])]
    assert present == ["nose", "left_wrist"]
    assert people.heads_xywh[0].tolist() == [0, 0, 30, 40]
    assert (people.scores == MISSING_SCORE).all()
    assert np.isnan(people.person_scores).all()
    corners = [polygon.tolist() for polygon in read.regions.of_frame(0)]
    assert corners == [[[0, 0], [10, 0], [10, 10]], [[5, 1], [6, 2], [7, 3], [8, 4]]]
    assert read.regions.of_frame(1) == []


def test_people_of_a_frame_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = document(2)
    for frame, number in ((1, 1), (0, 2), (1, 3), (0, 4)):
        add_person(file, frame, {"nose": (number, number)})
    people = read_annotations(save(tmp_path, file)).people
    assert people.frame.tolist() == [0, 0, 1, 1]
    assert people.keypoints[:, 0, 0].tolist() == [2, 4, 1, 3]


@pytest.mark.parametrize("seed", range(5))
def test_the_2017_format_has_the_same_content(seed: int, tmp_path: Path) -> None:
    truth, predicted = random_pair(seed)
    for file, read in ((truth, read_annotations), (predicted, read_predictions)):
        is_truth = file is truth
        new = read(save(tmp_path, file, "new.json"))
        old = read(save(tmp_path, as_2017(file, truth=is_truth), "old.json"))
        assert old.format == "posetrack17"
        assert old.file_names == new.file_names
        assert np.array_equal(old.people.frame, new.people.frame)
        labeled = new.people.present[:, JOINT_SLOTS]  # the 2017 format has no ears
        assert np.array_equal(old.people.present[:, JOINT_SLOTS], labeled)
        for name in ("keypoints", "scores"):
            values = [getattr(people, name)[:, JOINT_SLOTS] for people in (old.people, new.people)]
            assert np.array_equal(values[0][labeled], values[1][labeled])
        assert np.array_equal(old.people.heads_xywh, new.people.heads_xywh, equal_nan=True)
        assert np.array_equal(old.regions.points, new.regions.points)
        assert np.array_equal(old.regions.frame, new.regions.frame)
        if is_truth:
            assert np.array_equal(old.labeled, new.labeled)


def test_keypoints_are_read_by_name_in_any_order_and_neck_is_head_bottom(
    tmp_path: Path,
) -> None:
    file = sample()
    order = [i for i in range(16, -1, -1) if not SLOTS[i].endswith("ear")]
    names = ["neck" if SLOTS[i] == "head_bottom" else SLOTS[i] for i in order]
    file["categories"][0]["keypoints"] = names
    for person in file["annotations"]:
        rows = np.array(person["keypoints"]).reshape(17, 3)
        person["keypoints"] = rows[order].ravel().tolist()
    got = read_annotations(save(tmp_path, file, "short.json")).people
    expected = read_annotations(save(tmp_path, sample(), "long.json")).people
    assert np.array_equal(got.keypoints, expected.keypoints)


COCO = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
]  # fmt: skip
"""Order of the keypoints in COCO's person_keypoints files."""


def labeled_as(names: list[str], flag: int = 2) -> Document:
    """Return an annotation file with other keypoint names, at (10, 20), (11, 21), and so on."""
    file = add_person(document(1), 0, {"nose": (5, 5)})
    file["categories"][0]["keypoints"] = names
    numbers = [[10 + i, 20 + i, flag] for i in range(len(names))]
    file["annotations"][0]["keypoints"] = [number for point in numbers for number in point]
    return file


def test_cocos_keypoints_are_read_by_name_without_eyes_and_head_ends(tmp_path: Path) -> None:
    people = read_annotations(save(tmp_path, labeled_as(COCO))).people
    present = {SLOTS[i] for i in np.flatnonzero(people.present[0])}
    assert present == set(COCO) - {"left_eye", "right_eye"}
    for name in present:
        number = COCO.index(name)
        assert people.keypoints[0, SLOTS.index(name)].tolist() == [10 + number, 20 + number, 1]
    head_ends = [SLOTS.index("head_bottom"), SLOTS.index("head_top")]
    assert not people.keypoints[0, head_ends].any()


@pytest.mark.parametrize(("flag", "read"), [(2, [11, 21, 1]), (1, [11, 21, 0]), (0, [0, 0, 0])])
def test_cocos_flags_0_1_2_mean_unlabeled_occluded_visible(
    flag: int, read: list[int], tmp_path: Path
) -> None:
    people = read_annotations(save(tmp_path, labeled_as(["left_eye", "nose"], flag))).people
    assert people.keypoints[0, SLOTS.index("nose")].tolist() == read
    assert people.present.sum() == (flag > 0)


def test_jhmdbs_keypoints_are_read_with_the_neck_as_head_bottom(tmp_path: Path) -> None:
    limbs = ("shoulder", "hip", "elbow", "knee", "wrist", "ankle")
    names = ["neck", "belly", "head", *(f"{s}_{limb}" for limb in limbs for s in ("right", "left"))]
    people = read_annotations(save(tmp_path, labeled_as(names))).people
    present = {SLOTS[i] for i in np.flatnonzero(people.present[0])}
    assert present == {"head_bottom"} | set(names[3:])


def test_the_real_coco_sample_has_all_labeled_keypoints_but_the_eyes(shared: Path) -> None:
    path = shared / "real/mmpose_tests_data/coco/test_coco.json"
    content = json.loads(path.read_text())
    eyes = [COCO.index("left_eye"), COCO.index("right_eye")]
    assert content["categories"][0]["keypoints"] == COCO
    flags = {
        person["id"]: np.delete(np.reshape(person["keypoints"], (17, 3))[:, 2], eyes)
        for person in content["annotations"]
    }
    people = read_annotations(path).people
    assert people.present.sum(axis=1).tolist() == [
        (flags[number] > 0).sum() for number in people.annotation_id
    ]
    assert (people.keypoints[:, :, 2] > 0).sum() == sum((row == 2).sum() for row in flags.values())


def test_the_real_jhmdb_sample_has_13_joints_per_person(shared: Path, tmp_path: Path) -> None:
    path = shared / "real/mmpose_tests_data/jhmdb/test_jhmdb_sub1.json"
    for number, (_, content) in enumerate(split_videos(path, tmp_path)):
        (tmp_path / f"{number}.json").write_bytes(content)
        people = read_annotations(tmp_path / f"{number}.json").people
        assert people.present.sum(axis=1).tolist() == [13]


def test_predictions_must_have_all_15_joints(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"without \['head_bottom', 'head_top'\]; list all"):
        read_predictions(save(tmp_path, labeled_as(COCO)))


def test_posetrack21_and_coco_video_files_are_recognized(tmp_path: Path) -> None:
    file = sample()
    for image in file["images"]:
        image |= {"has_labeled_person": True, "height": 720, "width": 1280, "tag": "clean"}
    read = read_annotations(save(tmp_path, file))
    assert read.format == "posetrack21"
    assert read.image_sizes.tolist() == [[720, 1280]] * 2
    assert read.tags == ("clean", "clean")
    coco = sample() | {"videos": [{"id": 1, "name": "000001"}]}
    for image in coco["images"]:
        image["video_id"] = 1
    for person in coco["annotations"]:
        person["instance_id"] = person.pop("track_id") + 5
    assert read_annotations(save(tmp_path, coco)).people.track_id.tolist() == [5, 6]


def test_without_is_labeled_frames_with_people_are_labeled(tmp_path: Path) -> None:
    file = add_person(document(3), 1, {"nose": (5, 5)})
    for image in file["images"]:
        del image["is_labeled"]
    read = read_annotations(save(tmp_path, file))
    assert read.labeled.tolist() == [False, True, False]
    assert not read.has_labeled_flags


def test_a_person_without_joints_and_boxes_is_read(tmp_path: Path) -> None:
    file = add_person(document(1), 0, {"nose": (5, 5)})
    person = file["annotations"][0]
    person |= {"bbox": [], "bbox_head": []}
    del person["keypoints"]
    people = read_annotations(save(tmp_path, file)).people
    assert not people.present.any()
    assert np.isnan(people.boxes_xywh).all()
    assert np.isnan(person_boxes(people)).all()


def test_a_missing_box_is_the_extent_of_the_joints_times_1_2(tmp_path: Path) -> None:
    points = {"nose": (10.0, 20.0), "left_ankle": (20.0, 70.0), "right_ankle": (15.0, 40.0)}
    file = add_person(document(1), 0, points)
    people = read_annotations(save(tmp_path, as_2017(file, truth=True))).people
    assert person_boxes(people)[0] == pytest.approx([9, 15, 12, 60])
    given = read_annotations(save(tmp_path, file)).people
    assert person_boxes(given)[0].tolist() == [0, 0, 100, 200]


@pytest.mark.parametrize("box", [[5.0, 6.0, 0.0, 0.0], [5.0, 6.0, 0.0, 4.0]])
def test_the_box_of_a_single_joint_may_have_no_area(tmp_path: Path, box: list[float]) -> None:
    # Official boxes are 1.3 times the extent of the joints, which is empty for a single joint.
    file = add_person(document(1), 0, {"nose": (5.0, 6.0)})
    file["annotations"][0]["bbox"] = box
    people = read_annotations(save(tmp_path, file)).people
    assert people.boxes_xywh.tolist() == [box]
    file["annotations"][0]["bbox"] = [5.0, 6.0, -1.0, 4.0]
    with pytest.raises(ValueError, match="expected a box with positive width"):
        read_annotations(save(tmp_path, file))
    file = add_person(document(1), 0, {"nose": (5.0, 6.0), "left_knee": (5.0, 60.0)})
    file["annotations"][0]["bbox"] = box
    with pytest.raises(ValueError, match="expected a box with positive width"):
        read_annotations(save(tmp_path, file))


def edit_at(path: str, value: object) -> Edit:
    """Return a function that sets a value at a dotted path, or removes it for ``...``."""
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]

    def apply(file: Document) -> None:
        parent: Any = file
        for part in parents:
            parent = parent[part]
        if value is ...:
            del parent[last]
        else:
            parent[last] = value

    return apply


INVALID: list[tuple[Edit, str]] = [
    (edit_at("images", ...), "images: expected a list, got None"),
    (edit_at("images", {}), "images: expected a list, got {}"),
    (edit_at("images", []), "images: expected at least one, got none"),
    (edit_at("images.0.id", "7"), "images: expected objects with an integer `id`"),
    (edit_at("images.0.id", 71), "images: expected 2 different ids, got 1"),
    (edit_at("images.0.file_name", 3), "images: expected objects"),
    (edit_at("images.0", "frame"), "images: expected objects"),
    (edit_at("images.0.vid_id", "other"), "expected the frames of one video, got 2"),
    (edit_at("images.0.file_name", "/etc/passwd"), "image 0: expected a path relative"),
    (edit_at("images.1.file_name", "images/../../x.jpg"), "image 1: expected a path relative"),
    (edit_at("images.1.file_name", "C:\\x.jpg"), "image 1: expected a path relative"),
    (edit_at("images.1.file_name", "\\\\host\\x.jpg"), "image 1: expected a path relative"),
    (edit_at("images.1.file_name", "a\0b.jpg"), "image 1: expected a path relative"),
    (edit_at("images.1.file_name", ""), "image 1: expected a path relative"),
    (edit_at("images.0.ignore_regions_x", [[1, 2, 3]]), "images[0]: expected as many polygons"),
    (edit_at("images.0.ignore_regions_x.1", [1, 2]), "ignore region of frame 0: expected two"),
    (edit_at("images.0.ignore_regions_x.1.0", "1"), "ignore region of frame 0: expected two"),
    (edit_at("images.0.ignore_regions_x.1.0", 1e999), "expected finite numbers, got Infinity"),
    (edit_at("annotations", ...), "annotations: expected a list, got None"),
    (edit_at("annotations.1", None), "annotations[1]: expected an object"),
    (edit_at("annotations.1.image_id", ...), "annotations[1]: expected an object"),
    (edit_at("annotations.1.image_id", 99), "annotations[1].image_id: expected the id of one"),
    (edit_at("annotations.1.image_id", [70]), "annotations[1]: expected an object"),
    (edit_at("annotations.1.id", 1000), "expected unique ids, got 1000 more than once"),
    (edit_at("annotations.1.id", 1.5), "annotations[1]: expected an object"),
    (edit_at("annotations.1.id", 10**30), "annotations[1]: expected an object"),
    (edit_at("annotations.0.track_id", "a"), "annotations[0]: expected an object"),
    (
        edit_at("annotations.0.keypoints", [1.0] * 45),
        "expected a list of 51 finite numbers, got 45",
    ),
    (
        edit_at("annotations.0.keypoints", [1.0] * 57),
        "expected a list of 51 finite numbers, got 57",
    ),
    (edit_at("annotations.0.keypoints", "x"), "annotations[0].keypoints: expected a list"),
    (edit_at("annotations.0.keypoints.4", None), "annotations[0].keypoints: expected a list"),
    (edit_at("annotations.0.keypoints.4", "3"), "annotations[0].keypoints: expected a list"),
    (edit_at("annotations.0.keypoints.4", [3]), "annotations[0].keypoints: expected a list"),
    (edit_at("annotations.0.keypoints.4", 10**400), "annotations[0].keypoints: expected a list"),
    (edit_at("annotations.0.keypoints.4", float("nan")), "expected finite numbers, got NaN"),
    (edit_at("annotations.0.scores", [0.5] * 15), "annotations[0].scores: expected a list of 17"),
    (edit_at("annotations.0.bbox", [0, 0, 10]), "annotations[0].bbox: expected a list of 4"),
    (edit_at("annotations.0.bbox", [0, 0, 10, 0]), "expected a box with positive width"),
    (edit_at("annotations.0.bbox", [0, 0, -10, 5]), "expected a box with positive width"),
    (edit_at("annotations.0.bbox_head", [0, 0, -10, 5]), "expected a head box with positive"),
    (
        edit_at("categories", ...),
        "categories[0].keypoints: expected PoseTrack's or COCO's keypoint",
    ),
    (edit_at("categories", []), "categories[0].keypoints: expected PoseTrack's or COCO's keypoint"),
    (edit_at("categories.0.keypoints.0", "nostril"), "got KeyError('nostril')"),
    (edit_at("categories.0.keypoints.0", "head_top"), "expected the 15 PoseTrack joints"),
    (edit_at("annolist", []), "got both; keep one format per file"),
    (edit_at("annotations.1.keypoints.0", 1e300), "frame 1: expected keypoint coordinates of"),
    (edit_at("annotations.0.bbox", [1e12, 0, 9, 9]), "frame 0: expected box coordinates of at"),
    (edit_at("annotations.0.bbox_head.2", 1e12), "frame 0: expected head box coordinates"),
    (edit_at("images.0.ignore_regions_x.1.2", -1e9), "frame 0: expected ignore region coord"),
]


@pytest.mark.parametrize(
    ("edit", "message"), INVALID, ids=lambda value: value[:40] if isinstance(value, str) else ""
)
def test_the_error_for_malformed_ground_truth_names_the_location_and_the_value(
    edit: Edit, message: str, tmp_path: Path
) -> None:
    file = sample()
    edit(file)
    with pytest.raises(ValueError, match="000001_mpii_test") as caught:
        read_annotations(save(tmp_path, file))
    assert message in str(caught.value)


ANY_VALUE = st.sampled_from(
    [None, True, -1, 0, 2**70, 1.5, "", "nose", [], [1], [[1]], [None], {}, {"x": 1}, ["a", "b"]]
)


@pytest.mark.parametrize("old", [False, True])
@settings(max_examples=100, deadline=None, derandomize=True)
@given(seed=st.integers(0, 5), choices=st.lists(st.integers(0, 10**6), max_size=9), new=ANY_VALUE)
def test_any_value_anywhere_in_a_file_is_read_or_raises_value_error(
    old: bool, seed: int, choices: list[int], new: object
) -> None:
    truth, predicted = random_pair(seed)
    for file, is_truth in ((truth, True), (predicted, False)):
        changed: Any = as_2017(file, truth=is_truth) if old else file
        parent = changed
        for choice in choices:
            keys = list(parent) if isinstance(parent, dict) else range(len(parent))
            if not keys:
                break
            key = keys[choice % len(keys)]
            if not isinstance(parent[key], dict | list) or choice % 5 == 0:
                parent[key] = new
                break
            parent = parent[key]
        parse = posetrack17.parse if old else posetrack18.parse
        try:
            read = parse(changed, Path("fuzzed.json"), truth=is_truth)
        except ValueError as error:
            assert "fuzzed.json" in str(error)  # noqa: PT017
            continue
        assert np.isfinite(read.people.keypoints).all()


def test_a_number_that_overflows_a_float_raises_an_error(tmp_path: Path) -> None:
    path = save(tmp_path, sample())
    path.write_text(path.read_text(encoding="utf-8").replace("140.0", "1e999"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"annotations\[0\].keypoints: expected .* finite"):
        read_annotations(path)


INVALID_2017: list[tuple[Edit, str]] = [
    (edit_at("annolist", {}), "annolist: expected a list of at least one frame, got {}"),
    (edit_at("annolist", []), "annolist: expected a list of at least one frame, got []"),
    (edit_at("annolist.1", 3), "annolist[1]: expected `image` with `name`"),
    (edit_at("annolist.0.image", []), "annolist[0]: expected `image` with `name`"),
    (edit_at("annolist.0.annorect", {}), "annolist[0]: expected"),
    (edit_at("annolist.0.annorect.0.x1", [1, 2]), "annolist[0]: expected"),
    (edit_at("annolist.0.annorect.0.x2", [-1]), "expected a head box with positive"),
    (edit_at("annolist.0.annorect.0.x2", ["a"]), "person 0, x1, y1, x2, y2: expected"),
    (edit_at("annolist.0.annorect.0.annopoints.0.point.0.x", ...), "got KeyError('x')"),
    (edit_at("annolist.0.annorect.0.annopoints.0.point.0.x", ["1"]), "person 0, annopoints"),
    (edit_at("annolist.0.annorect.0.annopoints.0.point.0.is_visible", ["1"]), "annopoints"),
    (edit_at("annolist.0.annorect.0.annopoints", "none"), "annolist[0]: expected"),
    (edit_at("annolist.0.ignore_regions.0.point", 3), "annolist[0]: expected"),
]


@pytest.mark.parametrize(
    ("edit", "message"),
    INVALID_2017,
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_the_error_for_malformed_2017_ground_truth_names_the_location_and_the_value(
    edit: Edit, message: str, tmp_path: Path
) -> None:
    file = as_2017(sample(), truth=True)
    edit(file)
    with pytest.raises(ValueError, match="000001_mpii_test") as caught:
        read_annotations(save(tmp_path, file))
    assert message in str(caught.value)


def test_a_list_of_results_is_not_a_prediction_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got list; give one PoseTrack file per video"):
        read_predictions(save(tmp_path, [{"image_id": 1, "keypoints": []}]))


def test_predictions_need_keypoints_and_a_finite_score(tmp_path: Path) -> None:
    file = add_prediction(document(1), 0, everywhere(10, 10))
    malformed = copy.deepcopy(file)
    del malformed["annotations"][0]["keypoints"]
    with pytest.raises(ValueError, match=r"annotations\[0\]: expected an object with `image_id`"):
        read_predictions(save(tmp_path, malformed))
    file["annotations"][0]["score"] = "high"
    with pytest.raises(ValueError, match=r"annotations\[0\].score: expected a list of 1 finite"):
        read_predictions(save(tmp_path, file))


def test_boxes_and_file_names_of_predictions_are_not_checked(tmp_path: Path) -> None:
    file = add_prediction(document(1), 0, everywhere(10, 10))
    file["annotations"][0]["bbox"] = [0, 0, -1, -1]
    file["images"][0]["file_name"] = "/home/someone/images/000000.jpg"
    read = read_predictions(save(tmp_path, file))
    assert read.people.person_scores.tolist() == [0.5]


def test_the_first_point_of_an_id_is_used_and_unknown_ids_are_ignored(tmp_path: Path) -> None:
    points = [
        {"id": [13], "x": [1], "y": [2], "score": [0.5]},
        {"id": [13], "x": [7], "y": [8], "score": [0.9]},
        {"id": [15], "x": [3], "y": [4], "score": [0.9]},
    ]
    rect = {"annopoints": [{"point": points}]}
    file = {"annolist": [{"image": {"name": "a/000000.jpg"}, "annorect": [rect]}]}
    people = read_predictions(save(tmp_path, file)).people
    nose = SLOTS.index("nose")
    assert np.flatnonzero(people.present[0]).tolist() == [nose]
    assert people.keypoints[0, nose].tolist() == [1, 2, 1]
    assert people.scores[0, nose] == 0.5
