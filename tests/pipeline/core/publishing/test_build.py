"""Builds: increments, resume after kills, attempts, repair, hard links, DVC's cache."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.publishing.build import FailedUnitsError, build
from pipeline.core.store.reader import Store
from pipeline.core.store.shards import shard_name
from pipeline.core.units.key import Unit
from pipeline.core.units.options import RunOptions
from pipeline.core.units.plan import Plan
from pipeline.core.units.receipts import check
from pipeline.core.units.scratch import find_scratch
from tests.pipeline import toy_stage
from tests.pipeline.toy_stage import (
    ROWS,
    calls,
    key_of,
    make_project,
    run_stage,
    tree,
    units_of,
)

NAMES = ["bonn/v0", "bonn/v1", "street/v0"]
OUT = "data/toy/train"
LISTING = "data/units/toy/train.json"
SHARD = shard_name(0, 3)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "repo")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an uninterrupted build of NAMES publishes."""
    project = make_project(tmp_path_factory.mktemp("reference") / "repo")
    run_stage(project, NAMES)
    return tree(project / "data")


def computed(project: Path) -> list[str]:
    return sorted(calls(project / "calls.log"))


def forget_calls(project: Path) -> None:
    (project / "calls.log").unlink(missing_ok=True)


def test_a_build_publishes_a_store_with_digests_and_a_listing(project: Path) -> None:
    summary = run_stage(project, NAMES)
    assert (summary.computed, summary.reused, summary.published) == (3, 0, True)
    store = Store(project / OUT, "flow")
    assert list(store.digests) == NAMES
    assert store.rows("bonn/v1") == ROWS
    listing = json.loads((project / LISTING).read_text())
    assert list(listing) == NAMES
    for name in NAMES:
        files = {file: (project / OUT / file).read_bytes() for file in listing[name]["files"]}
        assert set(files) == {f"{name}/{SHARD}", f"{name}/zarr.json"}
        lines = [
            f"{hashlib.sha256(content).hexdigest()}  {file.removeprefix(name + '/')}\n"
            for file, content in sorted(files.items())
        ]
        digest = hashlib.sha256("".join(lines).encode()).hexdigest()
        assert listing[name] | {"files": []} == {"key": key_of(name), "digest": digest, "files": []}
        assert store.digests[name] == digest


def test_a_second_build_computes_nothing_and_publishes_the_same(project: Path) -> None:
    run_stage(project, NAMES)
    before = tree(project / "data")
    forget_calls(project)
    assert run_stage(project, NAMES).reused == 3
    assert computed(project) == []
    assert tree(project / "data") == before


def test_adding_a_video_computes_it_alone_and_removing_it_leaves_nothing(
    project: Path, reference: dict[str, bytes]
) -> None:
    run_stage(project, NAMES[:2])
    forget_calls(project)
    run_stage(project, NAMES)
    assert computed(project) == ["street/v0"]
    assert tree(project / "data") == reference
    run_stage(project, ["street/v0"])
    assert sorted(path.name for path in (project / OUT).iterdir()) == [
        "digests.json",
        "street",
        "zarr.json",
    ]


def test_another_key_does_not_reuse_an_old_unit(project: Path) -> None:
    run_stage(project, NAMES)
    forget_calls(project)
    units = [*units_of(NAMES[:2]), Unit("street/v0", "f" * 64, 1000)]
    build(
        Plan(
            stage="toy",
            modules=[],
            out=project / OUT,
            listing=project / LISTING,
            kind="flow",
            units=units,
            make_task=lambda: toy_stage.ToyTask(project / "calls.log"),
            run=RunOptions(),
        )
    )
    assert computed(project) == ["street/v0"]


def test_a_build_without_units_publishes_a_valid_empty_store(project: Path) -> None:
    run_stage(project, [])
    assert dict(Store(project / OUT, "flow").digests) == {}
    assert json.loads((project / LISTING).read_text()) == {}


