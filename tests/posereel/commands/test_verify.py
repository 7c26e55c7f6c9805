"""Damage of every kind is found by verify, and healed without a change of dvc.lock."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipeline.base.dvc_files import (
    LockedStage,
    encode_files,
    files_of,
    md5,
    object_path,
    read_lock,
)
from pipeline.maintenance.repair import in_order
from pipeline.units.scratch import find_scratch
from posereel.cli import load
from tests.pipeline.toy_stage import calls, key_of, tree
from tests.stages.toy_repository import (
    LISTING,
    NAMES,
    OUT,
    SHARD,
    copy_repository,
    damage,
    dvc,
    isolate_dvc,
    make_repository,
)

app = load("verify")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        isolate_dvc(folder, patch)
        yield make_repository(folder / "repo")


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    isolate_dvc(tmp_path, monkeypatch)
    project = copy_repository(template, tmp_path / "repo")
    monkeypatch.chdir(project)
    return project


def verify(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def kept(project: Path, file: str) -> Path:
    """Return the object of DVC's cache that should hold a file of the out."""
    scratch = find_scratch(project)
    digest = read_lock(project)[0].outs[OUT]
    files = files_of(scratch.cache, digest)
    assert files is not None
    return object_path(scratch.cache, files[file])


def in_scratch(project: Path, unit: str) -> Path:
    return find_scratch(project).unit_folder("toy", key_of(unit)) / "files"


@pytest.mark.usefixtures("project")
def test_a_repository_that_nobody_touched_is_whole() -> None:
    result = verify()
    assert result.exit_code == 0, result.output
    assert "verify: 2 of 2 outs are whole" in result.stdout
    found = json.loads(verify("--json").stdout)
    assert found["damaged"] == 0
    assert {out["out"]: out["state"] for out in found["outs"]} == {OUT: "whole", LISTING: "whole"}


def test_a_write_into_a_published_file_is_named_by_unit(project: Path) -> None:
    damage(project / OUT / "bonn/v1" / SHARD)
    result = verify(OUT)
    assert result.exit_code == 1
    assert f"unit 'bonn/v1': {OUT}/bonn/v1/{SHARD}: other bytes than dvc.lock" in result.stdout
    assert f"unit 'bonn/v1': row 0: the crc32c in {SHARD} does not match" in result.stdout
    assert f"{SHARD} in scratch has other bytes than its receipt" in result.stdout
    assert "1 of 2 outs are damaged (above); run: posereel verify --repair" in result.stderr
    assert "street" not in result.stdout
    faults = json.loads(verify("--json").stdout)["outs"][0]["faults"]
    assert {fault["unit"] for fault in faults} == {"bonn/v1"}


def test_another_units_shard_with_right_checksums_is_found_by_its_digest(project: Path) -> None:
    shard = project / OUT / "bonn/v1" / SHARD
    shard.unlink()
    shutil.copyfile(project / OUT / "street/v0" / SHARD, shard)
    result = verify()
    assert result.exit_code == 1
    assert f"unit 'bonn/v1': {OUT}: other bytes than its listed digest" in result.stdout
    assert "crc32c" not in result.stdout
    assert verify("--repair").exit_code == 0


def test_healing_drops_all_three_names_and_leaves_the_lock_as_it_was(project: Path) -> None:
    lock, before = (project / "dvc.lock").read_bytes(), tree(project / "data")
    file = f"bonn/v1/{SHARD}"
    damage(project / OUT / file)
    names = [project / OUT / file, kept(project, file), in_scratch(project, "bonn/v1") / SHARD]
    assert len({name.stat().st_ino for name in names}) == 1
    result = verify("--repair")
    assert result.exit_code == 0, result.output
    assert "toy: healed: computed again" in result.stdout
    assert calls(project / "calls.log") == ["bonn/v1"]
    assert tree(project / "data") == before
    assert (project / "dvc.lock").read_bytes() == lock
    assert len({name.stat().st_ino for name in names}) == 1
    assert names[1].stat().st_mode & 0o777 == 0o444
    assert "up to date" in dvc(project, "status")


def test_what_dvcs_run_cache_brought_back_damaged_is_healed(project: Path) -> None:
    before = tree(project / "data")
    damage(project / OUT / "bonn/v1" / SHARD)
    shutil.rmtree(project / OUT)
    dvc(project, "repro", "--quiet")
    # DVC believes its protected object: the stage never ran, the damage is back.
    assert calls(project / "calls.log") == []
    assert tree(project / "data") != before
    assert verify().exit_code == 1
    assert verify("--repair").exit_code == 0
    assert calls(project / "calls.log") == ["bonn/v1"]
    assert tree(project / "data") == before


def delete(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"something else")


LINKED: dict[str, tuple[Callable[[Path], Path], Callable[[Path], None]]] = {
    "file deleted": (lambda project: project / OUT / "street/v0" / SHARD, delete),
    "file replaced": (lambda project: project / OUT / "street/v0" / SHARD, replace),
    "foreign file": (lambda project: project / OUT / "notes.txt", Path.touch),
    "listing replaced in the cache": (
        lambda p: object_path(find_scratch(p).cache, read_lock(p)[0].outs[OUT]),
        damage,
    ),
    "object replaced": (lambda project: kept(project, f"street/v0/{SHARD}"), replace),
    "unit replaced": (lambda project: in_scratch(project, "street/v0") / SHARD, replace),
}


