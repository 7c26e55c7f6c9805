"""Find what a killed ``dvc exp run`` leaves in git, and the commands that clean it up."""

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.maintenance.killed_experiments import has_left_stash, left_copies
from pipeline.maintenance.live_commands import live_commands
from pipeline.report.git import run_git

_EXEC = "refs/exps/exec"
"""Refs of DVC that exist while an experiment runs in the workspace."""


@dataclass(frozen=True, slots=True)
class Advice:
    """One leftover and the commands that remove it."""

    what: str
    commands: tuple[str, ...]


def advise(project: Path) -> list[Advice]:
    """Return the leftovers of killed experiments in the repository; change nothing.

    ``dvc exp run`` in the workspace detaches HEAD and rewrites params.yaml. At its end it restores
    both, unless it was killed. A detached HEAD without DVC's refs is the user's own, as in a
    worktree.

    Args:
        project: Folder of the project. Outside a git repository there are no leftovers.
    """
    refs = (_git(project, "for-each-ref", "--format=%(refname)", _EXEC) or "").split()
    stashed = has_left_stash(project)
    copies = left_copies(project)
    if not (refs or stashed or copies):
        return []
    if running := live_commands(project):
        return [Advice(f"an experiment is running (process {running[0].pid}: its state)", ())]
    found = []
    if refs and _is_at_experiment(project):
        branch = _branch_before(project)
        found.append(
            Advice(
                "HEAD is on no branch, after a killed dvc exp run",
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
    if refs:
        commands = tuple(f"git update-ref -d {name}" for name in refs)
        found.append(Advice("refs of an unfinished experiment", commands))
    if stashed or copies:
        what = f"{len(copies)} temporary copies and {int(stashed)} stash of killed experiments"
        found.append(Advice(what, ("posereel gc --yes",)))
    return found


def _is_at_experiment(project: Path) -> bool:
    """Return whether HEAD is on no branch, at a commit of an unfinished experiment."""
    if _git(project, "symbolic-ref", "--quiet", "HEAD") is not None:
        return False
    commits = (_git(project, "for-each-ref", "--format=%(objectname)", _EXEC) or "").split()
    return _git(project, "rev-parse", "HEAD") in commits


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