def test_one_worker_two_workers_and_slices_publish_the_same_bytes(
    tmp_path: Path, reference: dict[str, bytes]
) -> None:
    several = make_project(tmp_path / "several")
    run_stage(several, NAMES, options=RunOptions(workers=2))
    assert tree(several / "data") == reference
    sliced = make_project(tmp_path / "sliced")
    for part, begun in ((1, ["bonn/v1"]), (0, NAMES)):
        assert not run_stage(sliced, NAMES, options=RunOptions(part=(part, 2))).published
        assert computed(sliced) == begun
    assert not (sliced / OUT).exists()
    assert run_stage(sliced, NAMES).computed == 0
    assert tree(sliced / "data") == reference


def test_published_files_contain_no_time_host_or_path(
    tmp_path: Path, reference: dict[str, bytes]
) -> None:
    text = b"".join(reference.values())
    assert str(tmp_path).encode() not in text
    assert b"/tmp" not in text
    assert os.uname().nodename.encode() not in text
    assert not any(word in text for word in (b"seconds", b"host", b"finished", b"mtime"))


def test_timings_of_computed_units_are_in_the_scratch_store(project: Path) -> None:
    run_stage(project, NAMES[:2])
    run_stage(project, NAMES)
    lines = find_scratch(project).timings.read_text().splitlines()
    assert sorted(json.loads(line)["unit"] for line in lines) == NAMES
    assert all(json.loads(line)["seconds"] > 0 for line in lines)


def test_scratch_and_out_share_their_inodes(project: Path) -> None:
    run_stage(project, NAMES)
    folder = find_scratch(project).unit_folder("toy", key_of("bonn/v0"))
    for file in (SHARD, "zarr.json"):
        out, scratch = project / OUT / "bonn/v0" / file, folder / "files" / file
        assert out.samefile(scratch)
        assert out.stat().st_nlink == 2


def test_a_failing_unit_gets_three_attempts_and_the_others_are_computed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FailedUnitsError, match=r"toy: 1 of 3 units failed.*nothing was published"):
        run_stage(project, ["a/v0", "faulty/v0", "z/v0"])
    assert calls(project / "calls.log").count("faulty/v0") == 3
    assert sorted(calls(project / "calls.log", "end")) == ["a/v0", "z/v0"]
    table = [line for line in capsys.readouterr().err.splitlines() if "v0" in line]
    assert table == ["faulty/v0         3  RuntimeError: cannot do faulty/v0"]
    assert not (project / OUT).exists()
    assert not (project / LISTING).exists()
    forget_calls(project)
    with pytest.raises(FailedUnitsError):
        run_stage(project, ["a/v0", "faulty/v0", "z/v0"])
    assert computed(project) == ["faulty/v0"] * 3


def test_a_unit_that_succeeds_at_the_third_attempt_is_published(project: Path) -> None:
    assert run_stage(project, ["a/v0", "flaky/v0"]).published
    assert calls(project / "calls.log").count("flaky/v0") == 3


def test_a_unit_that_always_kills_its_worker_is_in_the_table(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FailedUnitsError, match="1 of 4 units failed"):
        run_stage(project, ["killer/v0", *NAMES], options=RunOptions(workers=2))
    assert calls(project / "calls.log").count("killer/v0") == 3
    assert sorted(calls(project / "calls.log", "end")) == NAMES
    assert "killer/v0         3  its worker process was killed" in capsys.readouterr().err
    assert not (project / OUT).exists()


