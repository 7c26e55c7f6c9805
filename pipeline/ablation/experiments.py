"""DVC experiments in temporary workspaces, one after the other, and the metrics they end in."""

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

from pipeline.report.git import ask_git
from pipeline.units.scratch import find_scratch

_MADE = ("dvc.lock", "data/metrics", "data/ablations")
"""What runs write into the workspace, and no run reads."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is run: params that differ from the workspace's, and the stages that are wanted."""

    title: str
    """First part of its name among DVC's experiments: letters, digits and hyphens."""
    settings: tuple[str, ...]
    """``section.key=value`` each, a later one before an earlier one."""
    targets: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name: the same settings and targets always have the same one."""
        told = json.dumps([self.settings, self.targets]).encode()
        return f"{self.title}-{sha256(told).hexdigest()[:8]}"


def run_experiment(experiment: Experiment, project: Path = Path()) -> str:
    """Run an experiment on top of HEAD, unless that was done before, and return its commit.

    Stages whose results DVC's run-cache knows are restored from it. An experiment contains the
    workspace's changes to files that git tracks; after another change it is another experiment.

    Args:
        experiment: What is run.
        project: Folder of the repository.

    Raises:
        ValueError: If the experiment fails; what DVC printed stands above.
    """
    name = experiment.name + _changes(project)
    done = _commit_of(name, project)
    if done is not None:
        return done
    sets = [word for setting in experiment.settings for word in ("-S", setting)]
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", name, *sets]
    # DVC's own lines go through: a training takes a minute.
    words = [*command, *experiment.targets]
    code = subprocess.run(words, cwd=project, check=False).returncode  # noqa: S603
    commit = _commit_of(name, project)
    if code or commit is None:
        raise ValueError(
            f"experiment {name}: expected `dvc exp run` to end well, it ended with code "
            f"{code}; see above, mend it and start again: what was done is kept"
        )
    return commit


def stand_on(commit: str, targets: Sequence[str], project: Path = Path()) -> Path:
    """Return a clone at an experiment's commit, with the project's own DVC cache.

    An experiment that starts there takes everything that it has in common with that one as it
    stands in the commit's dvc.lock. Started from the project, it would have every stage before
    the first difference looked up in the run-cache, at about a second each. The clone's dvc.lock
    holds no other stages than the targets stand on: DVC reads and writes all of it after a stage.

    Args:
        commit: Commit of an experiment of the project.
        targets: The stages that experiments there will want.
        project: Folder of the repository.

    Returns:
        A folder in .dvc/tmp; the one of an earlier call, if it is whole.

    Raises:
        ValueError: If git fails, or ``project`` is no DVC repository.
    """
    scratch = find_scratch(project)
    wanted = sha256(json.dumps([commit, *targets]).encode()).hexdigest()
    clone = scratch.project / ".dvc" / "tmp" / "grounds" / wanted
    if clone.is_dir():
        return clone
    begun = clone.with_suffix(".partial")
    if begun.exists():
        shutil.rmtree(begun)
    begun.parent.mkdir(parents=True, exist_ok=True)
    # Its objects are the project's: the commit is there without a ref of its own.
    words = ("--quiet", "--shared", "--no-checkout", str(scratch.project), str(begun))
    ask_git(project, "clone", *words)
    ask_git(begun, "checkout", "--quiet", "--detach", commit)
    _shorten(begun / "dvc.lock", targets)
    who = ("-c", "user.name=ablate", "-c", "user.email=ablate@localhost")
    message = f"dvc.lock: what {' '.join(targets)} stands on"
    ask_git(begun, *who, "commit", "--quiet", "--allow-empty", "--all", f"--message={message}")
    cache = configparser.RawConfigParser()
    cache["cache"] = {"dir": str(scratch.cache)}
    with (begun / ".dvc" / "config.local").open("w", encoding="utf-8") as file:
        cache.write(file)
    begun.rename(clone)
    return clone


def _shorten(lock: Path, targets: Sequence[str]) -> None:
    """Leave the targets in a dvc.lock, and the stages whose outs they read, directly or not."""
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
    """Return whether two paths are the same, or one lies in the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def read_metrics(commit: str, system: str, project: Path = Path()) -> dict[str, Any]:
    """Return the content of data/metrics/<system>.json in an experiment's commit."""
    text = ask_git(project, "show", f"{commit}:data/metrics/{system}.json")
    metrics: dict[str, Any] = json.loads(text)
    return metrics


def settings_of(params: Path, wanted: Path) -> tuple[str, ...]:
    """Return what has to be set for one params file to say what another one says.

    Args:
        params: The params file that experiments start from.
        wanted: A complete params file, a preset for example.

    Returns:
        ``section.key=value`` for every value that differs, in the order of ``wanted``.

    Raises:
        ValueError: If the files have different keys.
    """
    before, after = (dict(_leaves(_read(file))) for file in (params, wanted))
    if before.keys() != after.keys():
        odd = sorted(before.keys() ^ after.keys())
        raise ValueError(f"{wanted}: expected the keys of {params}, they differ in {odd}")
    return tuple(
        f"{key}={json.dumps(value)}" for key, value in after.items() if value != before[key]
    )


def _read(file: Path) -> dict[str, Any]:
    values: dict[str, Any] = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    return values


def _leaves(values: Mapping[str, Any], above: str = "") -> Sequence[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        path = f"{above}{key}"
        deeper = isinstance(value, Mapping) and value
        found.extend(_leaves(value, f"{path}.") if deeper else [(path, value)])
    return found


def _changes(project: Path) -> str:
    """Return what tells workspaces on top of one commit apart; '' without a change."""
    left_out = [f":(exclude){path}" for path in _MADE]
    difference = ask_git(project, "diff", "--binary", "HEAD", "--", ".", *left_out)
    return f"-{sha256(difference).hexdigest()[:8]}" if difference else ""


def _commit_of(name: str, project: Path) -> str | None:
    """Return the commit of an experiment that was run on top of HEAD, if there is one."""
    head = ask_git(project, "rev-parse", "HEAD").decode().strip()
    ref = f"refs/exps/{head[:2]}/{head[2:]}/{name}"
    return ask_git(project, "for-each-ref", "--format=%(objectname)", ref).decode().strip() or None
