"""The clip table: frames, transforms and joints of every variant."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clips.augment import Augment
from pipeline.clips.clips import ClipSettings, VideoBoxes, clip_frames, clip_rows
from pipeline.clips.jitter import Jitter
from pipeline.core.skeleton import JOINTS, SLOTS
from pipeline.core.tables.parquet import digest_rows
from pipeline.core.tables.schemas import BOXES, CLIPS, PEOPLE
from tests.small_data_set import joints

AUGMENT = Augment(
    seed=1,
    rotation=45.0,
    rotation_limit=45.0,
    rotation_chance=0.6,
    scale=0.35,
    half_body_chance=0.3,
    flip_chance=0.5,
)
TRAIN = ClipSettings((128, 96), 1.25, 1, 1, AUGMENT, None)
JITTERED = replace(TRAIN, jitter=Jitter(shift=0.04, scale=0.1))
VAL = ClipSettings((128, 96), 1.25, 1, 1, None, None)


def boxes(*rows: tuple[int, int, int]) -> pd.DataFrame:
    """Return boxes given as (frame, row, person) around the people of ``joints``."""
    table = []
    for frame, row, person in rows:
        x, y = joints(1, frame, max(person, 0))[0, :2]
        score = 1.0 if person >= 0 else 0.7
        table.append(("v1", frame, row, x - 8, y - 10, 16.0, 20.0, score, person, "test"))
    return pd.DataFrame(table, columns=BOXES.names)


def people(frames: range = range(5)) -> pd.DataFrame:
    rows = [
        ("v1", "train", frame, person, 0, 40 + person, *[0.0] * 8, joints(1, frame, person).ravel())
        for frame in frames
        for person in range(2)
    ]
    return pd.DataFrame(rows, columns=PEOPLE.names)


def source(*rows: tuple[int, int, int]) -> VideoBoxes:
    return VideoBoxes("v1", 5, boxes(*rows), people())


def other_side(name: str) -> str:
    return name.replace("left", "?").replace("right", "left").replace("?", "right")


@given(st.integers(0, 30), st.integers(1, 31), st.integers(0, 4), st.integers(1, 5))
def test_frames_are_a_gap_apart_and_clamped_to_the_video(
    key: int, frames: int, delta: int, gap: int
) -> None:
    key = min(key, frames - 1)
    offsets = range(-delta * gap, delta * gap + 1, gap)
    expected = [min(max(key + offset, 0), frames - 1) for offset in offsets]
    assert list(clip_frames(key, frames, delta, gap)) == expected
    assert clip_frames(key, frames, delta, gap)[delta] == key


def test_five_frames_at_the_start_of_a_video() -> None:
    assert list(clip_frames(1, 10, 2, gap=1)) == [0, 0, 1, 2, 3]


def test_a_gap_of_three_skips_two_frames_on_each_side() -> None:
    assert list(clip_frames(6, 20, 2, gap=3)) == [0, 3, 6, 9, 12]
    row = clip_rows(source((2, 0, 1)), 0, replace(VAL, gap=2)).iloc[0]
    assert list(row["frames"]) == [0, 2, 4]


def test_a_gap_changes_only_the_frames_of_a_clip() -> None:
    near, far = (
        clip_rows(source((2, 0, 0), (3, 1, 1)), 1, replace(TRAIN, gap=gap)).drop(columns="frames")
        for gap in (1, 2)
    )
    pd.testing.assert_frame_equal(near, far)


def test_variant_0_is_cropped_around_its_enlarged_box() -> None:
    """The box of 16 x 20 becomes 16 x 21.33 (3:4), enlarged by 25 %: 20 x 26.67; scale 4.8."""
    rows = clip_rows(source((2, 0, 1)), 0, TRAIN)
    row = rows.iloc[0]
    x, y = joints(1, 2, 1)[0, :2]
    np.testing.assert_allclose(
        row["to_crop"], [4.8, 0, 47.5 - 4.8 * x, 0, 4.8, 63.5 - 4.8 * y], atol=1e-9
    )
    assert list(row["frames"]) == [1, 2, 3]
    assert row["track_id"] == 41
    assert not row["flipped"]
    nose = row["keypoints"].reshape(15, 2)[JOINTS.index("nose")]
    np.testing.assert_allclose(nose, [47.5, 63.5], atol=1e-9)


def test_jitter_moves_the_crop_of_every_train_variant_and_not_its_box() -> None:
    for variant in range(3):
        plain, moved = (
            clip_rows(source((2, 0, 1)), variant, settings).iloc[0]
            for settings in (TRAIN, JITTERED)
        )
        assert not np.allclose(plain["to_crop"], moved["to_crop"])
        assert plain["flipped"] == moved["flipped"]
        assert all(plain[f"box_{side}"] == moved[f"box_{side}"] for side in "xywh")


def test_both_inputs_of_a_clip_have_the_same_jitter() -> None:
    large, small = (
        clip_rows(source((2, 0, 1)), 0, replace(JITTERED, crop_size=size)).iloc[0]
        for size in ((128, 96), (64, 48))
    )
    places = [
        np.linalg.solve(row["to_crop"].reshape(2, 3)[:, :2], center - row["to_crop"][[2, 5]])
        for row, center in ((large, (47.5, 63.5)), (small, (23.5, 31.5)))
    ]
    np.testing.assert_allclose(places[0], places[1], atol=1e-9)
    assert large["to_crop"][0] == pytest.approx(2 * small["to_crop"][0])


def test_val_clips_have_no_jitter() -> None:
    settings = replace(VAL, jitter=Jitter(shift=0.04, scale=0.1))
    plain, same = (clip_rows(source((2, 0, 1)), 0, each) for each in (VAL, settings))
    pd.testing.assert_frame_equal(plain, same)


def test_labels_are_none_occluded_or_visible() -> None:
    visible = clip_rows(source((2, 0, 0)), 0, TRAIN).iloc[0]["visible"]
    assert visible[JOINTS.index("right_ankle")] == 1
    assert set(np.delete(visible, JOINTS.index("right_ankle"))) == {2}


def test_a_joint_outside_the_crop_or_without_label_is_not_visible() -> None:
    table = people()
    slots = joints(1, 2, 0)
    slots[SLOTS.index("left_wrist"), :2] = (200, 200)
    slots[SLOTS.index("left_knee")] = 0
    slots[SLOTS.index("left_hip")] = (0, 0, 1)
    table.at[4, "keypoints"] = slots.ravel()
    rows = clip_rows(VideoBoxes("v1", 5, boxes((2, 0, 0)), table), 0, TRAIN)
    visible, positions = rows.iloc[0]["visible"], rows.iloc[0]["keypoints"].reshape(15, 2)
    for name in ("left_wrist", "left_knee", "left_hip"):
        assert visible[JOINTS.index(name)] == 0
    np.testing.assert_array_equal(positions[JOINTS.index("left_knee")], 0)
    assert positions[JOINTS.index("left_wrist")].min() > 128


def test_detections_have_neither_joints_nor_tracks() -> None:
    row = clip_rows(source((2, 0, -1)), 0, VAL).iloc[0]
    assert (row["person"], row["track_id"]) == (-1, -1)
    assert not row["visible"].any()
    assert not row["keypoints"].any()
    assert row["score"] == 0.7


def test_the_flipped_copy_only_swaps_sides() -> None:
    original, flipped = (clip_rows(source((2, 0, 0)), v, VAL).iloc[0] for v in (0, 1))
    assert flipped["flipped"]
    assert not original["flipped"]
    expected, found = (row["keypoints"].reshape(15, 2) for row in (original, flipped))
    for index, name in enumerate(JOINTS):
        x, y = expected[JOINTS.index(other_side(name))]
        np.testing.assert_allclose(found[index], [95 - x, y], atol=1e-9)


def test_a_variant_does_not_depend_on_other_variants_or_clips() -> None:
    single = clip_rows(source((2, 1, 1)), 3, TRAIN).iloc[0]
    one_of_four = clip_rows(source((0, 0, 0), (0, 1, 1), (2, 0, 0), (2, 1, 1)), 3, TRAIN).iloc[3]
    np.testing.assert_array_equal(single["to_crop"], one_of_four["to_crop"])
    assert one_of_four["clip"] == 3


def test_variants_and_people_have_different_transforms() -> None:
    rows = pd.concat([clip_rows(source((2, 0, 0), (2, 1, 1)), v, TRAIN) for v in (1, 2, 3)])
    linear = {tuple(np.round(row[[0, 1, 3, 4]], 6)) for row in rows["to_crop"]}
    assert len(linear) == 6


def test_joints_are_transformed_like_the_pixels_of_the_clip() -> None:
    for variant in range(8):
        row = clip_rows(source((2, 0, 0)), variant, TRAIN).iloc[0]
        matrix = row["to_crop"].reshape(2, 3)
        for index, name in enumerate(JOINTS):
            source_name = other_side(name) if row["flipped"] else name
            x, y, _ = joints(1, 2, 0)[SLOTS.index(source_name)]
            np.testing.assert_allclose(
                row["keypoints"].reshape(15, 2)[index], matrix @ [x, y, 1], atol=1e-9
            )


def test_rows_match_the_schema_and_no_boxes_give_no_rows() -> None:
    rows = clip_rows(source((0, 0, 0), (0, 1, -1)), 1, TRAIN)
    assert len(digest_rows(rows, CLIPS)) == 64
    assert len(clip_rows(source(), 0, TRAIN)) == 0


def test_a_box_of_an_unknown_person_raises_an_error() -> None:
    with pytest.raises(ValueError, match="expected person 5 in the annotations, found none"):
        clip_rows(VideoBoxes("v1", 5, boxes((2, 0, 5)), people()), 0, TRAIN)
