"""Declaration of a system in ``system.py`` of its folder. This module imports no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Section = Mapping[str, Any]
"""The system's section of params.yaml."""


def always(*caches: str) -> Callable[[Section], tuple[str, ...]]:
    """Return a function that returns the same caches for every section."""
    return lambda _section: caches


@dataclass(frozen=True, slots=True)
class AblationRow:
    """One row of an ablation table."""

    name: str
    """Name of the row in the paper."""
    settings: tuple[str, ...] = ()
    """Params that differ from the full method, ``section.key=value``, as ``dvc exp run -S``."""
    paper_mean: float | None = None
    """Mean AP that the paper reports, percent."""
    system: str | None = None
    """System that is measured; None: the one that declares the table."""


@dataclass(frozen=True, slots=True)
class System:
    """A system: its inputs, its network, and the systems that it is compared with."""

    title: str
    """Short description for reports."""
    crops: Literal["hrnet", "vit"]
    """Crops of its caches, by the name of their backbone."""
    caches: Callable[[Section], tuple[str, ...]]
    """Returns the caches that it reads, given its section: the arguments of ``forward``."""
    network: str
    """Class of its network in ``network.py``. Params are its keyword-only arguments except for
    those that the caches determine (``models.head_parts.building.CACHE_ARGUMENTS``)."""
    objective: str | None = None
    """Class in ``objective.py`` that computes its training loss; None: only the heatmap loss."""
    trained: bool = True
    """Whether its network has parameters."""
    key_frame_only: bool = False
    """Whether it reads only the key frame of a clip."""
    baseline: str | None = None
    """System without a temporal head that it is compared with; None for baselines and controls."""
    paper: str = ""
    """Publication of the method; '' for systems of this project."""
    controls: tuple[str, ...] = ()
    """Simpler systems on the same caches that it is compared with."""
    listed: bool = True
    """Whether the list of systems in dvc.yaml has it. Systems that are not listed are trained by
    ``posereel bench``, and only the preset ``bench`` has their sections."""
    ablations: Mapping[str, tuple[AblationRow, ...]] | None = None
    """Ablation tables by name; the first row of each is the full method."""
