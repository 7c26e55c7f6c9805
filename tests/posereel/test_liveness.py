"""What parts do, on a toy head whose effects are known, against a literal computation."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from models.head_parts.building import CacheHead
from models.head_parts.replaced_parts import Input, Output, Part, another_clips, key_frames, zero
from pipeline.core.heatmap import encode
from pipeline.core.posetrack.reader import read_annotations
from pipeline.core.skeleton import JOINT_SLOTS, SLOTS
from pipeline.evaluation.metrics.posetrack_ap import match, score
from pipeline.evaluation.metrics.posetrack_pool import VideoPair, pool
from pipeline.prediction.poses import DecodeConfig, VideoClips
from pipeline.prediction.prediction import Prediction
from pipeline.report.bootstrap import DRAWS, draw_videos
from posereel.liveness import measure_parts, partners
from tests.pipeline.tiny_caches import CROP, STORED, K, clip_frame, write_store

CLIPS_OF = {"alley": 3, "bonn": 2, "creek": 2}
GRID = (CROP[0] // 4, CROP[1] // 4)
MIDDLE = STORED // 2


class Toy(nn.Module):
    """Draws the key frame's heatmaps; joints from ``half`` on pass through ``gate``."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Identity()
        self.dead = nn.Linear(1, 1)
        nn.init.zeros_(self.dead.weight)

    def forward(self, heatmaps: Tensor) -> Tensor:
        key = heatmaps[:, MIDDLE]
        constant = self.dead(key[:, 0, 0, :1])  # the same for every clip
        gated = self.gate(key[:, K // 2 :])
        return torch.cat([key[:, : K // 2], gated], dim=1) + 0 * constant[:, :, None, None]


def declare(head: nn.Module) -> list[Part]:
    assert isinstance(head, Toy)
    return [
        Part("dead of another clip", (Output(head.dead, another_clips),)),
        Part("neighbors", (Input("heatmaps", key_frames),)),
        Part("gate := 0", (Output(head.gate, zero),)),
        Part("gate of another clip", (Output(head.gate, another_clips),)),
        Part("all := 0", (Output(head, zero, read=None),)),
    ]


def joints_of(video: str, clip: int) -> np.ndarray:
    generator = np.random.default_rng([*video.encode(), clip])
    return generator.uniform([13, 14], [CROP[1] - 14, CROP[0] - 15], (K, 2))


def draw(video: str) -> np.ndarray:
    """Return heatmaps whose key frame shows some joints at a wrong place, others right."""
    generator = np.random.default_rng(list(video.encode()))
    maps = generator.uniform(0, 0.1, (CLIPS_OF[video], STORED, K, *GRID))
    for clip in range(len(maps)):
        points = joints_of(video, clip)
        wrong = generator.uniform(size=K) < {"alley": 0.1, "bonn": 0.5, "creek": 0.3}[video]
        points[wrong] = points[wrong][:, ::-1]
        peaks = generator.uniform(0.3, 1, (K, 1, 1))
        maps[clip, MIDDLE] = peaks * encode(points, np.full(K, 2), GRID, 1.5)
    return maps.astype(np.float16)


def truth(video: str, clips: pd.DataFrame) -> dict[str, object]:
    """Return a ground truth with one frame per clip."""
    people = []
    for clip, row in enumerate(clips.to_dict("records")):
        # clip_frame's transform: x_crop = x / 2 + 3 + clip, y_crop = y / 2 - 2.
        keypoints = np.zeros((17, 3))
        keypoints[JOINT_SLOTS, :2] = (joints_of(video, clip) - [row["to_crop"][2], -2]) * 2
        keypoints[JOINT_SLOTS, 2] = 1
        people.append(
            {"id": clip, "image_id": clip, "track_id": 0, "keypoints": keypoints.ravel().tolist(),
             "bbox": [0, 0, 60, 120], "bbox_head": [0, 0, 12, 16]}
        )  # fmt: skip
    images = [{"id": i, "file_name": f"{i}.jpg", "is_labeled": True} for i in range(len(clips))]
    category = {"supercategory": "person", "id": 1, "name": "person", "keypoints": list(SLOTS)}
    return {"images": images, "annotations": people, "categories": [category]}


@pytest.fixture(scope="module")
def prediction(tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    folder = tmp_path_factory.mktemp("data")
    store = write_store(folder / "heatmaps", "heatmaps", {f"{v}/v0": draw(v) for v in CLIPS_OF})
    frame = clip_frame(1, CLIPS_OF)
    videos = {}
    for video in CLIPS_OF:
        clips = frame[frame["video"] == video].reset_index(drop=True).assign(score=1.0)
        file = folder / f"{video}.json"
        file.write_text(json.dumps(truth(video, clips)))
        videos[video] = VideoClips(file, clips, np.arange(len(clips)))
    return Prediction(
        folders={"heatmaps": store},
        frames=STORED,
        weights=None,
        build_head=lambda *_: CacheHead(head=Toy()),
        videos=videos,
        decoding=DecodeConfig(decoding="argmax", blur=1.0, score="joint", flip=False, batch=2),
        device="cpu",
    )


def scored(prediction: Prediction, heatmaps: Mapping[str, np.ndarray], copies: list[int]) -> float:
    """Return the mean AP of copies of videos, from joints at the maxima of heatmaps."""
    pairs = []
    for (video, found), times in zip(prediction.videos.items(), copies, strict=True):
        document = truth(video, found.clips)
        for clip, person in enumerate(document["annotations"]):  # type: ignore[arg-type]
            keypoints, scores = np.zeros((17, 3)), np.zeros(17)
            for joint, heatmap in enumerate(heatmaps[video][clip]):
                row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
                shift = found.clips["to_crop"][clip][2]
                keypoints[JOINT_SLOTS[joint]] = ((4 * column - shift) * 2, (4 * row + 2) * 2, 1)
                scores[JOINT_SLOTS[joint]] = heatmap.max()
            person |= {"keypoints": keypoints.ravel().tolist(), "scores": scores.tolist()}
        file = found.annotation.with_suffix(".literal")
        file.write_text(json.dumps(document))
        predicted = read_annotations(file)
        pairs += [VideoPair(video, read_annotations(found.annotation), predicted)] * times
    return float(score(match(pool(pairs, "poseval")))["ap_total"])


def literal_effect(
    prediction: Prediction, replaced: Mapping[str, np.ndarray]
) -> tuple[float, float, float]:
    """Return change and interval: one score for every resample of the videos."""
    trained = {video: draw(video)[:, MIDDLE] for video in CLIPS_OF}
    known: dict[tuple[int, ...], float] = {}

    def change(copies: list[int]) -> float:
        if tuple(copies) not in known:
            known[tuple(copies)] = scored(prediction, replaced, copies) - scored(
                prediction, trained, copies
            )
        return known[tuple(copies)]

    changes = sorted(change(copies) for copies in draw_videos(3).tolist())
    ends = []
    for quantile in (0.025, 0.975):
        place = quantile * (DRAWS - 1)
        below, share = int(place), place % 1
        ends.append((1 - share) * changes[below] + share * changes[below + 1])
    return change([1, 1, 1]), ends[0], ends[1]


def gated(by: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        video: np.concatenate([draw(video)[:, MIDDLE, : K // 2], by[video]], axis=1)
        for video in CLIPS_OF
    }


def test_a_part_that_does_nothing_changes_nothing(prediction: Prediction) -> None:
    effects = measure_parts(prediction, declare, "poseval")
    dead = effects["dead of another clip"]
    assert (dead.change, dead.low, dead.high, dead.share) == (0, 0, 0, 0)
    neighbors = effects["neighbors"]
    assert (neighbors.change, neighbors.low, neighbors.high) == (0, 0, 0)
    assert neighbors.share is not None
    assert neighbors.share > 0.5


def test_a_head_without_its_only_part_loses_everything(prediction: Prediction) -> None:
    trained = scored(prediction, {v: draw(v)[:, MIDDLE] for v in CLIPS_OF}, [1, 1, 1])
    effect = measure_parts(prediction, declare, "poseval")["all := 0"]
    assert trained > 40
    assert effect.change == pytest.approx(-trained, abs=1e-3)
    assert effect.share is None


def test_changes_and_intervals_are_those_of_a_literal_computation(prediction: Prediction) -> None:
    nothing = {video: np.zeros((n, K - K // 2, *GRID)) for video, n in CLIPS_OF.items()}
    # The 7 clips in order, each with the one 3 further on: as many as alley has.
    every = np.concatenate([draw(video)[:, MIDDLE, K // 2 :] for video in CLIPS_OF])
    moved = np.split(np.roll(every, -3, axis=0), [3, 5])
    others = dict(zip(CLIPS_OF, moved, strict=True))
    effects = measure_parts(prediction, declare, "poseval")
    for name, by in {"gate := 0": nothing, "gate of another clip": others}.items():
        effect = effects[name]
        expected = literal_effect(prediction, gated(by))
        assert expected[1] < expected[0] < expected[2] < 0
        assert (effect.change, effect.low, effect.high) == pytest.approx(expected, abs=1e-3), name


def test_the_share_is_that_of_all_clips_together(prediction: Prediction) -> None:
    values = np.concatenate([draw(video)[:, MIDDLE, K // 2 :] for video in CLIPS_OF])
    flat = values.astype(np.float64).reshape(7, -1)
    expected = np.sqrt(flat.var(axis=0).mean()) / flat.std()
    effect = measure_parts(prediction, declare, "poseval")["gate := 0"]
    assert effect.share == pytest.approx(expected, abs=1e-4)


def test_effects_are_the_same_in_every_run(prediction: Prediction) -> None:
    first, second = (measure_parts(prediction, declare, "poseval") for _ in range(2))
    assert first == second


def videos_with(**counts: int) -> dict[str, VideoClips]:
    return {
        name: VideoClips(Path(), pd.DataFrame({"clip": range(count)}), np.arange(count))
        for name, count in counts.items()
    }


@pytest.mark.parametrize(
    "counts", [{"a": 3, "b": 2, "c": 2}, {"a": 1, "b": 4, "c": 3}, {"a": 2, "b": 2}, {"a": 0}]
)
def test_another_clip_is_of_another_video(counts: dict[str, int]) -> None:
    found = partners(videos_with(**counts))
    assert len(found) == sum(counts.values())
    assert sorted(found.values()) == sorted(found)
    assert all(clip[0] != other[0] for clip, other in found.items())


def test_another_clip_is_of_another_video_as_often_as_there_are_such_clips() -> None:
    found = partners(videos_with(a=1, b=5, c=1))
    same = [clip for clip, other in found.items() if clip[0] == other[0]]
    assert len(same) == 3
    assert all(clip != other for clip, other in partners(videos_with(a=0, b=4)).items())
