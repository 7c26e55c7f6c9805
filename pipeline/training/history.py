"""The history of a training run: one row per step, in memory, in checkpoints and as CSV."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

FIXED = ("step", "epoch", "lr")
"""First columns; the terms of the loss and their sum follow."""
HELD_OUT = "held_out"
"""Column of the loss on the held-out videos; empty except at the end of an epoch."""
SHARE = "share_"
"""Prefix of the columns with the across-clip share of a part; empty but at the end of an epoch."""


class History:
    """Learning rate and losses of every step so far.

    Losses stay on the device until ``append_pending``, because a transfer synchronizes the device.

    Args:
        columns: Names of the columns of ``rows``.
        rows: What ``to_tensor`` gave, to go on from a checkpoint.
        parts: Parts of the network whose across-clip share is recorded.
    """

    def __init__(
        self,
        columns: Sequence[str] = FIXED,
        rows: Tensor | None = None,
        parts: Iterable[str] = (),
    ) -> None:
        self._columns: list[str] = list(columns)
        self._shares = [SHARE + name for name in parts]
        self._rows: list[list[float]] = [] if rows is None else rows.tolist()
        self._pending: list[tuple[int, int, float, Tensor]] = []

    def __len__(self) -> int:
        return len(self._rows) + len(self._pending)

    def add(self, step: int, epoch: int, rate: float, terms: Mapping[str, Tensor]) -> None:
        """Add a step.

        Args:
            step: Number of steps, including this one.
            epoch: Epoch of the step, from 0.
            rate: Learning rate of the step.
            terms: Scalar of every term of the loss, the same names at every step.
        """
        if len(self._columns) == len(FIXED):
            self._columns += [*terms, "loss", HELD_OUT, *self._shares]
        values = torch.stack([term.detach().float() for term in terms.values()])
        self._pending.append((step, epoch, rate, values))

    def pending_losses(self) -> Tensor:
        """Return the losses of the pending steps, ``(steps, terms)``, on the device."""
        return torch.stack([values for *_, values in self._pending])

    def append_pending(self, losses: Tensor) -> None:
        """Move the pending steps to the rows.

        Args:
            losses: Result of ``pending_losses``, or its mean over the processes.

        Raises:
            ValueError: If a loss is not finite; the message names the step and the term.
        """
        for (step, epoch, rate, _), terms in zip(self._pending, losses.tolist(), strict=True):
            row = [step, epoch, rate, *terms, sum(terms)]
            for name, value in zip(self._columns, row, strict=False):
                if not math.isfinite(value):
                    raise ValueError(
                        f"step {step}: expected a finite loss, got {name} = {value}; lower the "
                        "learning rate, lengthen the warm-up, or make the caches again"
                    )
            self._rows.append(row + [math.nan] * (len(self._columns) - len(row)))
        self._pending = []

    def record_held_out(self, value: float) -> bool:
        """Put the loss on the held-out videos into the last row; say whether it is the lowest."""
        column = self._columns.index(HELD_OUT)
        before = [row[column] for row in self._rows if not math.isnan(row[column])]
        self._rows[-1][column] = value
        return not before or value < min(before)

    def record_shares(self, shares: Mapping[str, float]) -> None:
        """Put the across-clip share of every part into the last row."""
        for name, share in shares.items():
            self._rows[-1][self._columns.index(SHARE + name)] = share

    def last_shares(self) -> dict[str, float]:
        """Return the across-clip share of every part in the last row."""
        last = zip(self._columns, self._rows[-1] if self._rows else [], strict=False)
        return {name.removeprefix(SHARE): v for name, v in last if name.startswith(SHARE)}

    def to_tensor(self) -> Tensor:
        """Return the rows, ``(steps, columns)``, float64."""
        return torch.tensor(self._rows, dtype=torch.float64)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._columns)

    def write(self, path: Path) -> None:
        """Write the rows as CSV; integers exactly, losses with 9 digits.

        Columns that no step has a value for are left out.
        """
        kept = [
            column
            for column in range(len(self._columns))
            if column < len(FIXED) or any(not math.isnan(row[column]) for row in self._rows)
        ]
        lines = [",".join(self._columns[column] for column in kept)]
        lines += [",".join(_text(row[column]) for column in kept) for row in self._rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _text(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.9g}"
