"""What each part of a trained head does, as ``posereel liveness`` measures it.

Every part that the head's folder declares is replaced at test time, without retraining. Heads run
on the clips of val_gt as in the stage predict, in the same batches.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from models.head_parts.lookup import find_parts, find_system
from models.head_parts.replaced_parts import DeclareParts, Part, run_measured, run_replaced
from pipeline.core.caches.clip_table import clips_file
from pipeline.core.params import read_section
from pipeline.core.posetrack.reader import read_annotations, read_predictions
from pipeline.core.system_params import read_system
from pipeline.core.units.progress import progress
from pipeline.core.units.run_time import read_extract
from pipeline.core.units.threads import limit_threads
from pipeline.evaluation.evaluation import DECIMALS
from pipeline.evaluation.metrics.posetrack_ap import match
from pipeline.evaluation.metrics.posetrack_pool import Protocol, VideoPair, pool
from pipeline.prediction.poses import VideoClips
from pipeline.prediction.prediction import Prediction
from pipeline.prediction.videos import ClipReader, RunBatch, write_video
from pipeline.report.bootstrap import DrawnAP, Gain, draw_ap, paired_gain
from pipeline.report.liveness import PartEffect
from pipeline.training.collapse import ClipSpread
from stages.evaluate import Evaluate
from stages.predict import read_inputs

SPLIT = "val_gt"
Clip = tuple[str, int]
"""Video and row in its units."""


def measure_system(system: str, data: Path, params: Path) -> dict[str, PartEffect]:
    """Measure every part of a trained system on val_gt.

    Args:
        system: A system whose folder has a ``parts.py``.
        data: Folder of all outputs.
        params: The params file.

    Raises:
        ValueError: If the system has no parts, or its run or its caches are missing.
    """
    declare = find_parts(system)
    _refuse_missing(system, data, params)
    limit_threads(read_extract(params)[0].threads)
    protocol = read_section(params, "evaluate", Evaluate).protocol
    return measure_parts(read_inputs(system, data, params)[SPLIT], declare, protocol)


def measure_parts(
    prediction: Prediction, declare: DeclareParts, protocol: Protocol
) -> dict[str, PartEffect]:
    """Measure every part of a head.

    Args:
        prediction: The head, its clips and the decoding.
        declare: Returns the parts of the head.
        protocol: Rules of the evaluation.

    Returns:
        Effect by name of the part, in the order in which they are declared.
    """
    reader = ClipReader(prediction)
    head = reader.load_head()
    parts = declare(head.get_submodule("head"))
    spreads = {part.name: ClipSpread() for part in parts}
    others = partners(prediction.videos)
    effects = {}
    with progress("liveness", len(parts) + 1, f"passes over {SPLIT}") as advance:
        trained = _draw(prediction, protocol, partial(_run_trained, head, parts, reader, spreads))
        advance()
        for part in parts:
            run = partial(_run_replaced, head, part, reader, others)
            gain = paired_gain(_draw(prediction, protocol, run), trained)
            effects[part.name] = _effect(gain, spreads[part.name].share())
            advance()
    return effects


def partners(videos: Mapping[str, VideoClips]) -> dict[Clip, Clip]:
    """Return another clip for every clip, of another video where possible.

    Args:
        videos: The videos of a split.
    """
    clips = [(name, int(row)) for name, video in videos.items() for row in video.clips["clip"]]
    # Clips are sorted by video: a step as long as the longest video leaves each video.
    step = max((len(video.clips) for video in videos.values()), default=0)
    if step == len(clips):  # A single video has clips.
        step //= 2
    return dict(zip(clips, clips[step:] + clips[:step], strict=True))


def _run_trained(
    head: nn.Module,
    parts: Sequence[Part],
    reader: ClipReader,
    spreads: Mapping[str, ClipSpread],
    unit: str,
    rows: NDArray[np.int32],
) -> Tensor:
    """Run the head as it was trained and add the outputs of its parts to their spreads."""
    heatmaps, outputs = run_measured(head, parts, reader.read([unit] * len(rows), rows))
    if unit.endswith("/v0"):  # Mirror images are the same clips.
        for name, values in outputs.items():
            spreads[name].add(values)
    return heatmaps


def _run_replaced(
    head: nn.Module,
    part: Part,
    reader: ClipReader,
    others: Mapping[Clip, Clip],
    unit: str,
    rows: NDArray[np.int32],
) -> Tensor:
    """Run the head with one part replaced."""
    video, variant = unit.rsplit("/", 1)
    own = reader.read([unit] * len(rows), rows)
    if not part.needs_another_clip:
        return run_replaced(head, part, own, own)
    clips = [others[video, int(row)] for row in rows]
    names, numbers = zip(*clips, strict=True)
    other = reader.read([f"{name}/{variant}" for name in names], np.array(numbers, np.int32))
    return run_replaced(head, part, own, other)


def _draw(prediction: Prediction, protocol: Protocol, run: RunBatch) -> DrawnAP:
    """Predict all videos and return the mean AP over resamples of them."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pairs = []
        for name, video in prediction.videos.items():
            write_video(folder, name, prediction, run)
            truth = read_annotations(video.annotation)
            pairs.append(VideoPair(name, truth, read_predictions(folder / f"{name}.json")))
        return draw_ap(match(pool(pairs, protocol)))


def _effect(gain: Gain | None, share: float) -> PartEffect:
    if gain is None:
        raise ValueError(f"{SPLIT}: expected videos, got none; set the split of the data set")
    low, high = gain.interval or (math.nan, math.nan)
    return PartEffect(*(_rounded(value) for value in (gain.mean, low, high, share)))


def _rounded(value: float) -> float | None:
    # Adding 0 turns -0.0 into 0.0.
    return None if math.isnan(value) else round(value, DECIMALS) + 0


def _refuse_missing(system: str, data: Path, params: Path) -> None:
    """Check that the files exist which the stages up to predict make.

    Raises:
        ValueError: If one is missing.
    """
    described = read_system(params, system, find_system(system))
    needed = [data / "index" / "videos.parquet", clips_file(data, described.crops, SPLIT)]
    needed += [data / kind / SPLIT / "digests.json" for kind in described.caches]
    if described.weights is not None:
        needed.append(data / "runs" / system)
    for path in needed:
        if not path.exists():
            raise ValueError(
                f"{path}: expected the run of {system} and its inputs, got no such file; run "
                f"`dvc repro predict@{system}`"
            )
