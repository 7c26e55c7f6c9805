"""Read the cached tensors of clips together: crops, heatmaps, flow, features, tokens."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.core.store.reader import Store

Rows = Mapping[str, Tensor]
"""One buffer ``(rows, *row shape)`` per store, of its dtype."""

_DTYPES = defaultdict(lambda: torch.float16, crops=torch.uint8)


class Caches:
    """Stores whose units have the same rows, reduced to the frames that a head reads.

    Args:
        folders: Folder of every store by its kind.
        frames: Number T of frames that the head reads; surplus frames are cut on both sides.

    Raises:
        ValueError: If a store is incomplete or has fewer frames than T.
    """

    def __init__(self, folders: Mapping[str, Path], frames: int) -> None:
        self._stores = {kind: Store(folder, kind) for kind, folder in folders.items()}
        self._folders = dict(folders)
        self._frames = frames
        for kind, store in self._stores.items():
            for name in store.digests:
                self._cut(kind, store.row_shape(name)[0])

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the stores."""
        return tuple(self._stores)

    @property
    def digests(self) -> dict[str, str]:
        """Content digest of every unit of every store, by ``<kind>/<unit>``."""
        return {
            f"{kind}/{name}": digest
            for kind, store in self._stores.items()
            for name, digest in store.digests.items()
        }

    def row_shape(self, kind: str) -> tuple[int, ...]:
        """Return the shape of a row of a store before surplus frames are cut.

        Raises:
            ValueError: If the units have different shapes or there is no unit.
        """
        store = self._stores[kind]
        shapes = sorted({store.row_shape(name) for name in store.digests})
        if len(shapes) != 1:
            raise ValueError(
                f"{self._folders[kind]}: expected rows of one shape, got {shapes or 'no unit'}; "
                f"{store.remedy}"
            )
        return shapes[0]

    def check_clips(self, clips: Mapping[str, int]) -> None:
        """Check that every store contains exactly the clips of a clip table.

        Args:
            clips: Number of clips per unit.

        Raises:
            ValueError: If a unit is missing or has a different number of rows.
        """
        for kind, store in self._stores.items():
            for name, count in clips.items():
                if store.rows(name) != count:
                    raise ValueError(
                        f"{self._folders[kind]}: unit {name!r}: expected {count} rows, as in "
                        f"the clip table, got {store.rows(name)}; {store.remedy}"
                    )

    def buffers(self, rows: int, *, pinned: bool = False) -> dict[str, Tensor]:
        """Return buffers for some rows.

        Args:
            rows: Number of rows.
            pinned: Whether to pin their memory, for asynchronous copies to a GPU.
        """
        return {
            kind: torch.empty((rows, *self.row_shape(kind)), dtype=_DTYPES[kind], pin_memory=pinned)
            for kind in self._stores
        }

    def read(self, units: Sequence[str], rows: np.ndarray, into: Rows, *, check: bool) -> None:
        """Read rows into buffers.

        Args:
            units: Unit of every row.
            rows: Index of every row in its unit.
            into: Buffers with at least as many rows; the first ones are filled.
            check: Whether to verify checksums.
        """
        for kind, store in self._stores.items():
            store.gather(units, rows, into[kind].numpy()[: len(units)], check=check)

    def advise(self, units: Sequence[str], rows: np.ndarray) -> None:
        """Advise the operating system that rows will be read soon."""
        for store in self._stores.values():
            for unit, row in zip(units, rows, strict=True):
                store.advise(unit, [row])

    def cut(self, kind: str, rows: Tensor) -> Tensor:
        """Return a view of the frames of buffered rows that the head reads."""
        first, last = self._cut(kind, rows.shape[1])
        return rows[:, first:last]

    def _cut(self, kind: str, stored: int) -> tuple[int, int]:
        # Flow is between frames, so there is one field less.
        wanted = self._frames - 1 if kind == "flow" else self._frames
        margin, odd = divmod(stored - wanted, 2)
        if margin < 0 or odd:
            raise ValueError(
                f"{self._folders[kind]}: expected at least {wanted} entries per clip for "
                f"{self._frames} frames and an even surplus, got {stored}; lower the head's "
                "delta or raise crop.hrnet.delta or crop.vit.delta"
            )
        return margin, margin + wanted
