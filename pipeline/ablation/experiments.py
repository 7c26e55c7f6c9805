"""Run DVC experiments in temporary workspaces, one at a time, and read their metrics."""

import configparser
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.core.units.scratch import find_scratch
from pipeline.report.git import run_git

_OUTPUTS = ("dvc.lock", "data/metrics", "data/ablations", "data/liveness")
"""Paths in the workspace that runs write but never read."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """Params that differ from those of the workspace, and the stages to run."""

    title: str
    """Prefix of the experiment's name in DVC: letters, digits and hyphens."""
    settings: tuple[str, ...]
    """One ``section.key=value`` each; a later value overrides an earlier one."""
    targets: tuple[str, ...]
    """Stages to run, as DVC names them: ``evaluate@jmpose``."""

    @property
    def name(self) -> str:
        """Name in DVC, a function of title, settings and targets."""
        content = json.dumps([self.settings, self.targets]).encode()
        return f"{self.title}-{sha256(content).hexdigest()[:8]}"


def run_experiment(experiment: Experiment, project: Path = Path()) -> str:
    """Run an experiment on top of HEAD and return its commit.

    An experiment that was already run on this HEAD is not run again. It includes the changes that
    the workspace makes to tracked files, so a further change makes it a new experiment. DVC
    restores stages from its run cache where it can.

    Args:
        experiment: Settings and targets.
        project: Folder of the repository.

    Raises:
        ValueError: If the experiment fails; DVC has printed why.
    """
    name = experiment.name + _digest_changes(project)
    done = _commit_of(name, project)
    if done is not None:
        return done
    options = [word for setting in experiment.settings for word in ("-S", setting)]
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", name, *options]
    # DVC prints to the terminal: a training takes a minute, and the user sees its progress.
    command += experiment.targets
    code = subprocess.run(command, cwd=project, check=False).returncode  # noqa: S603
    commit = _commit_of(name, project)
    if code or commit is None:
        raise ValueError(
            f"experiment {name}: expected `dvc exp run` to exit with code 0 and store a commit, "
            f"got exit code {code}; fix the cause printed above and run again: finished stages "
            "are kept"
        )
    return commit


def clone_at(commit: str, targets: Sequence[str], project: Path = Path()) -> Path:
    """Clone the project at an experiment's commit; the clone uses the project's DVC cache.

    Experiments that run in the clone find the stages that they share with that commit unchanged in
    its dvc.lock. In the project, DVC would look up each of these stages in its run cache, at about
    one second per stage. The clone's dvc.lock holds only the targets and the stages upstream of
    them, because DVC reads and writes the entire file after every stage.

    Args:
        commit: Commit of an experiment of the project.
        targets: Stages that experiments in the clone run.
        project: Folder of the repository.

    Returns:
        A folder in .dvc/tmp. A later call with the same commit and targets returns it again.

    Raises:
        ValueError: If git fails, or ``project`` is not a DVC repository.
    """
    scratch = find_scratch(project)
    digest = sha256(json.dumps([commit, *targets]).encode()).hexdigest()
    clone = scratch.project / ".dvc" / "tmp" / "clones" / digest
    if clone.is_dir():
        return clone
    partial = clone.with_suffix(".partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    # --shared: the clone reads the project's objects, so the commit needs no ref.
    options = ("--quiet", "--shared", "--no-checkout", str(scratch.project), str(partial))
    run_git(project, "clone", *options)
    run_git(partial, "checkout", "--quiet", "--detach", commit)
    _keep_upstream(partial / "dvc.lock", targets)
    author = ("-c", "user.name=ablate", "-c", "user.email=ablate@localhost")
    message = f"dvc.lock: only the stages upstream of {' '.join(targets)}"
    run_git(partial, *author, "commit", "--quiet", "--allow-empty", "--all", f"--message={message}")
    cache = configparser.RawConfigParser()
    cache["cache"] = {"dir": str(scratch.cache)}
    with (partial / ".dvc" / "config.local").open("w", encoding="utf-8") as file:
        cache.write(file)
    partial.rename(clone)
    return clone


def _keep_upstream(lock: Path, targets: Sequence[str]) -> None:
    """Remove every stage from a dvc.lock but the targets and the stages upstream of them."""
    yaml = YAML()
    content = yaml.load(lock.read_text(encoding="utf-8"))
    stages = content["stages"]
    kept, new = set[str](), set(targets)
    while new:
        kept |= new
        read = {dep["path"] for name in new for dep in stages[name].get("deps", ())}
        new = {
            name
            for name, stage in stages.items()
            if any(_overlap(out["path"], dep) for out in stage.get("outs", ()) for dep in read)
        } - kept
    content["stages"] = {name: stage for name, stage in stages.items() if name in kept}
    with lock.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)


def _overlap(one: str, other: str) -> bool:
    """Return whether two paths are equal, or one is inside the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def read_metrics(commit: str, system: str, project: Path = Path()) -> dict[str, Any]:
    """Return the content of data/metrics/<system>.json in an experiment's commit."""
    text = run_git(project, "show", f"{commit}:data/metrics/{system}.json")
    metrics: dict[str, Any] = json.loads(text)
    return metrics


def settings_of(params: Path, wanted: Path) -> tuple[str, ...]:
    """Return the settings that turn one params file into another.

    Args:
        params: The params file that experiments start from.
        wanted: A complete params file, for example a preset.

    Returns:
        ``section.key=value`` for every value that differs, in the order of ``wanted``.

    Raises:
        ValueError: If the files have different keys.
    """
    before, after = (dict(_leaves(_read(file))) for file in (params, wanted))
    if before.keys() != after.keys():
        unmatched = sorted(before.keys() ^ after.keys())
        raise ValueError(
            f"{wanted}: expected the keys of {params}, got keys in only one of the files: "
            f"{unmatched}; add or remove them"
        )
    return tuple(
        f"{key}={json.dumps(value)}" for key, value in after.items() if value != before[key]
    )


def _read(file: Path) -> dict[str, Any]:
    values: dict[str, Any] = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    return values


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Sequence[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        path = f"{prefix}{key}"
        nested = isinstance(value, Mapping) and value
        found.extend(_leaves(value, f"{path}.") if nested else [(path, value)])
    return found


def _digest_changes(project: Path) -> str:
    """Return a suffix that identifies the uncommitted changes; '' if there are none."""
    excluded = [f":(exclude){path}" for path in _OUTPUTS]
    difference = run_git(project, "diff", "--binary", "HEAD", "--", ".", *excluded)
    return f"-{sha256(difference).hexdigest()[:8]}" if difference else ""


def _commit_of(name: str, project: Path) -> str | None:
    """Return the commit of an experiment on top of HEAD; None if it was not run."""
    head = run_git(project, "rev-parse", "HEAD").decode().strip()
    ref = f"refs/exps/{head[:2]}/{head[2:]}/{name}"
    return run_git(project, "for-each-ref", "--format=%(objectname)", ref).decode().strip() or None
