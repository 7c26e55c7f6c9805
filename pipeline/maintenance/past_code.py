"""Find the commit whose code made a unit: compute its key with the code of older commits."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.core.units.key import KeyParts
from pipeline.report.git import run_git, unpack

PATHS = ("models", "pipeline", "stages", "numerics.lock")
"""Code of the keys; ``numerics.lock`` was in the root folder of older commits."""
COMMITS = 300
"""Maximum number of commits to read, latest first."""

_PROGRAM = """
import json, sys
from importlib import import_module
from pathlib import Path
for name in ("pipeline.core.units.key", "pipeline.units.key", "pipeline.units"):
    try:
        key = import_module(name)
        break
    except ImportError:
        pass
modules = sys.argv[1:] if len(sys.argv) > 2 else sys.argv[1]
print(json.dumps([key.modules_digest(modules, Path()), key.stage_pins(modules, Path())]))
"""
"""Each commit computes the digest with its own code, because the rule has changed."""


@dataclass(frozen=True, slots=True)
class PastCode:
    """The parts of a key that depend on the code of a commit."""

    modules: str
    pins: Mapping[str, str]


def past_code(modules: Sequence[str], project: Path) -> Iterator[PastCode]:
    """Yield the distinct states of the code of a stage, latest commit first.

    Args:
        modules: Modules whose code is part of the keys of the stage (``Plan.modules``).
        project: A git repository.

    Raises:
        ValueError: If git fails.
    """
    commits = run_git(project, "rev-list", f"--max-count={COMMITS}", "HEAD", "--", *PATHS)
    seen: set[str] = set()
    for commit in commits.decode().split():
        with tempfile.TemporaryDirectory() as folder:
            unpack(project, commit, PATHS, Path(folder))
            answer = _run_program(modules, folder)
        # There is no answer if the commit lacks the stage or pins other versions of libraries.
        if answer and answer not in seen:
            seen.add(answer)
            yield PastCode(*json.loads(answer))


def same_but_code(
    keys: Mapping[str, str], parts: Mapping[str, KeyParts], past: Iterable[PastCode]
) -> set[str]:
    """Return the units whose old and new keys differ only in the code.

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


def _run_program(modules: Sequence[str], folder: str) -> str:
    """Return the output of the program with the code of a commit; '' if it fails."""
    command = [sys.executable, "-c", _PROGRAM, *modules]
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else ""
