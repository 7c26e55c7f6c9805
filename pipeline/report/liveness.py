"""What each part of a trained head does: rows of tables, and a section of the report."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.report.bootstrap import DRAWS
from pipeline.report.page import Grid, PageSection, Row

NOTE = (
    "Change of mean AP on val_gt, in points, when one part of a trained head is replaced at test"
    " time, without retraining: a part that does nothing changes nothing. The 95 % interval comes"
    f" from a paired bootstrap over whole videos ({DRAWS} resamples). The last column is the"
    " standard deviation of the part's output between clips over that of all its values: 0 if the"
    " output is the same for every clip. `posereel liveness` writes these numbers."
)
COLUMNS = ("system", "part", "change", "95 % from", "95 % to", "between clips")


@dataclass(frozen=True, slots=True)
class PartEffect:
    """What a part of a trained head does."""

    change: float | None
    """Change of mean AP on val_gt with the part replaced, points."""
    low: float | None
    """Lower end of the 95 % interval of the change; None with a single video."""
    high: float | None
    """Upper end."""
    share: float | None
    """Standard deviation between clips over that of all values of the part's output; None where
    nothing is measured."""

    def cells(self) -> tuple[str, ...]:
        """Return the effect as the cells of a row."""
        changes = (_signed(value) for value in (self.change, self.low, self.high))
        return (*changes, "-" if self.share is None else f"{self.share:.2f}")


Effects = Mapping[str, Mapping[str, PartEffect]]
"""Effects by system, then by part."""


def liveness_rows(effects: Effects) -> list[tuple[str, ...]]:
    """Return the rows of a table with ``COLUMNS``."""
    return [
        (system, part, *effect.cells())
        for system, parts in effects.items()
        for part, effect in parts.items()
    ]


def liveness_section(effects: Effects) -> PageSection | None:
    """Return the section, or None if nothing was measured."""
    rows = tuple(Row(cells) for cells in liveness_rows(effects))
    if not rows:
        return None
    grid = Grid(COLUMNS, rows)
    return PageSection("liveness", "What each part does", NOTE, tables=(grid,))


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"
