"""Notes of what builds set out to do: many at once, and read back."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.publishing.last_build import note_begun, read_begun
from pipeline.units.scratch import find_scratch
from tests.pipeline.toy_stage import make_project, plan_of


def test_slices_that_begin_at_the_same_time_leave_one_whole_note(tmp_path: Path) -> None:
    project = make_project(tmp_path / "repo")
    scratch, plan = find_scratch(project), plan_of(project, ["a", "b"])
    with ThreadPoolExecutor(8) as threads:
        notes = [threads.submit(note_begun, scratch, plan) for _ in range(60)]
    for note in notes:
        note.result()
    assert read_begun(scratch)["data/toy/train"].units == {
        unit.name: unit.key for unit in plan.units
    }
    assert [path.suffix for path in scratch.begun.iterdir()] == [".json"]
