"""The cached tensors of clips, read together: crops, heatmaps, flow, features, tokens."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.store.reader import Store

Rows = Mapping[str, Tensor]
"""One buffer ``(rows, *row shape)`` per store, of its dtype."""

_DTYPES = defaultdict(lambda: torch.float16, crops=torch.uint8)


class Caches:
    """Stores whose units have the same rows, cut to the frames that a head reads.

    Args:
        folders: Folder of every store by its kind.
        frames: Frames T that the head reads; a store of more frames is cut on both sides.

    Raises:
        ValueError: If a store is not whole or has fewer frames than T.
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
        """Return the shape of a row of a store, before the cut; it is the same in all units.

        Raises:
            ValueError: If units differ or there is none.
        """
        store = self._stores[kind]
        shapes = sorted({store.row_shape(name) for name in store.digests})
        if len(shapes) != 1:
            raise ValueError(
                f"{self._folders[kind]}: expected rows of one shape, got {shapes or 'no unit'}; "
                f"run the stage {kind} again"
            )
        return shapes[0]

    def refuse_other_clips(self, clips: Mapping[str, int]) -> None:
        """Check that every store holds exactly the clips of a clip table.

        Args:
            clips: Number of clips of every unit that will be read.

        Raises:
            ValueError: If a store lacks a unit or has another number of rows.
        """
        for kind, store in self._stores.items():
            for name, count in clips.items():
                if store.rows(name) != count:
                    raise ValueError(
                        f"{self._folders[kind]}: unit {name!r}: expected {count} rows, as the clip "
                        f"table has, got {store.rows(name)}; run the stage {kind} again"
                    )

    def buffers(self, rows: int, *, pinned: bool = False) -> dict[str, Tensor]:
        """Return buffers for so many rows.

        Args:
            rows: Number of rows.
            pinned: Whether a GPU shall copy from them while the CPU goes on.
        """
        return {
            kind: torch.empty((rows, *self.row_shape(kind)), dtype=_DTYPES[kind], pin_memory=pinned)
            for kind in self._stores
        }

    def read(self, units: Sequence[str], rows: np.ndarray, into: Rows, *, check: bool) -> None:
        """Gather rows.

        Args:
            units: Unit of every row.
            rows: Row within its unit.
            into: Buffers with at least as many rows; the first ones are filled.
            check: Whether checksums are compared.
        """
        for kind, store in self._stores.items():
            store.gather(units, rows, into[kind].numpy()[: len(units)], check=check)

    def advise(self, units: Sequence[str], rows: np.ndarray) -> None:
        """Ask the system to load rows soon."""
        for store in self._stores.values():
            for unit, row in zip(units, rows, strict=True):
                store.advise(unit, [row])

    def cut(self, kind: str, rows: Tensor) -> Tensor:
        """Return the frames of buffered rows that the head reads, a view."""
        first, last = self._cut(kind, rows.shape[1])
        return rows[:, first:last]

    def _cut(self, kind: str, stored: int) -> tuple[int, int]:
        # Flow lies between frames: one field less.
        wanted = self._frames - 1 if kind == "flow" else self._frames
        margin, odd = divmod(stored - wanted, 2)
        if margin < 0 or odd:
            raise ValueError(
                f"{self._folders[kind]}: expected at least {wanted} entries per clip for "
                f"{self._frames} frames, as many on both sides, got {stored}; lower the head's "
                "delta or raise crop.hrnet.delta or crop.vit.delta"
            )
        return margin, margin + wanted
