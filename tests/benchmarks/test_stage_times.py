"""The times of a `dvc repro` by stage: a recorded run, compared with sums by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.process_watch import StageRun, WatchedCommand
from benchmarks.stage_times import FIRST, StageTimes, covered_seconds, time_stages, total

START = 1_795_288_040.0
RECORDED = WatchedCommand(
    start=START + 0.75,
    end=START + 32.0,
    peak=755_133_440,
    runs=(
        StageRun("render", START + 1.875, START + 2.875),
        StageRun("index", START + 3.125, START + 3.75),
        StageRun("detect@train", START + 4.0, START + 4.75),
        StageRun("detect@val", START + 5.0, START + 9.75),
        StageRun("heatmaps@val", START + 10.0, START + 30.0),
    ),
)
"""A run of five stage processes; the log has five units of it and one of an earlier run."""
LOG = [
    {"stage": "detect", "unit": "a", "seconds": 4.0, "finished": START - 3600},
    {"stage": "render", "unit": "a", "seconds": 0.25, "finished": START + 2.625},
    {"stage": "render", "unit": "b", "seconds": 0.125, "finished": START + 2.75},
    {"stage": "detect", "unit": "a", "seconds": 0.5, "finished": START + 9.5},
    # Two workers: their units overlap from 14 to 16 seconds.
    {"stage": "heatmaps", "unit": "a", "seconds": 4.0, "finished": START + 16.0},
    {"stage": "heatmaps", "unit": "b", "seconds": 10.0, "finished": START + 24.0},
]
IMPORTS = {"render": 0.25, "index": 1.0, "detect": 0.5, "heatmaps": 1.5}


def parts(row: StageTimes) -> tuple[float, ...]:
    return row.imports, row.before, row.units, row.other, row.dvc


def test_a_recorded_run_is_divided_by_stage() -> None:
    rows = {row.stage: row for row in time_stages(RECORDED, LOG, IMPORTS)}
    assert list(rows) == [FIRST, "render", "index", "detect", "heatmaps"]
    assert parts(rows[FIRST]) == (0.0, 0.0, 0.0, 0.0, 1.125)
    # The first unit starts 0.5 s after the process, of which imports take 0.25 s.
    assert parts(rows["render"]) == (0.25, 0.25, 0.375, 0.125, 0.25)
    # No units: imports cannot take longer than the process, which lives 0.625 s.
    assert parts(rows["index"]) == (0.625, 0.0, 0.0, 0.0, 0.25)
    # Two processes; only the second one computes a unit, from 4.0 to 4.5 s after its start.
    assert parts(rows["detect"]) == (1.0, 3.5, 0.5, 0.5, 0.5)
    assert rows["detect"].runs == 2
    # The units cover 12 to 24 s; the process ends at 30 s.
    assert parts(rows["heatmaps"]) == (1.5, 0.5, 12.0, 6.0, 2.0)


def test_all_parts_add_up_to_the_duration_of_the_command() -> None:
    everything = total(time_stages(RECORDED, LOG, IMPORTS))
    assert everything.runs == len(RECORDED.runs)
    assert sum(parts(everything)) == pytest.approx(RECORDED.seconds)


def test_a_command_without_stages_is_all_dvc() -> None:
    command = WatchedCommand(START, START + 1.5, 0, ())
    assert [parts(row) for row in time_stages(command, LOG, IMPORTS)] == [(0.0, 0.0, 0.0, 0.0, 1.5)]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10)), max_size=8))
def test_covered_seconds_count_every_second_once(spans: list[tuple[int, int]]) -> None:
    intervals = [(float(start), float(start + length)) for start, length in spans]
    seconds = {second for start, length in spans for second in range(start, start + length)}
    assert covered_seconds(intervals) == len(seconds)
