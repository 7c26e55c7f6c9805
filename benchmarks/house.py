"""Measure the source tree: function sizes, rooms, callers, DVC files, system names, README.

Prints one column per tree, for example of two revisions:

    git worktree add /tmp/before REVISION
    python -m benchmarks.house [--json] [/tmp/before .]

Line counts of functions leave out docstrings, comments and blank lines; those of rooms and files
count every line. `__init__.py` files count as files, but not as modules.
"""

import argparse
import ast
import io
import json
import re
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median, quantiles

PACKAGES = ("pipeline", "models", "stages", "posereel")
CODE_DEP = re.compile(rf"\s+- (\.\./)?({'|'.join(PACKAGES)})(/[\w/.]*)?$")
"""A line of dvc.yaml that lists a file or a folder of code."""

Figures = dict[str, int | float | str]


def measure_tree(root: Path) -> Figures:
    """Return every figure of a source tree by name, in the order of the table."""
    return (
        function_sizes(root)
        | file_counts(root)
        | dvc_files(root)
        | {"files with a quoted system name": len(files_with_system_names(root))}
        | {"README.md, bytes": (root / "README.md").stat().st_size}
        | room_sizes(root)
    )


def function_sizes(root: Path) -> Figures:
    """Return the median, the 90th percentile and the maximum of code lines per function."""
    figures: Figures = {}
    for package in PACKAGES:
        sizes = [size for file in python_files(root / package) for size in code_lines(file)]
        if len(sizes) < 2:
            continue
        p90 = quantiles(sizes, n=10, method="inclusive")[-1]
        figures[f"{package}, code lines per function, median / p90 / max"] = (
            f"{median(sizes):g} / {p90:.0f} / {max(sizes)}"
        )
    return figures


def code_lines(file: Path) -> Iterator[int]:
    """Yield the number of code lines of every function and method of a file."""
    text = file.read_text(encoding="utf-8")
    skipped = {
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
        tokenize.ENDMARKER,
    }  # fmt: skip
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            code.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = set(range(node.lineno, (node.end_lineno or node.lineno) + 1)) & code
            if ast.get_docstring(node, clean=False) is not None:
                docstring = node.body[0]
                lines -= set(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
            yield len(lines)


def file_counts(root: Path) -> Figures:
    """Return the number of files in pipeline/, and of its modules with one importing file."""
    files = list(python_files(root / "pipeline"))
    modules = {module_name(root, file) for file in files if file.name != "__init__.py"}
    callers: Counter[str] = Counter()
    for package in PACKAGES:
        for file in python_files(root / package):
            callers.update((imported_modules(file) & modules) - {module_name(root, file)})
    alone = sum(callers[module] == 1 for module in modules)
    return {
        "pipeline, files in its root": len(list((root / "pipeline").glob("*.py"))),
        "pipeline, files": len(files),
        "pipeline, modules with one caller": f"{alone} of {len(modules)}",
        "commands and stages, files": sum(
            len(list((root / folder).glob("*.py"))) for folder in ("stages", "posereel/commands")
        ),
    }


def imported_modules(file: Path) -> set[str]:
    """Return the dotted names that a file imports, with those of what it imports from modules."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def dvc_files(root: Path) -> Figures:
    """Return the lengths of dvc.yaml and dvc.lock, and how much of them lists dependencies."""
    plan = (root / "dvc.yaml").read_text(encoding="utf-8").splitlines()
    lock = (root / "dvc.lock").read_text(encoding="utf-8").splitlines()
    code = sum(bool(CODE_DEP.match(line)) for line in plan)
    in_deps, section = 0, ""
    for line in lock:
        # A key of a stage is indented by 4; the items of a list have the same indentation.
        if re.match(r" {0,4}\S", line) and not line.startswith("    - "):
            section = line.strip()
        in_deps += section == "deps:"
    return {
        "dvc.yaml, lines": len(plan),
        "dvc.yaml, share of code deps, percent": round(100 * code / len(plan)),
        "dvc.lock, lines": len(lock),
        "dvc.lock, lines in deps": in_deps,
    }


def files_with_system_names(root: Path) -> list[Path]:
    """Return the Python files outside models/heads that quote a system's name."""
    ending = ".provenance.json"
    systems = {
        file.name.removesuffix(ending) for file in (root / "data" / "metrics").glob(f"*{ending}")
    }
    return [
        file
        for package in PACKAGES
        for file in python_files(root / package)
        if root / "models" / "heads" not in file.parents and quoted_strings(file) & systems
    ]


def quoted_strings(file: Path) -> set[str]:
    """Return every string literal of a file."""
    return {
        node.value
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def room_sizes(root: Path) -> Figures:
    """Return the number of lines per folder of a package, the largest first."""
    sizes: Counter[str] = Counter()
    for package in PACKAGES:
        for file in python_files(root / package):
            folders = file.relative_to(root).parent.parts
            room = folders[: 3 if folders[:2] == ("models", "heads") else 2]
            sizes["/".join(room)] += len(file.read_text(encoding="utf-8").splitlines())
    return {f"{room}/, lines": size for room, size in sizes.most_common()}


def python_files(folder: Path) -> Iterator[Path]:
    """Yield the Python files below a folder in sorted order; none if there is no such folder."""
    yield from sorted(folder.rglob("*.py"))


def module_name(root: Path, file: Path) -> str:
    """Return the dotted name of a file of the tree."""
    return ".".join(file.relative_to(root).with_suffix("").parts)


def print_table(names: Sequence[str], columns: Sequence[Figures]) -> None:
    """Print one row per figure and one column per tree."""
    rows = list(dict.fromkeys(row for column in columns for row in column))
    width = max(map(len, rows))
    cells = [max(16, len(name)) for name in names]
    print(" " * width, *(name.rjust(cell) for name, cell in zip(names, cells, strict=True)))
    for row in rows:
        values = (str(column.get(row, "")) for column in columns)
        print(
            row.ljust(width),
            *(value.rjust(cell) for value, cell in zip(values, cells, strict=True)),
        )


def main() -> None:
    """Measure the trees that the command line names; this one if it names none."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = [Path(__file__).resolve().parents[1]]
    parser.add_argument("trees", nargs="*", type=Path, default=default, help="Source trees.")
    parser.add_argument("--json", action="store_true", help="Print JSON, not a table.")
    arguments = parser.parse_args()
    columns = [measure_tree(tree.resolve()) for tree in arguments.trees]
    names = [tree.resolve().name for tree in arguments.trees]
    if arguments.json:
        print(json.dumps(dict(zip(names, columns, strict=True)), indent=1))
    else:
        print_table(names, columns)


if __name__ == "__main__":
    main()
