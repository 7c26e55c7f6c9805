"""The stages that run a frozen network over crops: one core, from crop units to cached units.

Networks are in evaluation mode and compute in float32, without TF32; results are stored as
float16. A batch never crosses a unit, so that the bytes of a unit do not depend on what else is
computed, where, or by how many processes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.build import build
from pipeline.compute import Task
from pipeline.engines import MakeTask, RunOptions
from pipeline.prefetch import prefetch
from pipeline.receipts import hash_file
from pipeline.shards import write_array
from pipeline.store import Store
from pipeline.units import Unit, modules_digest, stage_pins, unit_key
from pipeline.weights import read_weights

BuildNetwork = Callable[[Mapping[str, Tensor], str, tuple[int, int]], nn.Module]
"""Builds, from weights, their name and (height, width) of the crops, a network that maps uint8
crops ``(B, T, H, W, 3)`` to float32 rows ``(B, *row shape)``; picklable, for workers call it."""
RowShape = Callable[[tuple[int, ...]], tuple[int, ...]]
"""Shape of a row by that of a clip's crops, ``(T, H, W, 3)``."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """What an extraction stage does to one split; called in a worker, it makes the task."""

    stage: str
    """Name of the stage and of the kind of store that it writes."""
    crops: Path
    """Crop store that it reads."""
    weights: Mapping[str, Path]
    """Weights file of every unit."""
    row_shapes: Mapping[str, tuple[int, ...]]
    """Shape of the rows of every unit."""
    build_network: BuildNetwork
    clips_per_pass: int
    """Clips per forward pass."""
    device: str
    """``cpu`` or ``cuda``."""

    def __call__(self) -> "ExtractionTask":
        """Make the task of a worker."""
        return ExtractionTask(self)


class ExtractionTask:
    """Computes units; keeps its networks from one unit to the next.

    Args:
        extraction: What to do.
    """

    def __init__(self, extraction: Extraction) -> None:
        self._extraction = extraction
        self._crops = Store(extraction.crops, "crops")
        self._networks: dict[tuple[Path, tuple[int, int]], nn.Module] = {}

    def __call__(self, name: str, folder: Path) -> None:
        """Write the array of the unit ``name`` into ``folder``.

        Raises:
            ValueError: If a value is not finite in float16, or the weights do not fit.
        """
        write_array(
            folder,
            self._blocks(name),
            rows=self._crops.rows(name),
            row_shape=self._extraction.row_shapes[name],
            dtype="float16",
        )

    def _network(self, name: str, crop_size: tuple[int, int]) -> nn.Module:
        weights = self._extraction.weights[name]
        if (weights, crop_size) not in self._networks:
            network = self._extraction.build_network(read_weights(weights), str(weights), crop_size)
            self._networks[weights, crop_size] = network.to(self._extraction.device)
        return self._networks[weights, crop_size]

    def _blocks(self, name: str) -> Iterator[np.ndarray]:
        crop = self._crops.row_shape(name)
        rows, step = self._crops.rows(name), self._extraction.clips_per_pass
        parts = [np.arange(first, min(first + step, rows)) for first in range(0, rows, step)]
        ring = [np.empty((step, *crop), np.uint8) for _ in range(2)]
        network = self._network(name, (crop[1], crop[2]))

        def load(part: np.ndarray, buffer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return part, self._crops.read(name, part, buffer[: len(part)])

        for part, crops in prefetch(parts, load, ring):
            result = self._run(network, crops)
            if not bool(result.isfinite().all()):
                raise ValueError(
                    f"unit {name!r}, clips {part[0]}..{part[-1]}: expected finite numbers below "
                    "65504, got others from the network; check its weights and its input"
                )
            yield result.numpy()

    def _run(self, network: nn.Module, crops: np.ndarray) -> Tensor:
        exact = torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False)
        with torch.inference_mode(), exact:
            rows: Tensor = network(torch.from_numpy(crops).to(self._extraction.device))
            return rows.half().cpu()


def plan_extraction(
    *,
    stage: str,
    crops: Path,
    weights_of: Callable[[str], Path],
    build_network: BuildNetwork,
    row_shape: RowShape,
    batch: int,
    device: str,
) -> Extraction:
    """Return what a stage does to all units of a crop store.

    Args:
        stage: Name of the stage.
        crops: The crop store.
        weights_of: Weights file of a video.
        build_network: Builds the network; picklable.
        row_shape: Shape of a row by that of a clip's crops.
        batch: Network inputs, frames or pairs of frames, per forward pass; a pass takes whole
            clips, at least one.
        device: ``cpu`` or ``cuda``.
    """
    store = Store(crops, "crops")
    shapes = {name: row_shape(store.row_shape(name)) for name in store.digests}
    inputs = max((shape[0] for shape in shapes.values()), default=1)
    return Extraction(
        stage=stage,
        crops=crops,
        weights={name: weights_of(name.partition("/")[0]) for name in store.digests},
        row_shapes=shapes,
        build_network=build_network,
        clips_per_pass=max(1, batch // max(1, inputs)),
        device=device,
    )


def plan_units(extraction: Extraction, params: Mapping[str, object], batch: int) -> list[Unit]:
    """Return the units of an extraction with their keys.

    Args:
        extraction: What the stage does.
        params: ``Section.key_params`` of the stage's section.
        batch: Network inputs per forward pass.
    """
    store = Store(extraction.crops, "crops")
    module = f"stages.{extraction.stage}"
    digests = {path: hash_file(path) for path in set(extraction.weights.values())}
    modules, pins = modules_digest(module), stage_pins(module)
    return [
        Unit(
            name=name,
            key=unit_key(
                stage=extraction.stage,
                params=params,
                modules=modules,
                pins=pins,
                weights={"network": digests[extraction.weights[name]]},
                device=extraction.device,
                dtype="float32",
                batch=batch,
                clips="",  # rows of the clip table shape the pixels and nothing else here
                frames={},
                inputs={"crops": digest},
            ),
            estimate=2 * store.rows(name) * int(np.prod(extraction.row_shapes[name])),
        )
        for name, digest in store.digests.items()
    ]


def extract(
    extraction: Extraction, units: list[Unit], split: str, data: Path, run: RunOptions
) -> str:
    """Compute and publish the units of an extraction stage.

    Args:
        extraction: What the stage does.
        units: From ``plan_units``.
        split: The split.
        data: Folder of all outs.
        run: Engine, workers, threads, slice.

    Returns:
        The line that the stage ends with.

    Raises:
        ValueError: As ``pipeline.build.build``.
    """
    return _publish(extraction.stage, extraction, units, split, data, run)


def publish_empty(stage: str, split: str, data: Path, run: RunOptions) -> str:
    """Publish a store without units, for a stage that is switched off; see ``extract``."""
    return _publish(stage, _no_task, [], split, data, run)


def _no_task() -> Task:
    raise RuntimeError("a store without units needs no task")


def _publish(
    stage: str, make_task: MakeTask, units: list[Unit], split: str, data: Path, run: RunOptions
) -> str:
    out = data / stage / split
    summary = build(
        stage=stage,
        out=out,
        listing=data / "units" / stage / f"{split}.json",
        kind=stage,
        units=units,
        make_task=make_task,
        run=run,
    )
    what = f"wrote {out}" if summary.published else "computed a slice, published nothing"
    return (
        f"{stage}: {what}: {summary.computed} units computed, {summary.reused} reused, "
        f"{summary.bytes / 1e6:.1f} MB"
    )
