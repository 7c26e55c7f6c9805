"""Estimate clips, bytes and time before a run.

Clips are counted from the annotation files. For PoseTrack presets without the data set they come
from published totals. Times come from a short calibration: every network of the preset makes some
passes on this machine, with random weights, one clip or frame at a time. A GPU with full batches
is faster.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.maintenance.expected_clips import SplitCount
    from pipeline.maintenance.forecast import Line


def main(
    preset: Annotated[str, typer.Option(help="A file of presets/; by default params.yaml.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print clips, bytes and estimated seconds of every stage."""
    from pipeline.core.data_set import read_data_set
    from pipeline.importing.presets import find_preset
    from posereel.run_forecast import forecast_run

    params = find_preset(preset) if preset else Path("params.yaml")
    lines, counts = forecast_run(params)
    if as_json:
        content = {
            "splits": {split: asdict(count) for split, count in counts.items()},
            "stages": [asdict(line) for line in lines],
        }
        typer.echo(json.dumps(content, indent=1))
        return
    _print(lines, counts, read_data_set(params).name)


def _print(lines: Sequence["Line"], counts: Mapping[str, "SplitCount"], name: str) -> None:
    from pipeline.core.networks.devices import device_type
    from pipeline.core.units.scratch import find_scratch

    for split, count in counts.items():
        typer.echo(
            f"{name} {split}: {count.videos} videos, {count.labeled:.0f} labeled frames, "
            f"{count.people:.0f} people ({count.source})"
        )
    width = max(len(line.name) for line in lines)
    typer.echo(f"{'stage':<{width}}  {'clips':>9}  {'GB':>8}  {'time':>10}")
    for line in lines:
        size = f"{line.bytes / 1e9:.2f}" if line.bytes else "-"
        typer.echo(f"{line.name:<{width}}  {line.clips:>9}  {size:>8}  {_clock(line.seconds):>10}")
    total = sum(line.bytes for line in lines)
    spent = sum(line.seconds or 0 for line in lines)
    free = shutil.disk_usage(find_scratch(Path()).project).free
    typer.echo(
        f"plan: {total / 1e9:.1f} GB of stores ({free / 1e9:.1f} GB are free), about "
        f"{_clock(spent)} one after the other on this machine; evaluate and report are not counted"
    )
    if device_type("auto") == "cpu":
        typer.echo(
            "plan: there is no GPU here, so all times are those of this CPU; for the times of a "
            "machine with a GPU, run posereel plan on it"
        )


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "not measured"
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
