"""Files and frames are paired; ground truth and predictions that do not fit are refused."""

from pathlib import Path

import pytest

from pipeline.evaluation.metrics.posetrack_pool import pool, read_pairs
from tests.posetrack_documents import (
    Document,
    add_person,
    add_prediction,
    document,
    everywhere,
    write,
)


def files(tmp_path: Path, truth: Document, predicted: Document) -> tuple[Path, Path]:
    return write(tmp_path / "gt", {"a": truth}), write(tmp_path / "pred", {"a": predicted})


def two_frames() -> tuple[Document, Document]:
    truth = add_person(document(2), 0, everywhere(50, 50))
    return truth, add_prediction(document(2), 0, everywhere(50, 50))


def test_files_are_paired_by_name_and_sorted_and_other_files_are_ignored(tmp_path: Path) -> None:
    truth, predicted = two_frames()
    gt = write(tmp_path / "gt", {"b": truth, "a": truth})
    pred = write(tmp_path / "pred", {"a": predicted, "b": predicted, "stray": predicted})
    assert [pair.name for pair in read_pairs(gt, pred)] == ["a", "b"]


def test_missing_folders_and_files_are_named(tmp_path: Path) -> None:
    truth, predicted = two_frames()
    gt, pred = files(tmp_path, truth, predicted)
    with pytest.raises(ValueError, match="nowhere: expected a folder of prediction files"):
        read_pairs(gt, tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"expected \*\.json files, one per video, found none"):
        read_pairs(write(tmp_path / "empty", {}), pred)
    write(gt, {"z": truth})
    with pytest.raises(ValueError, match=r"2 ground-truth files, 1 are missing, first z\.json"):
        read_pairs(gt, pred)


@pytest.mark.parametrize("frames", [1, 3])
def test_a_missing_or_extra_frame_is_refused(frames: int, tmp_path: Path) -> None:
    truth, _ = two_frames()
    pairs = read_pairs(*files(tmp_path, truth, document(frames)))
    with pytest.raises(ValueError, match=f"expected 2 frames, as .* has, got {frames}; frames"):
        pool(pairs, "poseval")


def test_frames_in_a_different_order_are_refused(tmp_path: Path) -> None:
    truth, predicted = two_frames()
    predicted["images"].reverse()
    pairs = read_pairs(*files(tmp_path, truth, predicted))
    with pytest.raises(ValueError, match=r"images\[0\]\.id: expected 1, as in .*, got 2"):
        pool(pairs, "poseval")


def test_only_poseval_pairs_unknown_ids_by_position(tmp_path: Path) -> None:
    truth, predicted = two_frames()
    for row in predicted["images"]:
        row["id"] += 50
    for row in predicted["annotations"]:
        row["image_id"] += 50
    pairs = read_pairs(*files(tmp_path, truth, predicted))
    assert pool(pairs, "poseval").predicted.frame.tolist() == [0]
    with pytest.raises(ValueError, match=r"images\[0\]\.id: expected 1"):
        pool(pairs, "posetrack21")


def test_posetrack21_needs_is_labeled(tmp_path: Path) -> None:
    truth, predicted = two_frames()
    del truth["images"][1]["is_labeled"]
    pairs = read_pairs(*files(tmp_path, truth, predicted))
    assert pool(pairs, "poseval").used.tolist() == [True, False]
    with pytest.raises(ValueError, match="expected `is_labeled` on every image"):
        pool(pairs, "posetrack21")


def test_an_ignore_region_of_two_corners_is_refused(tmp_path: Path) -> None:
    truth, predicted = two_frames()
    truth["images"][1] |= {"ignore_regions_x": [[1, 2]], "ignore_regions_y": [[1, 2]]}
    pairs = read_pairs(*files(tmp_path, truth, predicted))
    with pytest.raises(ValueError, match="region of frame 1: expected at least 3 corners, got 2"):
        pool(pairs, "poseval")
