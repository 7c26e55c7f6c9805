"""Which committed code made a unit: its key, computed again with the code of older commits."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.report.git import ask_git, unpack
from pipeline.units.key import KeyParts

PATHS = ("models", "pipeline", "stages", "numerics.lock")
COMMITS = 60
"""Most commits that are read, latest first."""

_PROGRAM = """
import json, sys
from pathlib import Path
try:
    from pipeline.units.key import modules_digest, stage_pins
except ImportError:
    from pipeline.units import modules_digest, stage_pins
modules = sys.argv[1:] if len(sys.argv) > 2 else sys.argv[1]
print(json.dumps([modules_digest(modules, Path()), stage_pins(modules, Path())]))
"""
"""Each commit computes the digest by its own rules, which have changed more than once."""


@dataclass(frozen=True, slots=True)
class PastCode:
    """The parts of a key that come from the code of a commit."""

    modules: str
    pins: Mapping[str, str]


def past_code(modules: Sequence[str], project: Path) -> Iterator[PastCode]:
    """Yield the code of a stage at commit after commit, latest first, each state once.

    Args:
        modules: Modules whose code the stage's keys digest (``Plan.modules``).
        project: A git repository.

    Raises:
        ValueError: If git fails.
    """
    commits = ask_git(project, "rev-list", f"--max-count={COMMITS}", "HEAD", "--", *PATHS)
    seen: set[str] = set()
    for commit in commits.decode().split():
        with tempfile.TemporaryDirectory() as folder:
            unpack(project, commit, PATHS, Path(folder))
            answer = _ask(modules, folder)
        # A commit without the stage, or with other versions of the libraries, has no answer.
        if answer and answer not in seen:
            seen.add(answer)
            yield PastCode(*json.loads(answer))


def same_but_code(
    keys: Mapping[str, str], parts: Mapping[str, KeyParts], past: Iterable[PastCode]
) -> set[str]:
    """Return the units whose old keys differ from the new ones in the code alone.

    Args:
        keys: Old key of every unit, by name.
        parts: Parts of its new key, by name.
        past: Code of older commits.
    """
    found: set[str] = set()
    for code in past:
        found |= {
            name
            for name in keys.keys() - found
            if replace(parts[name], modules=code.modules, pins=code.pins).key == keys[name]
        }
        if len(found) == len(keys):
            break
    return found


def _ask(modules: Sequence[str], folder: str) -> str:
    """Return what a commit's own code prints; '' if it fails."""
    command = [sys.executable, "-c", _PROGRAM, *modules]
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else ""
