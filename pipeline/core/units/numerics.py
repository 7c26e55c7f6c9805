"""Exact versions of the libraries that can change a result: ``numerics.lock``.

The file is TOML with one table per minor version of Python. It is in ``pipeline/core``, a DVC
dependency of every stage, so that new versions run the DAG again. The pins of the libraries that a
stage imports are part of its unit keys, so that old units are not reused.
"""

import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

LOCK = "pipeline/core/numerics.lock"
DISTRIBUTIONS = {
    "torch": "torch",
    "torchvision": "torchvision",
    "cv2": "opencv-python-headless",
    "timm": "timm",
    "transformers": "transformers",
    "numpy": "numpy",
    "pyarrow": "pyarrow",
    "av": "av",
}
"""Distributions by module whose versions can change the bytes of a unit."""


def read_pins(root: Path) -> dict[str, str]:
    """Return the pins of the running Python's minor version.

    Args:
        root: Folder of the code.

    Raises:
        ValueError: If the file is missing or not TOML, or has no table for this Python.
    """
    path = root / LOCK
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: the pins cannot be read: {error}") from error
    minor = python_minor()
    if set(tables.get(minor, {})) != set(DISTRIBUTIONS.values()):
        raise ValueError(
            f"{path}: expected a table [{minor!r}] that pins {sorted(DISTRIBUTIONS.values())}; "
            f"it has tables for Python {', '.join(tables)}: use one of these"
        )
    return {str(name): str(version) for name, version in tables[minor].items()}


def pins_of(imports: Iterable[str], root: Path) -> dict[str, str]:
    """Return the pins for a unit key, after comparing them with the environment.

    Args:
        imports: Top-level modules that a stage imports; modules without a pin are ignored.
        root: Folder of the code.

    Returns:
        Version by distribution, and Python's minor version as ``python``.

    Raises:
        ValueError: If an installed version is not the pinned one.
    """
    pins = read_pins(root)
    found = {"python": python_minor()}
    for module in sorted(set(imports) & set(DISTRIBUTIONS)):
        name = DISTRIBUTIONS[module]
        found[name] = installed(name)
        if found[name] != pins[name]:
            raise ValueError(
                f"{root / LOCK}: pins {name} {pins[name]}, the environment has {found[name]}; run "
                "make setup, or write the new version into the file, which computes units again"
            )
    return found


def python_minor() -> str:
    """Return the running Python's version, such as ``3.11``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def installed(distribution: str) -> str:
    """Return the installed version of a distribution, 'none' if there is none.

    The local part, which distinguishes builds for CPU and GPU (``2.13.0+cpu``), is omitted: the
    kind of device is part of every key.
    """
    try:
        return metadata.version(distribution).partition("+")[0]
    except metadata.PackageNotFoundError:
        return "none"
