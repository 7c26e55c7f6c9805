"""What the folder of a system declares in ``system.py``; this module needs no torch."""

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
    """The row as the paper names it."""
    settings: tuple[str, ...] = ()
    """Params that differ from the full method, ``section.key=value``, as ``dvc exp run -S``."""
    paper_mean: float | None = None
    """Mean AP that the paper reports, percent."""
    system: str | None = None
    """System that is measured, where it is not the one that declares the table."""


@dataclass(frozen=True, slots=True)
class System:
    """A system: what it reads, where its network is, and what it is compared with."""

    title: str
    """What it is, in a few words, for reports."""
    crops: Literal["hrnet", "vit"]
    """Crops that its caches are made of, by the name of the backbone that they are cut for."""
    caches: Callable[[Section], tuple[str, ...]]
    """Returns the caches that it reads, for its section: the arguments of ``forward``."""
    network: str
    """Class of its network in ``network.py``. Params are its keyword-only arguments, all but those
    that the caches decide (``models.head_parts.building.CACHE_ARGUMENTS``)."""
    objective: str | None = None
    """Class in ``objective.py`` that computes its training loss; None = the heatmap loss alone."""
    trained: bool = True
    """Whether its network has parameters."""
    key_frame_only: bool = False
    """Whether it reads the key frame of a clip alone."""
    baseline: str | None = None
    """System without a temporal head that it is compared with; None for baselines and controls."""
    paper: str = ""
    """Publication of the method; '' for what this project adds."""
    controls: tuple[str, ...] = ()
    """Simpler systems on the same caches that it is compared with."""
    ablations: Mapping[str, tuple[AblationRow, ...]] | None = None
    """Ablation tables by name; the first row of each is the full method."""
