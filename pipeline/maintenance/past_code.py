"""Which committed code made a unit: its key, told again with the modules of older commits."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.report.git import ask_git, unpack
from pipeline.units.key import key_of, modules_digest

PACKAGES = ("models", "pipeline", "stages")
COMMITS = 60
"""Most commits that are looked at, latest first."""


def past_digests(module: str, project: Path) -> Iterator[str]:
    """Yield the digest of a stage's numeric modules at commit after commit, latest first.

    Args:
        module: The stage's module, ``stages.flow``.
        project: A git repository.

    Raises:
        ValueError: If git cannot be asked.
    """
    commits = ask_git(project, "rev-list", f"--max-count={COMMITS}", "HEAD", "--", *PACKAGES)
    seen: set[str] = set()
    for commit in commits.decode().split():
        with tempfile.TemporaryDirectory() as folder:
            unpack(project, commit, PACKAGES, Path(folder))
            try:
                digest = modules_digest(module, Path(folder))
            except (ValueError, SyntaxError):
                continue  # the stage was not there yet, or its code was none
        if digest not in seen:
            seen.add(digest)
            yield digest


def same_but_code(
    keys: Mapping[str, str], parts: Mapping[str, Mapping[str, object]], past: Iterator[str]
) -> set[str]:
    """Return the units whose old keys differ from the new ones in the code alone.

    Args:
        keys: Old key of every unit, by name.
        parts: What its new key is made of, by name.
        past: Digests of the modules as they once were.
    """
    found: set[str] = set()
    for digest in past:
        found |= {
            name
            for name in keys.keys() - found
            if key_of({**parts[name], "modules": digest}) == keys[name]
        }
        if len(found) == len(keys):
            break
    return found
