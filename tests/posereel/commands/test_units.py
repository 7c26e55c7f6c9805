"""Command units: the units of several machines are joined, verified and never overwritten."""

import io
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipeline.core.units.options import RunOptions
from pipeline.core.units.scratch import find_scratch
from posereel.cli import load
from tests.pipeline.toy_stage import calls, key_of, make_project, run_stage, tree

app = load("units")
NAMES = ["a/v0", "b/v0", "c/v0", "d/v0"]


def units(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def machine(folder: Path, part: tuple[int, int] | None) -> Path:
    """Return a project in which one slice is computed."""
    project = make_project(folder)
    if part is not None:
        run_stage(project, NAMES, options=RunOptions(part=part))
    return project


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the archives of two machines, each with half of the units."""
    found = []
    for part in range(2):
        monkeypatch.chdir(machine(tmp_path / f"machine{part}", (part, 2)))
        found.append(tmp_path / f"{part}.tar")
        done = units("pack", str(found[-1]))
        assert "2 units" in done.stdout, done.output
    return found


def test_units_of_two_machines_are_published_on_a_third_without_computation(
    archives: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = machine(tmp_path / "alone", None)
    run_stage(alone, NAMES)
    third = machine(tmp_path / "third", None)
    monkeypatch.chdir(third)
    for archive in archives:
        assert units("unpack", str(archive)).stdout == "units: 2 units added, 0 were there\n"
    assert units("unpack", str(archives[0])).stdout == "units: 0 units added, 2 were there\n"
    assert run_stage(third, NAMES).reused == 4
    assert calls(third / "calls.log") == []
    assert tree(third / "data") == tree(alone / "data")
    assert not list(find_scratch(third).assembly.iterdir())


def test_a_unit_that_exists_is_not_overwritten(
    archives: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "machine0")
    folder = find_scratch(Path()).unit_folder("toy", key_of("a/v0"))
    before = {path: path.stat().st_ino for path in folder.rglob("*")}
    assert units("unpack", str(archives[0])).exit_code == 0
    assert {path: path.stat().st_ino for path in folder.rglob("*")} == before


def test_a_damaged_archive_adds_no_damaged_unit(
    archives: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = machine(tmp_path / "third", None)
    monkeypatch.chdir(third)
    data = bytearray(archives[0].read_bytes())
    with tarfile.open(archives[0]) as tar:
        shard = next(member for member in tar.getmembers() if "/c." in member.name)
    data[shard.offset_data + 100] ^= 1
    archives[0].write_bytes(data)
    done = units("unpack", str(archives[0]))
    assert done.exit_code == 1
    assert "its files differ from its receipt; copy the archive again" in done.stderr
    archives[1].write_bytes(archives[1].read_bytes()[:2000])
    done = units("unpack", str(archives[1]))
    assert done.exit_code == 1
    assert "expected an archive of `posereel units pack`" in done.stderr
    assert not list(find_scratch(third).folder.glob("toy/*/receipt.json"))


@pytest.mark.parametrize("name", ["../../evil", "toy/evil/files/x", f"toy/{'0' * 64}/../../x"])
def test_files_outside_of_units_are_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(machine(tmp_path / "third", None))
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    done = units("unpack", str(tmp_path / "evil.tar"))
    assert done.exit_code == 1
    assert "expected regular files <stage>/<key>/" in done.stderr


def test_an_existing_file_and_an_empty_scratch_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(machine(tmp_path / "third", None))
    assert "expected finished units to pack" in units("pack", "new.tar").stderr
    Path("old.tar").touch()
    assert "expected a new file" in units("pack", "old.tar").stderr
