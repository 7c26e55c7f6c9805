"""Command verify: it finds every kind of damage, and --repair leaves dvc.lock unchanged."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipeline.core.dvc_files import (
    LockedStage,
    encode_files,
    files_of,
    md5,
    object_path,
    read_lock,
)
from pipeline.core.units.scratch import find_scratch
from pipeline.maintenance.repair import in_order
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


def verify(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def cached(project: Path, file: str) -> Path:
    """Return the object in DVC's cache of a file of the output."""
    scratch = find_scratch(project)
    digest = read_lock(project)[0].outs[OUT]
    files = files_of(scratch.cache, digest)
    assert files is not None
    return object_path(scratch.cache, files[file])


def in_scratch(project: Path, unit: str) -> Path:
    return find_scratch(project).unit_folder("toy", key_of(unit)) / "files"


@pytest.mark.usefixtures("project")
def test_an_unchanged_repository_is_intact() -> None:
    result = verify()
    assert result.exit_code == 0, result.output
    assert "verify: 2 of 2 outputs are intact" in result.stdout
    found = json.loads(verify("--json").stdout)
    assert found["damaged"] == 0
    assert {out["out"]: out["state"] for out in found["outs"]} == {OUT: "intact", LISTING: "intact"}


def test_a_write_to_a_published_file_is_reported_with_its_unit(project: Path) -> None:
    damage(project / OUT / "bonn/v1" / SHARD)
    result = verify(OUT)
    assert result.exit_code == 1
    assert f"unit 'bonn/v1': {OUT}/bonn/v1/{SHARD}: differs from dvc.lock" in result.stdout
    assert f"unit 'bonn/v1': row 0: the crc32c in {SHARD} does not match" in result.stdout
    assert f"{SHARD} in scratch differs from its receipt" in result.stdout
    assert "1 of 2 outputs are damaged (above); run: posereel verify --repair" in result.stderr
    assert "street" not in result.stdout
    faults = json.loads(verify("--json").stdout)["outs"][0]["faults"]
    assert {fault["unit"] for fault in faults} == {"bonn/v1"}


def test_the_shard_of_another_unit_is_found_by_its_digest(project: Path) -> None:
    shard = project / OUT / "bonn/v1" / SHARD
    shard.unlink()
    shutil.copyfile(project / OUT / "street/v0" / SHARD, shard)
    result = verify()
    assert result.exit_code == 1
    assert f"unit 'bonn/v1': {OUT}: differs from its listed digest" in result.stdout
    assert "crc32c" not in result.stdout
    assert verify("--repair").exit_code == 0


def test_repair_replaces_all_three_links_and_leaves_dvc_lock_unchanged(project: Path) -> None:
    lock, before = (project / "dvc.lock").read_bytes(), tree(project / "data")
    file = f"bonn/v1/{SHARD}"
    damage(project / OUT / file)
    links = [project / OUT / file, cached(project, file), in_scratch(project, "bonn/v1") / SHARD]
    assert len({link.stat().st_ino for link in links}) == 1
    result = verify("--repair")
    assert result.exit_code == 0, result.output
    assert "toy: repaired: computed again" in result.stdout
    assert calls(project / "calls.log") == ["bonn/v1"]
    assert tree(project / "data") == before
    assert (project / "dvc.lock").read_bytes() == lock
    assert len({link.stat().st_ino for link in links}) == 1
    assert links[1].stat().st_mode & 0o777 == 0o444
    assert "up to date" in dvc(project, "status")


def test_damage_that_the_run_cache_of_dvc_restores_is_repaired(project: Path) -> None:
    before = tree(project / "data")
    damage(project / OUT / "bonn/v1" / SHARD)
    shutil.rmtree(project / OUT)
    dvc(project, "repro", "--quiet")
    # DVC trusts its write-protected object: the stage does not run, and the damage is restored.
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
    "unexpected file": (lambda project: project / OUT / "notes.txt", Path.touch),
    "listing replaced in the cache": (
        lambda p: object_path(find_scratch(p).cache, read_lock(p)[0].outs[OUT]),
        damage,
    ),
    "object replaced": (lambda project: cached(project, f"street/v0/{SHARD}"), replace),
    "unit replaced": (lambda project: in_scratch(project, "street/v0") / SHARD, replace),
}


@pytest.mark.parametrize("case", LINKED)
def test_an_intact_copy_is_linked_and_nothing_is_computed(project: Path, case: str) -> None:
    before = tree(project / "data")
    find, inflict = LINKED[case]
    inflict(find(project))
    assert verify().exit_code == 1
    result = verify("--repair", OUT)
    assert result.exit_code == 0, result.output
    assert "toy: repaired: linked" in result.stdout
    assert calls(project / "calls.log") == []
    assert tree(project / "data") == before


def test_intact_files_on_the_remote_are_pulled_and_nothing_is_computed(
    project: Path, tmp_path: Path
) -> None:
    before = tree(project / "data")
    dvc(project, "remote", "add", "--default", "lab", str(tmp_path / "lab"))
    dvc(project, "push", "--quiet")
    damage(project / OUT / "bonn/v0" / SHARD)
    result = verify("--repair")
    assert result.exit_code == 0, result.output
    assert "toy: repaired: pulled" in result.stdout
    assert calls(project / "calls.log") == []
    assert tree(project / "data") == before


def test_after_a_change_of_params_nothing_is_computed(
    project: Path,
) -> None:
    damage(project / OUT / "bonn/v0" / SHARD)
    (project / "params.yaml").write_text("toy: {a: 2}\n")
    result = verify("--repair")
    assert result.exit_code == 1
    assert "toy: the damaged files were deleted and cannot be restored" in result.stderr
    assert calls(project / "calls.log") == []
    assert not (project / OUT / "bonn/v0" / SHARD).exists()


