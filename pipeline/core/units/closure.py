"""Import closure of modules: the project files that running them may open, found statically.

The deps of a stage in dvc.yaml cover these files, and unit keys digest the numeric ones.
"""

import sys
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

from pipeline.core.units.syntax import SourceFile, read_source

CODE = frozenset({"models", "pipeline", "stages"})
"""Folders of the code that stages run."""


def import_closure(
    modules: str | Iterable[str], root: Path, stop: Container[str] = ()
) -> list[Path]:
    """Return the files of the project that modules import, directly or not, and their own.

    Imports inside functions count. Imports under ``if TYPE_CHECKING:`` do not, because they never
    run. ``__init__.py`` of every parent package counts, because Python opens it.

    Args:
        modules: Dotted names, such as ``stages.flow``; a package means all of its modules.
        root: Folder that holds the project's packages.
        stop: Files and folders relative to ``root``, as text, that are left out together with
            what only they import.

    Returns:
        Paths relative to ``root``, sorted.

    Raises:
        ValueError: If a module is not in the project, or a file has a relative import.
    """
    return sorted(path for path, _ in _walk(modules, root, stop))


def third_party(modules: str | Iterable[str], root: Path, stop: Container[str] = ()) -> set[str]:
    """Return the top-level names of third-party modules that a closure imports.

    Args:
        modules: As for ``import_closure``.
        root: As for ``import_closure``.
        stop: As for ``import_closure``.
    """
    found = {
        name.partition(".")[0]
        for _, source in _walk(modules, root, stop)
        for name in source.imports
    }
    return {
        name
        for name in found
        if name not in sys.stdlib_module_names
        and not (root / name).is_dir()
        and not (root / f"{name}.py").is_file()
    }


def is_code(dep: str) -> bool:
    """Return whether a dep of dvc.yaml is code: a module, or a folder of modules.

    A folder with a template in its name, ``models/heads/${key}``, is none: nothing imports it.
    """
    first, _, rest = dep.partition("/")
    return dep.endswith(".py") or (first in CODE and not {".", "$"} & set(rest))


def closure_of_heads(root: Path) -> list[Path]:
    """Return the files outside of models/heads that the networks and losses of systems import.

    The stages that depend on ``models/heads/${key}`` load them by name, which no import tells.

    Args:
        root: As for ``import_closure``.
    """
    folder = root / "models" / "heads"
    modules = [path for path in folder.glob("*/*.py") if path.stem in {"network", "objective"}]
    names = [".".join(path.relative_to(root).with_suffix("").parts) for path in modules]
    files = {path for name in names for path in import_closure(name, root)}
    return sorted(path for path in files if path.parts[:2] != ("models", "heads"))


def _walk(
    modules: str | Iterable[str], root: Path, stop: Container[str]
) -> Iterator[tuple[Path, SourceFile]]:
    """Yield every file of the closure once."""
    waiting: list[Path] = []
    for module in [modules] if isinstance(modules, str) else modules:
        files = _files_of(module, root)
        if not files:
            raise ValueError(f"{module}: no module of the project in {root}")
        package = root.joinpath(*module.split("."))
        waiting += [*files, *(path.relative_to(root) for path in package.rglob("*.py"))]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in seen or any(part.as_posix() in stop for part in (path, *path.parents)):
            continue
        seen.add(path)
        source = read_source(root / path)
        waiting += [file for name in source.imports for file in _files_of(name, root)]
        yield path, source


def _files_of(name: str, root: Path) -> list[Path]:
    """Return the files that ``import name`` opens; of ``a.b.attribute`` those of ``a.b``."""
    files: list[Path] = []
    place = Path()
    for part in name.split("."):
        package, module = place / part / "__init__.py", place / f"{part}.py"
        if (root / package).is_file():
            files.append(package)
        elif (root / module).is_file():
            return [*files, module]
        elif not (root / place / part).is_dir():
            return files
        place /= part
    return files
