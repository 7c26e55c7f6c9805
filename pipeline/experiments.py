"""DVC experiments in temporary workspaces, one after the other, and the metrics they end in."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


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


def run_experiment(experiment: Experiment) -> str:
    """Run an experiment on top of HEAD, unless that was done before, and return its commit.

    Stages whose results DVC's run-cache knows are restored from it.

    Raises:
        ValueError: If the experiment fails; what DVC printed stands above.
    """
    done = _commit_of(experiment)
    if done is not None:
        return done
    sets = [word for setting in experiment.settings for word in ("-S", setting)]
    command = ["dvc", "exp", "run", "--temp", "--name", experiment.name, *sets]
    # DVC's own lines go through: a training takes a minute.
    code = subprocess.run([*command, *experiment.targets], check=False).returncode  # noqa: S603
    commit = _commit_of(experiment)
    if code or commit is None:
        raise ValueError(
            f"experiment {experiment.name}: expected `dvc exp run` to end well, it ended with code "
            f"{code}; see above, mend it and start again: what was done is kept"
        )
    return commit


def read_metrics(commit: str, system: str) -> dict[str, Any]:
    """Return the content of data/metrics/<system>.json in an experiment's commit."""
    metrics: dict[str, Any] = json.loads(_git("show", f"{commit}:data/metrics/{system}.json"))
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


def _commit_of(experiment: Experiment) -> str | None:
    """Return the commit of an experiment that was run on top of HEAD, if there is one."""
    head = _git("rev-parse", "HEAD").strip()
    ref = f"refs/exps/{head[:2]}/{head[2:]}/{experiment.name}"
    listed = _git("for-each-ref", "--format=%(objectname)", ref).split()
    return listed[0] if listed else None


def _git(*words: str) -> str:
    command = ["git", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
