"""The run-time section ``extract``: who computes the units of every stage, and on what."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.engines import RunOptions, parse_part
from pipeline.params import Section, read_section

AtLeastOne = Annotated[int, Field(ge=1)]


class Extract(Section):
    """Params of the engine; no unit key holds one of them."""

    engine: Literal["local", "ray"]
    """``local``: processes of this machine; ``ray``: actors where RAY_ADDRESS says, or here."""
    workers: AtLeastOne
    """Processes that compute units; with 1 and ``local`` the stage's own process does."""
    threads: AtLeastOne
    """CPU threads per worker. Fixed, for sums over another number of threads round differently."""
    device: Literal["auto", "cpu", "cuda"]
    """Where networks run; ``auto``: a GPU where there is one. Unit keys hold what it comes to."""
    devices: list[str]
    """CUDA_VISIBLE_DEVICES of the workers, dealt out in turn; empty leaves it as it is."""


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
