"""Find what a killed ``dvc exp run`` leaves in git, and the commands that clean it up."""

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.report.git import run_git


@dataclass(frozen=True, slots=True)
class Advice:
    """One leftover and the commands that remove it."""

    what: str
    commands: tuple[str, ...]


def advise(project: Path) -> list[Advice]:
    """Return the leftovers of killed experiments in the repository; change nothing.

    ``dvc exp run`` in the workspace detaches HEAD and rewrites params.yaml. At its end it restores
    both, unless it was killed.

    Args:
        project: Folder of the project. Outside a git repository there are no leftovers.
    """
    if _git(project, "rev-parse", "--git-dir") is None:
        return []
    found = []
    if _git(project, "symbolic-ref", "--quiet", "HEAD") is None:
        branch = _branch_before(project)
        found.append(
            Advice(
                "HEAD is on no branch, probably after a killed dvc exp run",
                (f"git switch {branch}" if branch else "git switch BRANCH",),
            )
        )
        if _git(project, "status", "--porcelain", "--", "params.yaml"):
            found.append(
                Advice(
                    "params.yaml has the params of that experiment",
                    (
                        "dvc repro  # to continue with them, or:",
                        "git restore --staged --worktree params.yaml",
                    ),
                )
            )
    if left := _git(project, "for-each-ref", "--format=%(refname)", "refs/exps/exec"):
        commands = tuple(f"git update-ref -d {name}" for name in left.split())
        found.append(Advice("refs of an unfinished experiment", commands))
    return found


def _branch_before(project: Path) -> str:
    """Return the previous branch of HEAD: from its log, else a branch at the same commit."""
    moves = _git(project, "reflog", "show", "--format=%gs", "HEAD") or ""
    for line in moves.splitlines():
        match = re.fullmatch(r"checkout: moving from (\S+) to \S+", line)
        if match and _git(project, "show-ref", "--verify", f"refs/heads/{match[1]}"):
            return match[1]
    same = _git(
        project, "for-each-ref", "--points-at=HEAD", "--format=%(refname:short)", "refs/heads"
    )
    return (same or "").partition("\n")[0]


def _git(project: Path, *words: str) -> str | None:
    """Return the output of git; None if it fails."""
    try:
        return run_git(project, *words).decode().strip()
    except ValueError:
        return None
