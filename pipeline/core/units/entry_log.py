"""Logs in scratch with one JSON object per line: the only place of clock times and host names."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append_entry(log: Path, entry: Mapping[str, object]) -> None:
    """Append one line; lines of several processes do not mix."""
    log.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(log, flags, 0o644)
    try:
        # A single write per line is atomic with O_APPEND.
        os.write(descriptor, (json.dumps(entry) + "\n").encode())
    finally:
        os.close(descriptor)


def read_entries(log: Path) -> list[dict[str, Any]]:
    """Return the entries of a log, oldest first; incomplete lines are skipped."""
    entries = []
    for line in log.read_bytes().splitlines() if log.is_file() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries
