"""Command gc: what it removes and what it keeps."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pipeline.core.publishing.publish import publish
from pipeline.core.units.receipts import check, seal
from pipeline.core.units.scratch import Scratch, find_scratch
from pipeline.maintenance.gc import DAY, find_removable, remove
from posereel.cli import load
from tests.pipeline.toy_stage import calls, key_of, make_project, run_stage, tree

app = load("gc")

PUBLISHED, REPLACED = "bonn/v0", "street/v0"
NOW = 1_700_000_000.0


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with one published unit and one unit that is no longer published."""
    project = make_project(tmp_path / "repo")
    run_stage(project, [PUBLISHED, REPLACED])
    run_stage(project, [PUBLISHED])
    monkeypatch.chdir(project)
    return project


def unit(project: Path, name: str) -> Path:
    return find_scratch(project).unit_folder("toy", key_of(name))


def last_used(project: Path, name: str, *, days: float) -> None:
    time = NOW - days * DAY
    os.utime(unit(project, name) / "receipt.json", (time, time))


def removable(project: Path) -> list[tuple[str, str]]:
    found = find_removable(find_scratch(project), 14 * DAY, NOW)
    return [(one.kind, one.name) for one in found]


def gc(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_an_old_unit_without_links_is_removable(project: Path) -> None:
    for days, expected in ((13.9, []), (14.1, [("unit", key_of(REPLACED))])):
        last_used(project, PUBLISHED, days=days)
        last_used(project, REPLACED, days=days)
        assert removable(project) == expected


def test_publishing_counts_as_use(project: Path) -> None:
    last_used(project, REPLACED, days=400)
    before = (unit(project, REPLACED) / "receipt.json").stat().st_mtime
    run_stage(project, [REPLACED])
    assert (unit(project, REPLACED) / "receipt.json").stat().st_mtime > before + 300 * DAY


def test_an_old_interrupted_attempt_is_removable(project: Path) -> None:
    folder = unit(project, "half/v0")
    (folder / "files").mkdir(parents=True)
    (folder / "files/c.0.0.partial").write_text("half")
    os.utime(folder, (NOW - DAY, NOW - DAY))
    assert ("unit", folder.name) not in removable(project)
    os.utime(folder, (NOW - 15 * DAY, NOW - 15 * DAY))
    assert ("unit", folder.name) in removable(project)


def run_of(scratch: Scratch, key: str, *, finished: bool) -> Path:
    folder = scratch.unit_folder("train", key)
    (folder / "files").mkdir(parents=True)
    (folder / "checkpoint.safetensors").write_bytes(b"1234")
    if finished:
        (folder / "files/weights.safetensors").write_bytes(b"12")
        seal(folder, "jmpose")
    return folder


def test_only_checkpoints_of_finished_runs_are_removable(
    project: Path,
) -> None:
    scratch = find_scratch(project)
    os.utime(run_of(scratch, "a" * 64, finished=False), (1, 1))
    finished = run_of(scratch, "b" * 64, finished=True)
    found = find_removable(scratch, 14 * DAY, NOW)
    assert [(one.kind, one.name, one.bytes) for one in found] == [("checkpoint", "b" * 64, 4)]
    assert remove(scratch, found[0], 14 * DAY)
    assert sorted(path.name for path in finished.iterdir()) == ["files", "receipt.json"]
    assert check(finished) is not None
    assert find_removable(scratch, 14 * DAY, NOW) == []


def test_nothing_is_removed_without_yes_and_exactly_the_listed_folders_with_it(
    project: Path,
) -> None:
    last_used(project, REPLACED, days=400)
    leftover = find_scratch(project).assembly / "out-1234"
    leftover.mkdir(parents=True)
    before = tree(project / "data")
    listed = gc()
    assert listed.exit_code == 0, listed.output
    assert "toy: 1 units" in listed.stdout
    assert "would remove (--yes does) 2 folders" in listed.stdout
    assert unit(project, REPLACED).exists()
    removed = json.loads(gc("--yes", "--json").stdout)
    assert removed["removed"] is True
    assert {row["name"] for row in removed["folders"]} == {key_of(REPLACED), "out-1234"}
    assert removed["bytes"] == sum(row["bytes"] for row in removed["folders"]) > 0
    assert not unit(project, REPLACED).exists()
    assert not leftover.exists()
    assert unit(project, PUBLISHED).exists()
    assert tree(project / "data") == before
    assert json.loads(gc("--json").stdout)["folders"] == []
    (project / "calls.log").unlink()
    run_stage(project, [PUBLISHED])
    assert calls(project / "calls.log") == []


def test_a_unit_that_is_used_again_before_its_removal_is_kept(project: Path) -> None:
    last_used(project, REPLACED, days=400)
    scratch = find_scratch(project)
    (found,) = find_removable(scratch, 14 * DAY, NOW)
    run_stage(project, [REPLACED])
    assert not remove(scratch, found, 14 * DAY)
    assert unit(project, REPLACED).exists()


def test_gc_fails_while_a_stage_runs_and_outside_a_repository(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_used(project, REPLACED, days=400)
    with find_scratch(project).lock("toy-unit"):
        result = gc("--yes")
    assert result.exit_code == 1
    assert "a stage is running (lock 'toy-unit' is held)" in result.stderr
    assert unit(project, REPLACED).exists()
    monkeypatch.chdir(tmp_path)
    assert "not inside a DVC repository" in gc().stderr


def test_gc_beside_a_build_removes_no_unit_between_its_computation_and_its_publication(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results: list[Result] = []

    def publish_after_gc(*arguments: Any) -> None:  # noqa: ANN401
        results.append(gc("--yes", "--older-than", "0"))
        publish(*arguments)

    monkeypatch.setattr("pipeline.core.publishing.build.publish", publish_after_gc)
    assert run_stage(project, ["new/v0"]).published
    assert results[0].exit_code == 1
    assert "a stage is running (lock 'running' is held)" in results[0].stderr
    assert gc("--yes", "--older-than", "0").exit_code == 0
