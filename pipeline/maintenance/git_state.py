"""What a killed ``dvc exp run`` leaves behind in git, and the commands that mend it."""

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.report.git import ask_git


@dataclass(frozen=True, slots=True)
class Advice:
    """Something to mend."""

    what: str
    commands: tuple[str, ...]


def advise(project: Path) -> list[Advice]:
    """Return what is to be mended in the repository's git state; nothing is changed.

    ``dvc exp run`` in the workspace detaches HEAD and rewrites params.yaml, and puts both back at
    its end; a killed one does not.

    Args:
        project: Folder of the project; one that is no git repository has no state to mend.
    """
    if _git(project, "rev-parse", "--git-dir") is None:
        return []
    found = []
    if _git(project, "symbolic-ref", "--quiet", "HEAD") is None:
        branch = _branch_before(project)
        found.append(
            Advice(
                "HEAD is on no branch, as a killed dvc exp run leaves it",
                (f"git switch {branch}" if branch else "git switch BRANCH",),
            )
        )
        if _git(project, "status", "--porcelain", "--", "params.yaml"):
            found.append(
                Advice(
                    "params.yaml holds the params of that experiment",
                    (
                        "dvc repro  # to go on with them, or:",
                        "git restore --staged --worktree params.yaml",
                    ),
                )
            )
    if left := _git(project, "for-each-ref", "--format=%(refname)", "refs/exps/exec"):
        commands = tuple(f"git update-ref -d {name}" for name in left.split())
        found.append(Advice("refs of an experiment that did not end", commands))
    return found


def _branch_before(project: Path) -> str:
    """Return the branch that HEAD was on: from its log, else one that points at the same commit."""
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
    """Return what git prints; nothing if it fails."""
    try:
        return ask_git(project, *words).decode().strip()
    except ValueError:
        return None
