"""Divide the time of a `dvc repro` by stage: imports, units, other work of the stages, and DVC."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.process_watch import StageRun, WatchedCommand

FIRST = "(before the first stage)"
"""Name of the row with the time that DVC takes before it starts a stage."""
_TOLERANCE = 0.05
"""Seconds that a unit may end after its process, by rounding of the log."""

Interval = tuple[float, float]
"""Start and end in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Seconds of all processes of a stage.

    ``imports``, ``before``, ``units`` and ``other`` add up to the lifetime of the processes. Over
    all rows, these four and ``dvc`` add up to the duration of the command.
    """

    stage: str
    runs: int
    """Number of processes."""
    imports: float
    """Start of Python and import of the stage's module, measured separately."""
    before: float
    """Rest of the time until the first unit starts: plans, keys, lazy imports, networks."""
    units: float
    """At least one unit is being computed, in any process."""
    other: float
    """Rest: publishing, and all work of a process that computes no unit."""
    dvc: float
    """DVC between the end of the process and the start of the next one."""


def time_stages(
    command: WatchedCommand, log: Iterable[Mapping[str, Any]], imports: Mapping[str, float]
) -> list[StageTimes]:
    """Return the times of every stage in the order of their first start.

    Args:
        command: A finished `dvc repro`.
        log: Entries of the log of units with ``finished``, seconds since the epoch, and
            ``seconds``. Units of other commands are ignored.
        imports: Seconds for starting Python and importing the module of a stage, by stage.
    """
    entries = list(log)
    starts = [*(run.start for run in command.runs), command.end]
    before_all = starts[0] - command.start
    rows = {FIRST: StageTimes(FIRST, 0, 0.0, 0.0, 0.0, 0.0, before_all)}
    for run, next_start in zip(command.runs, starts[1:], strict=True):
        stage = run.address.partition("@")[0]
        times = _time_run(run, units_of(run, entries), imports.get(stage, 0.0), next_start)
        rows[stage] = _add(rows[stage], times) if stage in rows else times
    return list(rows.values())


def total(rows: Iterable[StageTimes]) -> StageTimes:
    """Return the sum of all rows."""
    result = StageTimes("all", 0, 0.0, 0.0, 0.0, 0.0, 0.0)
    for row in rows:
        result = _add(result, row)
    return result


def units_of(run: StageRun, entries: Iterable[Mapping[str, Any]]) -> list[Interval]:
    """Return when the units of a process were computed. DVC runs one process at a time."""
    return [
        (max(run.start, entry["finished"] - entry["seconds"]), min(run.end, entry["finished"]))
        for entry in entries
        if run.start <= entry.get("finished", 0.0) <= run.end + _TOLERANCE
    ]


def covered_seconds(intervals: Iterable[Interval]) -> float:
    """Return the length of the union of intervals."""
    covered, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered


def _time_run(
    run: StageRun, units: Sequence[Interval], imports: float, next_start: float
) -> StageTimes:
    lifetime = run.end - run.start
    imports = min(imports, lifetime)
    before = 0.0
    if units:
        until_first = min(start for start, _ in units) - run.start
        imports = min(imports, until_first)
        before = until_first - imports
    computing = covered_seconds(units)
    other = lifetime - imports - before - computing
    stage = run.address.partition("@")[0]
    return StageTimes(stage, 1, imports, before, computing, other, next_start - run.end)


def _add(first: StageTimes, second: StageTimes) -> StageTimes:
    return StageTimes(
        first.stage,
        first.runs + second.runs,
        first.imports + second.imports,
        first.before + second.before,
        first.units + second.units,
        first.other + second.other,
        first.dvc + second.dvc,
    )