def test_a_list_with_paths_outside_its_folder_writes_nothing_there(
    project: Path, tmp_path: Path
) -> None:
    """Anyone who can write to a remote can put a `.dir` object with `..` there."""
    digest = read_lock(project)[0].outs[OUT]
    cache = find_scratch(project).cache
    files = files_of(cache, digest)
    assert files is not None
    content = encode_files(files | {"../../../../escaped": files[f"bonn/v0/{SHARD}"]})
    escaping = md5(content) + ".dir"
    object_path(cache, escaping).parent.mkdir(exist_ok=True)
    object_path(cache, escaping).write_bytes(content)
    lock = (project / "dvc.lock").read_text().replace(digest, escaping)
    (project / "dvc.lock").write_text(lock)
    assert (
        f"toy: {OUT}: the list of its files in DVC's cache is missing or damaged" in verify().stdout
    )
    assert verify("--repair").exit_code == 1
    assert not list(tmp_path.rglob("escaped"))


def test_an_output_outside_the_project_is_not_touched(project: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    lock = (project / "dvc.lock").read_text()
    for path in (str(precious), "../precious"):
        (project / "dvc.lock").write_text(lock.replace(f"path: {LISTING}", f"path: {path}"))
        verify("--repair")
        assert precious.read_text() == "mine"


def test_nothing_is_repaired_while_a_stage_runs(project: Path) -> None:
    damage(project / OUT / "bonn/v0" / SHARD)
    with find_scratch(project).lock("toy-unit"):
        result = verify("--repair")
    assert result.exit_code == 1
    assert "a stage is running (lock 'toy-unit' is held)" in result.stderr


def test_an_output_that_is_newer_than_dvc_lock_is_not_damaged(project: Path) -> None:
    listing = json.loads((project / LISTING).read_text())
    del listing["street/v0"]
    (project / LISTING).unlink()
    (project / LISTING).write_text(json.dumps(listing))
    found = verify()
    assert found.exit_code == 1  # digests.json still lists the removed unit
    shutil.rmtree(project / OUT / "street")
    digests = json.loads((project / OUT / "digests.json").read_text())
    (project / OUT / "digests.json").unlink()
    digests.pop("street/v0")
    (project / OUT / "digests.json").write_text(json.dumps(digests))
    found = verify()
    assert found.exit_code == 0, found.output
    assert f"toy: {OUT}: not committed" in found.stdout


def test_a_clone_before_dvc_pull_has_no_damage(project: Path) -> None:
    shutil.rmtree(project / "data")
    shutil.rmtree(project / ".dvc/cache")
    result = verify()
    assert result.exit_code == 0, result.output
    assert f"toy: {OUT}: absent" in result.stdout


def test_unknown_outputs_and_a_missing_dvc_lock_are_rejected(project: Path) -> None:
    assert "nowhere: expected an output of dvc.lock" in verify("nowhere").stderr
    (project / "dvc.lock").unlink()
    assert "dvc.lock: expected the outputs of a run, found none" in verify().stderr


def test_lists_of_files_have_the_bytes_that_dvc_writes(project: Path) -> None:
    digest = read_lock(project)[0].outs[OUT]
    cache = find_scratch(project).cache
    files = files_of(cache, digest)
    assert files is not None
    assert {name.rpartition("/")[0] for name in files} >= set(NAMES)
    assert encode_files(files) == object_path(cache, digest).read_bytes()


def test_stages_are_repaired_in_topological_order() -> None:
    def stage(name: str, *deps: str) -> LockedStage:
        return LockedStage(name, ("python",), deps, {f"data/{name}": "0"})

    late, early = stage("late", "data/early/clips.parquet", "code.py"), stage("early")
    assert [one.name for one in in_order([late, early])] == ["early", "late"]


def test_a_deleted_output_is_absent_and_not_damaged(project: Path) -> None:
    shutil.rmtree(project / OUT)
    result = verify()
    assert result.exit_code == 0, result.output
    assert f"toy: {OUT}: absent; run: dvc repro" in result.stdout


def test_a_lock_file_that_was_cut_is_an_error_with_the_number_of_missing_stages(
    project: Path,
) -> None:
    for file in ("dvc.yaml", "dvc.lock"):
        text = (project / file).read_text()
        first = text.index("  toy:")
        more = "\n" + text[first:].replace("toy:", "later:", 1).replace(OUT, "data/later")
        (project / file).write_text(text.rstrip() + more.replace(LISTING, "data/units/later.json"))
    (project / "data/later").mkdir()
    lock = (project / "dvc.lock").read_text()
    (project / "dvc.lock").write_text(lock[: lock.index("  later:")])
    result = verify()
    assert result.exit_code == 1
    assert "dvc.lock: expected the 2 stages of dvc.yaml, got 1; the outputs of 1" in result.stderr
    (project / "data/later").rmdir()
    result = verify()
    assert result.exit_code == 0
    assert "1 of 2 stages of dvc.yaml have not run; run: dvc repro" in result.stdout


def test_a_lock_file_with_a_conflict_is_named_with_the_cure(project: Path) -> None:
    lock = project / "dvc.lock"
    lock.write_text("<<<<<<< HEAD\n" + lock.read_text())
    result = verify()
    assert result.exit_code == 1
    assert "dvc.lock: expected what DVC recorded of the last run, got a conflict" in result.stderr
