"""Notes of what builds set out to do: many at once, and read back."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.core.publishing.last_build import note_build, read_last_builds
from pipeline.core.units.scratch import find_scratch
from tests.pipeline.toy_stage import make_project, plan_of


def test_slices_that_start_at_the_same_time_leave_one_complete_record(tmp_path: Path) -> None:
    project = make_project(tmp_path / "repo")
    scratch, plan = find_scratch(project), plan_of(project, ["a", "b"])
    with ThreadPoolExecutor(8) as threads:
        notes = [threads.submit(note_build, scratch, plan) for _ in range(60)]
    for note in notes:
        note.result()
    assert read_last_builds(scratch)["data/toy/train"].units == {
        unit.name: unit.key for unit in plan.units
    }
    assert [path.suffix for path in scratch.builds.iterdir()] == [".json"]
