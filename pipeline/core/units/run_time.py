"""The run-time sections of params.yaml: ``extract`` for units and ``train`` for trainings."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.core.params import OUT_OF_KEY, Section, read_section
from pipeline.core.units.options import RunOptions, parse_part

DeviceKind = Literal["auto", "cpu", "cuda"]
AtLeastOne = Annotated[int, Field(ge=1)]


class Extract(Section):
    """Params of the engine; no unit key contains them."""

    engine: Literal["local", "ray"]
    """``local``: processes of this machine; ``ray``: actors at RAY_ADDRESS or here."""
    workers: AtLeastOne
    """Processes that compute units; 1 with ``local`` is the process of the stage."""
    threads: AtLeastOne
    """CPU threads per worker. Fixed, because their number changes the rounding of sums."""
    device: DeviceKind
    """Device of the networks, part of unit keys. ``cpu`` and ``cuda`` declare what the workers
    have; ``auto``: a GPU if the machine of the stage has one."""
    devices: list[str]
    """CUDA_VISIBLE_DEVICES of local workers, assigned in turn; empty leaves it unchanged."""


class Train(Section):
    """Params of all training runs; only ``holdout`` and ``processes`` change results."""

    holdout: Annotated[float, Field(ge=0, lt=1)]
    """Share of the train videos, chosen by hash, that is held out: ``best`` weights have the lowest
    loss on it. 0 = none, without ``best`` weights."""
    processes: AtLeastOne
    """Processes of a run on this machine, one GPU each; above 1 torchrun starts them."""
    device: Annotated[DeviceKind, OUT_OF_KEY]
    """Device of the training; ``auto``: a GPU if there is one."""
    threads: Annotated[AtLeastOne, OUT_OF_KEY]
    """CPU threads per process."""
    resident: Annotated[Literal["gpu", "mmap"], OUT_OF_KEY]
    """``gpu``: caches are copied to GPU memory once; without a GPU as ``mmap``. ``mmap``: caches
    are read batch by batch."""
    checkpoint_every: Annotated[AtLeastOne, OUT_OF_KEY]
    """Steps between checkpoints."""


def read_extract(params: Path, units: str = "") -> tuple[Extract, RunOptions]:
    """Read the section and turn it into the options of a build.

    Args:
        params: The params file.
        units: Slice ``i/n`` of the units to compute without publication; "" = all.

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
