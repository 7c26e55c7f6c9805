"""Digests of source files that comments, docstrings and formatting do not change."""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SourceFile:
    """What a source file says."""

    digest: str
    """sha256 of its syntax tree without docstrings and line numbers."""
    imports: tuple[str, ...]
    """Dotted names that it imports, inside functions too, but not under ``if TYPE_CHECKING:``."""


def read_source(path: Path) -> SourceFile:
    """Return what a Python file says; the same bytes are parsed once per process.

    Raises:
        ValueError: If the file has a relative import.
        SyntaxError: If it is no Python.
    """
    try:
        return _parse(path.read_bytes())
    except _RelativeImportError as error:
        raise ValueError(f"{path}:{error}: relative import; name the whole module") from error


class _RelativeImportError(ValueError):
    """A relative import; the message is its line."""


@cache
def _parse(content: bytes) -> SourceFile:
    tree = ast.parse(content)
    imports = tuple(_imports(tree))
    _drop_bare_strings(tree)
    return SourceFile(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imports)


def _imports(tree: ast.Module) -> Iterator[str]:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise _RelativeImportError(str(node.lineno))
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting += node.orelse
        elif not isinstance(node, ast.expr):
            waiting += ast.iter_child_nodes(node)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def _drop_bare_strings(tree: ast.AST) -> None:
    """Remove docstrings, also those of attributes: statements that are a string and nothing else.

    Args:
        tree: Changed in place.
    """
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(node, name, None)
            if isinstance(statements, list):
                setattr(node, name, [one for one in statements if not _is_bare_string(one)])
        waiting += (c for c in ast.iter_child_nodes(node) if not isinstance(c, ast.expr))


def _is_bare_string(statement: ast.AST) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
