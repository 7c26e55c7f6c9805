"""Find systems by the names of their folders in models/heads.

Only this module imports by name. Neither this module nor the declaration of a system imports torch.
"""

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import models.heads
from models.head_parts.declaration import System


def find_system(name: str) -> System:
    """Return the declaration of a system.

    Args:
        name: Name of its folder in models/heads.

    Raises:
        ValueError: If there is no such folder.
    """
    if name not in (folders := _folders()):
        raise ValueError(
            f"system {name!r}: expected a folder of models/heads: {', '.join(folders)}"
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


def find_parts(name: str) -> Any:  # noqa: ANN401  a function of torch modules
    """Return the function ``declare_parts`` of a system, see ``models.head_parts.replaced_parts``.

    Raises:
        ValueError: If its folder has no module ``parts``.
    """
    find_system(name)
    if find_spec(f"models.heads.{name}.parts") is None:
        declared = ", ".join(systems_with_parts())
        raise ValueError(f"system {name!r}: expected one with parts: {declared}")
    return find_class(name, "parts", "declare_parts")


def systems_with_parts() -> list[str]:
    """Return the systems of dvc.yaml with a module ``parts``, in the order of tables."""
    return [name for name in listed_systems() if find_spec(f"models.heads.{name}.parts")]


def training_modules(name: str) -> tuple[str, ...]:
    """Return the modules in the folder of a system that training uses."""
    modules = ("network",) if find_system(name).objective is None else ("network", "objective")
    return tuple(f"models.heads.{name}.{module}" for module in modules)


def prediction_modules(name: str) -> tuple[str, ...]:
    """Return the modules in the folder of a system that prediction uses."""
    return (f"models.heads.{name}.network",)


def all_systems() -> dict[str, System]:
    """Return all systems by name, in the order of tables.

    Every head comes after its baseline and its controls, and published heads come first.
    """
    found = {name: find_system(name) for name in _folders()}
    heads = sorted(
        (system.crops, not system.paper, name)
        for name, system in found.items()
        if system.baseline is not None
    )
    names: list[str] = []
    for *_, name in heads:
        names += [str(found[name].baseline), *found[name].controls, name]
    return {name: found[name] for name in dict.fromkeys([*names, *found])}


def listed_systems() -> dict[str, System]:
    """Return the systems that dvc.yaml lists by name, in the order of tables."""
    return {name: system for name, system in all_systems().items() if system.listed}


def comparisons(systems: Mapping[str, System] | None = None) -> dict[str, tuple[str, ...]]:
    """Return the baseline and the controls of every head, in this order.

    Args:
        systems: Systems by name; None: those that dvc.yaml lists.
    """
    return {
        name: (system.baseline, *system.controls)
        for name, system in (listed_systems() if systems is None else systems).items()
        if system.baseline is not None
    }


def _folders() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(models.heads.__path__))
