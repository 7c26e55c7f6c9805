"""Logs in scratch, one JSON object per line; clocks and hosts may stand there only."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append_entry(log: Path, entry: Mapping[str, object]) -> None:
    """Append one line; lines of several processes never mix."""
    log.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(log, flags, 0o644)
    try:
        # One write per line: that is what keeps them apart.
        os.write(descriptor, (json.dumps(entry) + "\n").encode())
    finally:
        os.close(descriptor)


def read_entries(log: Path) -> list[dict[str, Any]]:
    """Return the entries of a log, oldest first; what a power cut left of a line is passed over."""
    entries = []
    for line in log.read_bytes().splitlines() if log.is_file() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries
