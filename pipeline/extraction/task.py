"""Run a frozen network over the crops of a unit in a worker.

Networks are in evaluation mode and compute in float32 without TF32. Results are stored as float16.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.core.networks.devices import worker_device
from pipeline.core.networks.weights import read_weights
from pipeline.core.prefetch import prefetch
from pipeline.core.store.reader import Store
from pipeline.core.store.shards import write_array
from pipeline.extraction.plan import Extraction


class ExtractionTask:
    """Compute units; networks are built once and reused for all units.

    Args:
        extraction: Settings of the stage.

    Raises:
        ValueError: If the units need a GPU and this worker has none.
    """

    def __init__(self, extraction: Extraction) -> None:
        self._extraction = extraction
        self._device = worker_device(extraction.device)
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
            self._networks[weights, crop_size] = network.to(self._device)
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
                    "65504 from the network, got others; check its weights and its input"
                )
            yield result.numpy()

    def _run(self, network: nn.Module, crops: np.ndarray) -> Tensor:
        exact = torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False)
        with torch.inference_mode(), exact:
            rows: Tensor = network(torch.from_numpy(crops).to(self._device))
            return rows.half().cpu()
