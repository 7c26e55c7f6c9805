"""Mean AP of systems over seeds, with paired bootstrap intervals and ranks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np

from pipeline.evaluation.metrics.posetrack_ap import Matches
from pipeline.report.bootstrap import DrawnAP, Gain, draw_ap, paired_gain
from pipeline.report.run_results import Comparisons


@dataclass(frozen=True, slots=True)
class Versus:
    """The gain of a system over another one."""

    other: str
    gain: Gain


@dataclass(frozen=True, slots=True)
class Score:
    """The score of a system on one split."""

    seeds: tuple[float, ...]
    """Mean AP per seed, percent; one number for a system that is not trained."""
    baseline: Versus | None
    """Gain over the single-frame baseline; None for baselines and controls."""
    control: Versus | None
    """Gain over the control of the highest mean AP."""
    ranks: tuple[int, int]
    """Best and worst rank that the intervals allow: a system is above another one only if the
    interval of their difference does not contain 0."""

    @property
    def mean(self) -> float:
        """Mean over the seeds, percent."""
        return mean(self.seeds)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over the seeds; None with one seed."""
        return stdev(self.seeds) if len(self.seeds) > 1 else None


def score_systems(
    matches: Mapping[str, Sequence[Matches]], comparisons: Comparisons
) -> dict[str, Score]:
    """Return the scores of systems on one split.

    A gain is the difference of the means over the seeds. Its interval comes from a paired bootstrap
    over whole videos: each resample is scored with every seed, and the seeds are averaged.

    Args:
        matches: Labeled predictions of every seed, by system.
        comparisons: Baseline and controls of each head; those that were not run are left out.

    Raises:
        ValueError: If the split has no labeled joint.
    """
    drawn = {name: [draw_ap(each) for each in found] for name, found in matches.items()}
    for name, runs in matches.items():
        if not runs[0].pool.truth.exists.any():
            raise ValueError(f"bench: {name}: expected labeled joints, got none")
    means = {name: _over_seeds(found) for name, found in drawn.items()}
    gains = {
        (name, other): _gain(means[name], means[other])
        for name in means
        for other in means
        if name != other
    }
    scores = {}
    for name, found in drawn.items():
        compared = comparisons.get(name, ())
        controls = [control for control in compared[1:] if control in means]
        best = max(controls, key=lambda control: means[control].values[0], default=None)
        scores[name] = Score(
            seeds=tuple(float(each.values[0]) for each in found),
            baseline=_versus(name, compared[0] if compared else None, gains),
            control=_versus(name, best, gains),
            ranks=_ranks(name, gains),
        )
    return scores


def _over_seeds(drawn: Sequence[DrawnAP]) -> DrawnAP:
    """Return the mean over seeds of the AP of every resample."""
    if any(each.videos != drawn[0].videos for each in drawn):
        raise ValueError("bench: expected the same videos for every seed")
    return DrawnAP(drawn[0].videos, np.mean([each.values for each in drawn], axis=0))


def _gain(system: DrawnAP, other: DrawnAP) -> Gain:
    gain = paired_gain(system, other)
    if gain is None:
        raise ValueError("bench: expected validation videos, got none")
    return gain


def _versus(name: str, other: str | None, gains: Mapping[tuple[str, str], Gain]) -> Versus | None:
    if other is None or (name, other) not in gains:
        return None
    return Versus(other, gains[name, other])


def _ranks(name: str, gains: Mapping[tuple[str, str], Gain]) -> tuple[int, int]:
    """Return the best and the worst rank of a system."""
    intervals = [gain.interval for (system, _), gain in gains.items() if system == name]
    above = sum(interval is not None and interval[1] < 0 for interval in intervals)
    below = sum(interval is not None and interval[0] > 0 for interval in intervals)
    return 1 + above, 1 + len(intervals) - below
