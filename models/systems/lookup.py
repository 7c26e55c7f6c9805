"""Find systems by the names of their folders in models/heads.

This is the only module that imports by name. It needs no torch, and importing the declaration of a
system imports none either.
"""

import pkgutil
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import models.heads
from models.systems.declaration import System


def find_system(name: str) -> System:
    """Return the declaration of a system.

    Args:
        name: Name of its folder in models/heads.

    Raises:
        ValueError: If there is no such folder.
    """
    if not name.isidentifier() or find_spec(f"models.heads.{name}") is None:
        raise ValueError(
            f"system {name!r}: expected a folder of models/heads: {', '.join(_folders())}"
        )
    system: System = import_module(f"models.heads.{name}.system").SYSTEM
    return system


def find_class(name: str, module: str, attribute: str) -> Any:  # noqa: ANN401  a class of torch
    """Return a class that the folder of a system defines.

    Args:
        name: The system.
        module: Module in its folder, such as ``network``.
        attribute: Name of the class.
    """
    return getattr(import_module(f"models.heads.{name}.{module}"), attribute)


def find_view(name: str) -> Any:  # noqa: ANN401  a function of torch modules and tensors
    """Return the function ``attention_view`` of a system, see ``models.head_parts.views``.

    Raises:
        ValueError: If its folder has no module ``view``.
    """
    find_system(name)
    if find_spec(f"models.heads.{name}.view") is None:
        shown = [other for other in _folders() if find_spec(f"models.heads.{other}.view")]
        raise ValueError(f"system {name!r}: expected one with a view: {', '.join(shown)}")
    return find_class(name, "view", "attention_view")


def training_modules(name: str) -> tuple[str, ...]:
    """Return the modules in the folder of a system that training it runs."""
    modules = ("network",) if find_system(name).objective is None else ("network", "objective")
    return tuple(f"models.heads.{name}.{module}" for module in modules)


def prediction_modules(name: str) -> tuple[str, ...]:
    """Return the modules in the folder of a system that predicting with it runs."""
    return (f"models.heads.{name}.network",)


def all_systems() -> dict[str, System]:
    """Return all systems by name: every head behind its baseline and its controls."""
    found = {name: find_system(name) for name in _folders()}
    ordered: dict[str, System] = {}
    for name, system in found.items():
        if system.baseline is not None:
            ordered |= {other: found[other] for other in (system.baseline, *system.controls)}
            ordered[name] = system
    return ordered | {name: found[name] for name in found if name not in ordered}


def _folders() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(models.heads.__path__))