def start(project: Path, names: list[str], workers: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, toy_stage.__file__, str(project), "--workers", str(workers), *names]
    environment = os.environ | {"PYTHONHASHSEED": "random", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(12000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("waited for a minute")


def whole(project: Path, names: list[str]) -> set[str]:
    scratch = find_scratch(project)
    return {name for name in names if check(scratch.unit_folder("toy", key_of(name)))}


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def pids(project: Path) -> set[int]:
    return {int(line.split()[2]) for line in (project / "calls.log").read_text().splitlines()}


MANY = [f"slow{i}/v0" for i in range(6)]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    project = make_project(tmp_path_factory.mktemp("many") / "repo")
    run_stage(project, MANY)
    return tree(project / "data")


@pytest.mark.parametrize(("seed", "workers"), [(0, 1), (1, 2), (2, 2)])
def test_a_killed_driver_leaves_no_worker_and_the_next_build_continues(
    project: Path, many: dict[str, bytes], seed: int, workers: int
) -> None:
    generator = random.Random(seed)  # noqa: S311
    for _ in range(2):
        begun = len(computed(project)) + generator.randint(1, 2)
        driver = start(project, MANY, workers)
        wait_until(lambda begun=begun: len(computed(project)) >= begun)
        time.sleep(generator.uniform(0, 0.1))
        driver.kill()
        driver.wait()
        wait_until(lambda: not any(alive(process) for process in pids(project)))
    left = set(MANY) - whole(project, MANY)
    forget_calls(project)
    assert run_stage(project, MANY).computed == len(left)
    assert computed(project) == sorted(left)
    assert tree(project / "data") == many


def test_a_killed_worker_costs_one_attempt_of_its_unit(
    project: Path, many: dict[str, bytes]
) -> None:
    driver = start(project, MANY, workers=2)
    wait_until(lambda: len(computed(project)) >= 2)
    os.kill(max(pids(project)), signal.SIGKILL)
    assert driver.wait() == 0
    assert tree(project / "data") == many
    assert len(computed(project)) <= len(MANY) + 1


def test_a_unit_that_kills_the_driver_itself_is_isolated_at_the_fourth_run(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["killer/v0", "z/v0"]
    for _ in range(3):
        assert start(project, names, workers=1).wait() == -signal.SIGKILL
    with pytest.raises(FailedUnitsError, match="1 of 2 units failed"):
        run_stage(project, names)
    assert calls(project / "calls.log", "end") == ["z/v0"]
    assert "killer/v0         3  its worker" in capsys.readouterr().err


def test_two_builds_at_once_compute_each_unit_once(project: Path, many: dict[str, bytes]) -> None:
    drivers = [start(project, MANY, workers=1) for _ in range(2)]
    assert [driver.wait() for driver in drivers] == [0, 0]
    assert computed(project) == MANY
    assert tree(project / "data") == many


def test_a_stage_that_dvc_started_dies_with_it(project: Path) -> None:
    program = (
        "import os, subprocess, sys\n"
        "stage = os.environ | {'DVC_STAGE': 'toy@train'}\n"
        "subprocess.run([sys.executable, *sys.argv[1:]], stderr=subprocess.DEVNULL, env=stage)\n"
    )
    dvc = subprocess.Popen([sys.executable, "-c", program, toy_stage.__file__, str(project), *MANY])
    wait_until(lambda: len(computed(project)) >= 1)
    dvc.kill()
    dvc.wait()
    wait_until(lambda: not any(alive(process) for process in pids(project)))
    assert not (project / OUT).exists()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def commit_like_dvc(project: Path, extra: str | None = None) -> dict[str, Path]:
    """Link what was published into DVC's cache and lock it; returns the object of every file.

    ``extra`` is one more path that the out's list of files claims to have.
    """
    cache = project / ".dvc/cache/files/md5"
    objects, entries = {}, []
    for path in sorted(p for p in (project / OUT).rglob("*") if p.is_file()):
        digest = md5(path.read_bytes())
        name = path.relative_to(project / OUT).as_posix()
        entries.append({"md5": digest, "relpath": name})
        objects[name] = cache / digest[:2] / digest[2:]
        objects[name].parent.mkdir(parents=True, exist_ok=True)
        if not objects[name].exists():
            objects[name].hardlink_to(path)
            objects[name].chmod(0o444)
    if extra is not None:
        entries.append({"md5": entries[0]["md5"], "relpath": extra})
    lock = {}
    for path, content in {
        OUT: json.dumps(entries).encode(),
        LISTING: (project / LISTING).read_bytes(),
    }.items():
        digest = md5(content)
        tail = ".dir" if path == OUT else ""
        target = cache / digest[:2] / (digest[2:] + tail)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
        lock[path] = digest + tail
    outs = "".join(f"    - path: {path}\n      md5: {name}\n" for path, name in lock.items())
    (project / "dvc.lock").write_text(f"schema: '2.0'\nstages:\n  toy@train:\n    outs:\n{outs}")
    return objects


def damage(path: Path) -> None:
    """Change a bit in place, as a process of root can even in a protected file."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(5)
        byte = file.read(1)[0]
        file.seek(5)
        file.write(bytes([byte ^ 1]))
    path.chmod(0o444)


def test_a_write_to_a_published_file_is_found_and_repaired(
    project: Path, reference: dict[str, bytes]
) -> None:
    run_stage(project, NAMES)
    objects = commit_like_dvc(project)
    forget_calls(project)
    damage(project / OUT / "bonn/v1" / SHARD)
    assert objects[f"bonn/v1/{SHARD}"].read_bytes() != reference[f"toy/train/bonn/v1/{SHARD}"]
    assert run_stage(project, NAMES).computed == 1
    assert computed(project) == ["bonn/v1"]
    assert tree(project / "data") == reference
    # The damaged object must not come back through DVC's cache.
    assert not objects[f"bonn/v1/{SHARD}"].exists()
    assert objects[f"bonn/v0/{SHARD}"].exists()


def test_files_of_an_interrupted_attempt_are_not_published(
    project: Path, reference: dict[str, bytes]
) -> None:
    folder = find_scratch(project).unit_folder("toy", key_of("bonn/v0")) / "files"
    folder.mkdir(parents=True)
    (folder / "c.7.0.0").write_text("old")
    (folder / "c.0.0.0.partial").write_text("half")
    run_stage(project, NAMES)
    assert tree(project / "data") == reference


def test_a_touched_file_is_hashed_and_reused(project: Path) -> None:
    run_stage(project, NAMES)
    forget_calls(project)
    os.utime(project / OUT / "bonn/v1" / SHARD, (1, 1))
    assert run_stage(project, NAMES).computed == 0
    folder = find_scratch(project).unit_folder("toy", key_of("bonn/v1"))
    assert check(folder) is not None
    assert '"mtime_ns": 1000000000' in (folder / "receipt.json").read_text()


def test_a_deleted_or_added_file_in_scratch_is_detected(project: Path) -> None:
    run_stage(project, NAMES)
    scratch = find_scratch(project)
    (scratch.unit_folder("toy", key_of("bonn/v0")) / "files" / SHARD).unlink()
    (scratch.unit_folder("toy", key_of("bonn/v1")) / "files/notes.txt").touch()
    (scratch.unit_folder("toy", key_of("street/v0")) / "receipt.json").write_text("{")
    assert run_stage(project, NAMES).computed == 3


def test_units_are_restored_from_dvcs_cache_if_scratch_is_empty(
    project: Path, reference: dict[str, bytes]
) -> None:
    run_stage(project, NAMES)
    objects = commit_like_dvc(project)
    shutil.rmtree(find_scratch(project).folder)
    shutil.rmtree(project / "data")
    forget_calls(project)
    assert run_stage(project, NAMES).reused == 3
    assert computed(project) == []
    assert tree(project / "data") == reference
    name = f"bonn/v0/{SHARD}"
    assert objects[name].samefile(project / OUT / name)


def test_a_unit_is_computed_if_its_objects_are_missing_or_damaged(
    project: Path, reference: dict[str, bytes]
) -> None:
    run_stage(project, NAMES)
    objects = commit_like_dvc(project)
    shutil.rmtree(find_scratch(project).folder)
    forget_calls(project)
    objects[f"bonn/v0/{SHARD}"].unlink()
    damage(objects[f"street/v0/{SHARD}"])
    assert run_stage(project, NAMES).reused == 1
    assert computed(project) == ["bonn/v0", "street/v0"]
    assert tree(project / "data") == reference


@pytest.mark.parametrize("lock", ["", "a: [", "stages: 3", "stages: {toy: {outs: [{path: x}]}}"])
def test_without_a_usable_lock_file_units_are_computed(project: Path, lock: str) -> None:
    (project / "dvc.lock").write_text(lock)
    assert run_stage(project, NAMES[:1]).computed == 1


def test_a_malicious_listing_cannot_write_outside_scratch(project: Path) -> None:
    run_stage(project, NAMES[:1])
    escape = "bonn/v0/../../../../escaped"
    listing = json.loads((project / LISTING).read_text())
    listing["bonn/v0"]["files"].append(escape)
    (project / LISTING).write_text(json.dumps(listing))
    commit_like_dvc(project, escape)
    shutil.rmtree(find_scratch(project).folder)
    assert run_stage(project, NAMES[:1]).computed == 1
    assert not list(project.rglob("escaped"))


def test_units_may_be_merged_into_the_out_and_a_stage_may_finish_it(project: Path) -> None:
    def make_task() -> Callable[[str, Path], None]:
        def task(name: str, folder: Path) -> None:
            (folder / "images" / name).mkdir(parents=True)
            (folder / "images" / name / "000000.jpg").write_text(name)
            (folder / "annotations").mkdir()
            (folder / "annotations" / f"{name}.json").write_text("{}")

        return task

    def finish(folder: Path) -> None:
        names = sorted(path.name for path in (folder / "annotations").iterdir())
        (folder / "frames.manifest").write_text("\n".join(names))

    build(
        Plan(
            stage="render",
            modules=[],
            out=project / "data/raw/synthetic",
            listing=project / "data/units/render/all.json",
            kind=None,
            units=[Unit(name, key_of(name), 10, place="") for name in ("a", "b")],
            make_task=make_task,
            run=RunOptions(),
            finish=finish,
        )
    )
    assert tree(project / "data/raw/synthetic") == {
        "images/a/000000.jpg": b"a",
        "images/b/000000.jpg": b"b",
        "annotations/a.json": b"{}",
        "annotations/b.json": b"{}",
        "frames.manifest": b"a.json\nb.json",
    }


def clashing_task() -> Callable[[str, Path], None]:
    return lambda _, folder: (folder / "same.json").touch()


def test_two_units_with_the_same_file_are_an_error_and_the_old_out_stays(project: Path) -> None:
    (project / OUT).mkdir(parents=True)
    (project / OUT / "old").touch()
    with pytest.raises(ValueError, match=r"unit 'b': another unit has a file same\.json too"):
        build(
            Plan(
                stage="predict",
                modules=[],
                out=project / OUT,
                listing=project / LISTING,
                kind=None,
                units=[Unit(name, key_of(name), 10, place="") for name in ("a", "b")],
                make_task=clashing_task,
                run=RunOptions(),
            )
        )
    assert tree(project / OUT) == {"old": b""}


@pytest.mark.parametrize("name", ["../x/v0", "/x/v0", "a//v0", "./v0", "", "a/\0"])
def test_a_unit_name_outside_the_out_is_an_error(project: Path, name: str) -> None:
    with pytest.raises(ValueError, match="expected a unique, relative name"):
        run_stage(project, [name])


def test_a_duplicate_unit_name_is_an_error(project: Path) -> None:
    with pytest.raises(ValueError, match="'a/v0': expected a unique"):
        run_stage(project, ["a/v0", "a/v0"])


@pytest.mark.parametrize("link_type", ["copy", "reflink,hardlink", "hardlink,copy"])
def test_a_cache_that_copies_is_an_error_with_the_cure(tmp_path: Path, link_type: str) -> None:
    project = make_project(tmp_path / "repo", link_type)
    with pytest.raises(ValueError, match=f"got '{link_type}'.*dvc config cache.type hardlink"):
        run_stage(project, NAMES)


def test_file_systems_that_cannot_share_inodes_are_an_error_with_the_cure(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(_path: Path, _target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", elsewhere)
    with pytest.raises(ValueError, match=r"cannot hardlink .*cross-device.*dvc cache dir"):
        run_stage(project, NAMES)
    assert not list(project.rglob(".hardlink-probe"))


def test_too_little_disk_space_is_an_error_before_the_first_unit(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(project)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=29_999))
    with pytest.raises(ValueError, match=r"need 0\.00 GB, 0\.00 GB are free"):
        run_stage(project, NAMES)
    assert computed(project) == []
    assert run_stage(project, NAMES[:2]).published


def test_outside_a_dvc_repository_the_error_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not inside a DVC repository"):
        run_stage(tmp_path, NAMES)
