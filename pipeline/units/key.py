"""The unit of work, one (split, video, variant), and the key that says what its bytes depend on."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from pipeline.units.closure import import_closure, third_party
from pipeline.units.numerics import pins_of

ROOT = Path(__file__).resolve().parents[2]
"""Folder of the code: in ``dvc exp run --temp`` that of the temporary copy."""

ORCHESTRATION = frozenset(
    {"pipeline/base", "pipeline/prefetch.py", "pipeline/publishing", "pipeline/units"}
)
"""Modules and folders that decide when, where and how often a unit is computed, never one byte.

They, and what only they import, are no part of a key. A test holds them to importing no numeric
library.
"""

_RECORD: ContextVar[dict[str, Mapping[str, object]] | None] = ContextVar("record", default=None)


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of a stage."""

    name: str
    """``<video>/v<variant>`` in stores; elsewhere whatever names it within its split."""
    key: str
    """From ``unit_key``."""
    estimate: int
    """Bytes that it will take on disk, about."""
    place: str | None = None
    """Folder below the out that its files go to: its name if absent, '' for the out itself."""


def unit_key(
    *,
    stage: str,
    params: Mapping[str, object],
    modules: str,
    pins: Mapping[str, str],
    weights: Mapping[str, str],
    device: str,
    dtype: str,
    batch: int,
    clips: str,
    frames: Mapping[str, str] | Sequence[str],
    inputs: Mapping[str, str],
) -> str:
    """Return the key of a unit: equal keys promise equal bytes.

    Args:
        stage: Name of the stage.
        params: What ``Section.key_params`` returns, for every section that the stage reads.
        modules: From ``modules_digest``.
        pins: From ``stage_pins``.
        weights: sha256 of every weights file, by its role.
        device: Kind of device, ``cpu`` or ``cuda``; with the device's name where results of
            two models of it differ.
        dtype: What the networks compute in.
        batch: Rows per forward pass.
        clips: Digest of the video's rows of the clip table (``tables.digest_rows``); '' if none.
        frames: sha256 of the frame files that the unit reads, by path or in order.
        inputs: Content digests of the units it reads (``Store.digests``), by store and name.

    Returns:
        64 hexadecimal digits.
    """
    parts = {
        "stage": stage,
        "params": dict(params),
        "modules": modules,
        "pins": dict(pins),
        "weights": dict(weights),
        "device": device,
        "dtype": dtype,
        "batch": batch,
        "clips": clips,
        "frames": dict(frames) if isinstance(frames, Mapping) else list(frames),
        "inputs": dict(inputs),
    }
    key = key_of(parts)
    if (record := _RECORD.get()) is not None:
        record[key] = parts
    return key


def key_of(parts: Mapping[str, object]) -> str:
    """Return the key that parts by name come to: sha256 of their canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def record_parts(record: dict[str, Mapping[str, object]]) -> Iterator[None]:
    """Note in ``record`` what every key that is made meanwhile consists of, by key."""
    token = _RECORD.set(record)
    try:
        yield
    finally:
        _RECORD.reset(token)


def numeric_modules(module: str, root: Path = ROOT) -> list[Path]:
    """Return the files whose bytes are part of a stage's keys.

    Args:
        module: The stage's module, ``stages.flow``.
        root: Folder of the code.
    """
    return import_closure(module, root, ORCHESTRATION)


def modules_digest(module: str, root: Path = ROOT) -> str:
    """Return one digest over the stage's numeric modules, names and bytes.

    Args:
        module: The stage's module, ``stages.flow``.
        root: Folder of the code.
    """
    lines = [
        f"{hashlib.sha256((root / path).read_bytes()).hexdigest()}  {path.as_posix()}\n"
        for path in numeric_modules(module, root)
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def stage_pins(module: str, root: Path = ROOT) -> dict[str, str]:
    """Return the pinned versions that a stage's numeric modules import.

    Args:
        module: The stage's module.
        root: Folder of the code and of ``numerics.lock``.

    Raises:
        ValueError: If the environment has other versions.
    """
    return pins_of(third_party(module, root, ORCHESTRATION), root)
