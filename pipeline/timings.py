"""How long units took on this machine: from the log in scratch, never part of an out."""

import json
from collections import defaultdict
from pathlib import Path

from pipeline.page import Grid, PageSection, Row


def timing_section(log: Path) -> PageSection:
    """Return seconds and bytes of the units that this machine computed, by stage.

    Args:
        log: One JSON object per line with ``stage``, ``seconds`` and ``bytes``; may be absent.
    """
    seconds: dict[str, list[float]] = defaultdict(list)
    sizes: dict[str, int] = defaultdict(int)
    for line in log.read_text(encoding="utf-8").splitlines() if log.is_file() else []:
        entry = json.loads(line)
        seconds[entry["stage"]].append(float(entry["seconds"]))
        sizes[entry["stage"]] += int(entry["bytes"])
    rows = []
    for stage, spent in sorted(seconds.items()):
        cells = (f"{sum(spent):.1f}", f"{max(spent):.2f}", f"{sizes[stage] / 1e6:.1f}")
        rows.append(Row((stage, str(len(spent)), *cells)))
    columns = ("stage", "units computed", "seconds in all", "longest unit", "MB")
    return PageSection("timings", "Units computed here", tables=(Grid(columns, tuple(rows)),))
