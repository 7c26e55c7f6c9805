"""Computation times of units on this machine, from a log in scratch that is not part of any out."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.units.entry_log import read_entries


@dataclass(frozen=True, slots=True)
class StageTiming:
    """The units of one stage that this machine computed."""

    stage: str
    units: int
    seconds: float
    """Sum over all units."""
    longest: float
    """Seconds of the slowest unit."""
    bytes: int


def read_timings(log: Path) -> list[StageTiming]:
    """Return the entries of the log, summed by stage.

    Args:
        log: One JSON object per line with ``stage``, ``seconds`` and ``bytes``. The file may be
            missing.
    """
    seconds: dict[str, list[float]] = defaultdict(list)
    sizes: dict[str, int] = defaultdict(int)
    for entry in read_entries(log):
        if not {"stage", "seconds", "bytes"} <= entry.keys():
            continue
        seconds[entry["stage"]].append(float(entry["seconds"]))
        sizes[entry["stage"]] += int(entry["bytes"])
    return [
        StageTiming(stage, len(spent), sum(spent), max(spent), sizes[stage])
        for stage, spent in sorted(seconds.items())
    ]
