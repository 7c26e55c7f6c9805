"""Outs other than a folder of units: one file for all units, further outs, checkpoints."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.core.dvc_files import md5, object_path
from pipeline.core.publishing.build import BuildSummary, build
from pipeline.core.units.key import Unit
from pipeline.core.units.options import RunOptions
from pipeline.core.units.plan import Plan, SingleFile, UnitFolders
from pipeline.core.units.scratch import find_scratch
from tests.pipeline.toy_stage import key_of, make_project

NAMES = ["a", "b", "c"]


def merge(units: UnitFolders, out: Path) -> None:
    out.write_text("".join(f"{name} {(units[name] / 'row').read_text()}\n" for name in units))


def cut(out: Path, name: str, folder: Path) -> None:
    rows = dict(line.split(" ") for line in out.read_text().splitlines())
    (folder / "row").write_text(rows[name])


def write_count(units: UnitFolders, out: Path) -> None:
    out.write_text(str(len(units)))


def make_task() -> Callable[[str, Path], None]:
    return lambda name, folder: (folder / "row").write_text(name * 3) and None


def table(project: Path, names: list[str]) -> Plan:
    """Return the plan of a table with a row per unit, and of a further out, their number."""
    return Plan(
        stage="rows",
        modules=[],
        out=project / "data/rows.txt",
        listing=project / "data/units/rows/all.json",
        units=[Unit(name, key_of(name), 10) for name in names],
        make_task=make_task,
        run=RunOptions(),
        single_file=SingleFile(merge, cut),
        further={project / "data/metrics/count": write_count},
    )


def counts(done: BuildSummary) -> tuple[int, int]:
    return done.computed, done.reused


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "repo")


def commit_like_dvc(project: Path, *outs: str) -> None:
    """Copy files into DVC's cache and write a lock file with their hashes."""
    entries = []
    for out in outs:
        content = (project / out).read_bytes()
        stored = object_path(project / ".dvc/cache", md5(content))
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_bytes(content)
        entries.append({"path": out, "md5": md5(content)})
    with (project / "dvc.lock").open("w") as file:
        YAML().dump({"stages": {"rows": {"cmd": "python x", "outs": entries}}}, file)


def test_units_are_merged_into_one_file_and_further_outs_are_written(project: Path) -> None:
    assert counts(build(table(project, NAMES))) == (3, 0)
    assert (project / "data/rows.txt").read_text() == "a aaa\nb bbb\nc ccc\n"
    assert (project / "data/metrics/count").read_text() == "3"
    assert counts(build(table(project, NAMES[:2]))) == (0, 2)
    assert (project / "data/rows.txt").read_text() == "a aaa\nb bbb\n"
    assert (project / "data/metrics/count").read_text() == "2"


def test_units_are_cut_out_of_the_file_in_dvcs_cache(project: Path) -> None:
    build(table(project, NAMES))
    commit_like_dvc(project, "data/rows.txt", "data/units/rows/all.json")
    before = (project / "data/rows.txt").read_bytes()
    for stored in (project / ".dvc/cache/scratch/rows").iterdir():
        (stored / "receipt.json").unlink()
    assert counts(build(table(project, NAMES))) == (0, 3)
    assert (project / "data/rows.txt").read_bytes() == before


def test_a_row_with_other_bytes_than_listed_is_computed(project: Path) -> None:
    build(table(project, NAMES))
    (project / "data/rows.txt").write_text("a aaa\nb changed\nc ccc\n")
    commit_like_dvc(project, "data/rows.txt", "data/units/rows/all.json")
    for stored in (project / ".dvc/cache/scratch/rows").iterdir():
        (stored / "receipt.json").unlink()
    assert counts(build(table(project, NAMES))) == (1, 2)
    assert (project / "data/rows.txt").read_text() == "a aaa\nb bbb\nc ccc\n"


def test_a_unit_that_cannot_be_restored_keeps_its_checkpoint(project: Path) -> None:
    build(table(project, NAMES))
    listing = json.loads((project / "data/units/rows/all.json").read_text())
    listing["b"]["digest"] = "0" * 64
    (project / "data/units/rows/all.json").write_text(json.dumps(listing))
    commit_like_dvc(project, "data/rows.txt", "data/units/rows/all.json")
    folder = find_scratch(project).unit_folder("rows", key_of("b"))
    (folder / "receipt.json").unlink()
    (folder / "checkpoint.safetensors").write_bytes(b"state")
    assert counts(build(table(project, NAMES))) == (1, 2)
    assert (folder / "checkpoint.safetensors").read_bytes() == b"state"
