"""The run-time sections of params.yaml: who computes the units of every stage, who trains heads."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.base.params import OUT_OF_KEY, Section, read_section
from pipeline.units.options import RunOptions, parse_part

DeviceKind = Literal["auto", "cpu", "cuda"]
AtLeastOne = Annotated[int, Field(ge=1)]


class Extract(Section):
    """Params of the engine; no unit key holds one of them."""

    engine: Literal["local", "ray"]
    """``local``: processes of this machine; ``ray``: actors where RAY_ADDRESS says, or here."""
    workers: AtLeastOne
    """Processes that compute units; with 1 and ``local`` the stage's own process does."""
    threads: AtLeastOne
    """CPU threads per worker. Fixed, for sums over another number of threads round differently."""
    device: DeviceKind
    """Where networks run; ``auto``: a GPU where there is one. Unit keys hold what it comes to."""
    devices: list[str]
    """CUDA_VISIBLE_DEVICES of the workers, dealt out in turn; empty leaves it as it is."""


class Train(Section):
    """Params that all training runs share: no keys but ``holdout`` and ``processes`` change one."""

    holdout: Annotated[float, Field(ge=0, lt=1)]
    """Share of the train videos, chosen by hash, that nothing is trained on: ``best`` weights are
    those with the lowest loss there. 0 = none, and then there are no ``best`` weights."""
    processes: AtLeastOne
    """Processes of a run on this machine, one GPU each; above 1 they are started by torchrun."""
    device: Annotated[DeviceKind, OUT_OF_KEY]
    """Where networks train; ``auto``: a GPU where there is one."""
    threads: Annotated[AtLeastOne, OUT_OF_KEY]
    """CPU threads of a process."""
    resident: Annotated[Literal["gpu", "mmap"], OUT_OF_KEY]
    """``gpu``: the caches are copied to the GPU's memory once, without a GPU as ``mmap``;
    ``mmap``: they are read batch by batch."""
    checkpoint_every: Annotated[AtLeastOne, OUT_OF_KEY]
    """Steps between checkpoints."""


def read_extract(params: Path, units: str = "") -> tuple[Extract, RunOptions]:
    """Read the section and turn it into the options of a build.

    Args:
        params: The params file.
        units: Slice ``i/n`` of the units to compute, nothing is published then; "" = all.

    Raises:
        ValueError: If the section or the slice is malformed.
    """
    section = read_section(params, "extract", Extract)
    options = RunOptions(
        engine=section.engine,
        workers=section.workers,
        threads=section.threads,
        part=parse_part(units) if units else None,
        devices=tuple(section.devices),
    )
    return section, options