@pytest.mark.parametrize("case", LINKED)
def test_what_is_whole_under_another_name_is_linked_and_nothing_computed(
    project: Path, case: str
) -> None:
    before = tree(project / "data")
    place, inflict = LINKED[case]
    inflict(place(project))
    assert verify().exit_code == 1
    result = verify("--repair", OUT)
    assert result.exit_code == 0, result.output
    assert "toy: healed: linked" in result.stdout
    assert calls(project / "calls.log") == []
    assert tree(project / "data") == before


def test_a_remote_that_has_the_bytes_spares_the_computing(project: Path, tmp_path: Path) -> None:
    before = tree(project / "data")
    dvc(project, "remote", "add", "--default", "lab", str(tmp_path / "lab"))
    dvc(project, "push", "--quiet")
    damage(project / OUT / "bonn/v0" / SHARD)
    result = verify("--repair")
    assert result.exit_code == 0, result.output
    assert "toy: healed: pulled" in result.stdout
    assert calls(project / "calls.log") == []
    assert tree(project / "data") == before


def test_after_a_change_of_params_nothing_is_computed_that_the_lock_does_not_name(
    project: Path,
) -> None:
    damage(project / OUT / "bonn/v0" / SHARD)
    (project / "params.yaml").write_text("toy: {a: 2}\n")
    result = verify("--repair")
    assert result.exit_code == 1
    assert "toy: what was damaged is gone, and cannot be made again as it was" in result.stderr
    assert calls(project / "calls.log") == []
    assert not (project / OUT / "bonn/v0" / SHARD).exists()


def test_a_list_of_files_that_climbs_out_of_its_folder_writes_nothing_there(
    project: Path, tmp_path: Path
) -> None:
    """As in dvc's own fault: `.dir` objects with `..` come from whoever can write to a remote."""
    digest = read_lock(project)[0].outs[OUT]
    cache = find_scratch(project).cache
    files = files_of(cache, digest)
    assert files is not None
    content = encode_files(files | {"../../../../escaped": files[f"bonn/v0/{SHARD}"]})
    climbing = md5(content) + ".dir"
    object_path(cache, climbing).parent.mkdir(exist_ok=True)
    object_path(cache, climbing).write_bytes(content)
    lock = (project / "dvc.lock").read_text().replace(digest, climbing)
    (project / "dvc.lock").write_text(lock)
    assert f"toy: {OUT}: DVC's cache lacks the list of its files" in verify().stdout
    assert verify("--repair").exit_code == 1
    assert not list(tmp_path.rglob("escaped"))


def test_an_out_outside_the_project_is_none_of_ours(project: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    lock = (project / "dvc.lock").read_text()
    for place in (str(precious), "../precious"):
        (project / "dvc.lock").write_text(lock.replace(f"path: {LISTING}", f"path: {place}"))
        verify("--repair")
        assert precious.read_text() == "mine"


def test_nothing_is_healed_while_a_stage_runs(project: Path) -> None:
    damage(project / OUT / "bonn/v0" / SHARD)
    with find_scratch(project).lock("toy-unit"):
        result = verify("--repair")
    assert result.exit_code == 1
    assert "a stage is running (lock 'toy-unit' is held)" in result.stderr


def test_what_was_published_after_the_lock_was_written_is_no_damage(project: Path) -> None:
    listing = json.loads((project / LISTING).read_text())
    del listing["street/v0"]
    (project / LISTING).unlink()
    (project / LISTING).write_text(json.dumps(listing))
    found = verify()
    assert found.exit_code == 1  # digests.json still has the unit that the list has lost
    shutil.rmtree(project / OUT / "street")
    digests = json.loads((project / OUT / "digests.json").read_text())
    (project / OUT / "digests.json").unlink()
    digests.pop("street/v0")
    (project / OUT / "digests.json").write_text(json.dumps(digests))
    found = verify()
    assert found.exit_code == 0, found.output
    assert f"toy: {OUT}: not committed" in found.stdout


def test_a_clone_that_has_pulled_nothing_has_no_damage(project: Path) -> None:
    shutil.rmtree(project / "data")
    shutil.rmtree(project / ".dvc/cache")
    result = verify()
    assert result.exit_code == 0, result.output
    assert f"toy: {OUT}: absent" in result.stdout


def test_outs_that_do_not_exist_and_a_lock_that_is_not_there_are_named(project: Path) -> None:
    assert "nowhere: expected an out of dvc.lock" in verify("nowhere").stderr
    (project / "dvc.lock").unlink()
    assert "dvc.lock: expected the outs of a run, found none" in verify().stderr


def test_lists_of_files_are_written_as_dvc_writes_them(project: Path) -> None:
    digest = read_lock(project)[0].outs[OUT]
    cache = find_scratch(project).cache
    files = files_of(cache, digest)
    assert files is not None
    assert {name.rpartition("/")[0] for name in files} >= set(NAMES)
    assert encode_files(files) == object_path(cache, digest).read_bytes()


def test_stages_are_healed_after_those_they_depend_on() -> None:
    def stage(name: str, *deps: str) -> LockedStage:
        return LockedStage(name, ("python",), deps, {f"data/{name}": "0"})

    late, early = stage("late", "data/early/clips.parquet", "code.py"), stage("early")
    assert [one.name for one in in_order([late, early])] == ["early", "late"]
