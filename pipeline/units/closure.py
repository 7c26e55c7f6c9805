"""Import closure of a module: the project files that running it may open, found without running it.

DVC lists these files as deps of the module's stage, a folder where it holds nothing else, and unit
keys hash the numeric ones.
"""

import ast
import sys
from collections.abc import Container, Iterator
from pathlib import Path

CODE = frozenset({"models", "pipeline", "stages"})
"""Folders of the code that stages run."""


def import_closure(module: str, root: Path, stop: Container[str] = ()) -> list[Path]:
    """Return the files of the project that a module imports, directly or not, with its own.

    Imports inside functions count; those under ``if TYPE_CHECKING:`` do not, for they never run.
    ``__init__.py`` of every package on the way counts, for Python opens it.

    Args:
        module: Dotted name, such as ``stages.flow``.
        root: Folder that holds the project's packages.
        stop: Files and folders relative to ``root``, as text, that are left out and not looked
            into.

    Returns:
        Paths relative to ``root``, sorted.

    Raises:
        ValueError: If the module is not in the project, or a file has a relative import.
    """
    return sorted(path for path, _ in _walk(module, root, stop))


def third_party(module: str, root: Path, stop: Container[str] = ()) -> set[str]:
    """Return the top-level names that a closure imports from neither project nor Python itself.

    Args:
        module: As for ``import_closure``.
        root: As for ``import_closure``.
        stop: As for ``import_closure``.
    """
    names = {name.partition(".")[0] for _, names in _walk(module, root, stop) for name in names}
    return {
        name
        for name in names
        if name not in sys.stdlib_module_names
        and not (root / name).is_dir()
        and not (root / f"{name}.py").is_file()
    }


def with_whole_folders(files: list[Path], root: Path) -> list[Path]:
    """Return a closure in which a folder stands for its files, where all of them belong to it.

    DVC reads and writes every dep of every stage one by one: fewer deps are a faster ``dvc repro``.

    Args:
        files: As ``import_closure`` returns them.
        root: As for ``import_closure``.
    """
    whole = {
        folder
        for folder in {parent for path in files for parent in path.parents[:-2]}
        if set(files) >= {path.relative_to(root) for path in files_below(root / folder)}
    }
    return sorted({next((up for up in reversed(p.parents) if up in whole), p) for p in files})


def files_below(folder: Path) -> list[Path]:
    """Return what DVC sees in a folder of code: all files but bytecode."""
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]


def is_code(dep: str) -> bool:
    """Return whether a dep of dvc.yaml is code: a module, or a folder of modules."""
    first, _, rest = dep.partition("/")
    return dep.endswith(".py") or (first in CODE and "." not in rest)


def _walk(module: str, root: Path, stop: Container[str]) -> Iterator[tuple[Path, list[str]]]:
    """Yield every file of the closure once, with the dotted names that it imports."""
    waiting = _files_of(module, root)
    if not waiting:
        raise ValueError(f"{module}: no module of the project in {root}")
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in seen or any(part.as_posix() in stop for part in (path, *path.parents)):
            continue
        seen.add(path)
        names = _imports_of(root / path)
        waiting += [file for name in names for file in _files_of(name, root)]
        yield path, names


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


def _imports_of(path: Path) -> list[str]:
    names: list[str] = []
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"), str(path))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise ValueError(f"{path}:{node.lineno}: relative import; name the whole module")
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)
    return names


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"
