"""Command merge-lock: two branches that ran different stages merge under git without a conflict."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.maintenance.merge_lock import merge_locks
from tests.toy_clone import ROOT, TOY, Clone

DRIVER = f"{shlex.quote(sys.executable)} -m posereel merge-lock %O %A %B %P"
HEAD = "schema: '2.0'\nstages:\n"


def block(name: str, deps: Mapping[str, str], outs: Mapping[str, str], lr: float = 0.1) -> str:
    """Return the record of a stage as DVC writes it."""
    lines = [f"  {name}:", f"    cmd: python -m stages.{name}"]
    for title, entries in (("deps", deps), ("outs", outs)):
        lines.append(f"    {title}:")
        for path, digest in entries.items():
            lines += [f"    - path: {path}", "      hash: md5", f"      md5: {digest}"]
        if title == "deps":
            lines += ["    params:", "      params.yaml:", f"        lr: {lr}"]
    return "\n".join(lines) + "\n"


def train(name: str, version: str, lr: float = 0.1) -> str:
    return block(name, {"data/flow": "f"}, {f"data/runs/{name}": version}, lr)


def report(version: str) -> str:
    return block("report", {"data/runs": f"all {version}"}, {"data/report": version})


def test_a_stage_that_one_side_changed_is_taken_from_that_side() -> None:
    base = HEAD + train("a", "1") + train("b", "1") + report("1")
    ours = HEAD + train("a", "2", 0.2) + train("b", "1") + report("1")
    theirs = HEAD + train("a", "1") + report("1") + train("b", "2", 0.3) + train("c", "1")
    merge = merge_locks(base, ours, theirs)
    expected = train("a", "2", 0.2) + train("b", "2", 0.3) + report("1") + train("c", "1")
    assert merge.text == HEAD + expected
    assert (merge.conflicts, merge.dropped) == ((), ())
    assert merge_locks(base, base, theirs).text == theirs.replace(report("1"), "", 1).replace(
        train("c", "1"), report("1") + train("c", "1")
    )
    assert merge_locks("", ours, ours).text == ours


def test_a_removed_stage_stays_removed() -> None:
    base = HEAD + train("a", "1") + train("b", "1")
    assert merge_locks(base, base, HEAD + train("a", "1")).text == HEAD + train("a", "1")


def test_the_record_of_a_stage_that_reads_results_of_both_sides_is_dropped() -> None:
    base = HEAD + report("1") + train("a", "1") + train("b", "1")
    ours = HEAD + report("2") + train("a", "2", 0.2) + train("b", "1")
    theirs = HEAD + report("3") + train("a", "1") + train("b", "2", 0.3)
    merge = merge_locks(base, ours, theirs)
    assert merge.text == HEAD + train("a", "2", 0.2) + train("b", "2", 0.3)
    assert (merge.conflicts, merge.dropped) == ((), ("report",))


def test_a_stage_that_both_sides_ran_differently_is_a_conflict_between_markers() -> None:
    base, ours, theirs = (
        HEAD + train("a", version, lr) + report(version)
        for version, lr in (("1", 0.1), ("2", 0.2), ("3", 0.3))
    )
    merge = merge_locks(base, ours, theirs)
    assert merge.conflicts == ("a", "report")
    assert merge.text.startswith(
        f"{HEAD}<<<<<<< ours\n{train('a', '2', 0.2)}=======\n{train('a', '3', 0.3)}>>>>>>> theirs\n"
    )


def test_equal_inputs_with_different_outputs_are_a_conflict() -> None:
    base, ours, theirs = (HEAD + train("a", version) for version in "123")
    assert merge_locks(base, ours, theirs).conflicts == ("a",)


@pytest.mark.parametrize("text", ["stages: {}\n", "schema: '2.0'\nstages:\n  a: [\n", "{}"])
def test_a_text_that_dvc_does_not_write_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"dvc\.lock: expected"):
        merge_locks("", HEAD, text)


def test_the_lock_file_of_the_project_is_split_into_its_stages() -> None:
    text = (ROOT / "dvc.lock").read_text()
    assert merge_locks(text, text, text).text == text
    assert merge_locks("", text, text).text == text


def git(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    author = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    command = ["git", *author, "-c", f"merge.dvc-lock.driver={DRIVER}", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def commit_lock(folder: Path, branch: str, text: str) -> None:
    git(folder, "switch", "--create", branch)
    (folder / "dvc.lock").write_text(text)
    assert git(folder, "commit", "--all", "--message", branch).returncode == 0


def test_git_merges_with_the_driver_and_names_a_conflict(tmp_path: Path) -> None:
    (tmp_path / ".gitattributes").write_text((ROOT / ".gitattributes").read_text())
    (tmp_path / "dvc.lock").write_text(HEAD + train("a", "1") + train("b", "1"))
    git(tmp_path, "init", "--initial-branch=main")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--message", "base")
    commit_lock(tmp_path, "first", HEAD + train("a", "2", 0.2) + train("b", "1"))
    git(tmp_path, "switch", "main")
    commit_lock(tmp_path, "second", HEAD + train("a", "1") + train("b", "2", 0.2))
    commit_lock(tmp_path, "third", HEAD + train("a", "3", 0.3) + train("b", "2", 0.2))
    git(tmp_path, "switch", "first")
    done = git(tmp_path, "merge", "second")
    assert done.returncode == 0, done.stdout + done.stderr
    merged = HEAD + train("a", "2", 0.2) + train("b", "2", 0.2)
    assert (tmp_path / "dvc.lock").read_text() == merged
    done = git(tmp_path, "merge", "third")
    assert done.returncode == 1
    assert "both branches ran a with different inputs; keep one side" in done.stderr
    assert "CONFLICT (content): Merge conflict in dvc.lock" in done.stdout
    assert (tmp_path / "dvc.lock").read_text().count("<<<<<<< ours\n  a:\n") == 1
    assert git(tmp_path, "diff", "--name-only", "--diff-filter=U").stdout == "dvc.lock\n"


@pytest.mark.slow
def test_branches_that_trained_two_heads_merge_and_repro_has_nothing_to_do(
    tmp_path: Path, python: Path
) -> None:
    targets = ("train@refine", "train@fuse")
    stages = (
        "render", "index", "detect", "crop", "finetune_backbone", "heatmaps", "flow", "features",
        "tokens", "train",
    )  # fmt: skip
    clone = Clone(tmp_path / "clone", python, *stages)
    clone.edit_params(TOY)
    clone.run("dvc", "repro", *targets)
    clone.commit()
    for branch, param in (("refine", "train_refine.channels"), ("fuse", "train_fuse.blocks")):
        clone.git("switch", "--quiet", "--create", branch, "main")
        clone.run("dvc", "checkout", "--quiet", "--allow-missing")
        clone.edit_params({param: 8 if branch == "refine" else 2})
        clone.run("dvc", "repro", f"train@{branch}")
        clone.commit()
    done = git(clone.folder, "merge", "--no-edit", "refine")
    assert done.returncode == 0, done.stdout + done.stderr
    clone.run("dvc", "checkout", "--quiet", "--allow-missing")
    assert "Data and pipelines are up to date" in clone.run("dvc", "repro", *targets)
