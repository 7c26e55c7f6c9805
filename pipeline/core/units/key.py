"""The unit of work, one (split, video, variant), and the key of everything it depends on."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.core.regular_file import check_regular_file
from pipeline.core.units.closure import import_closure, third_party
from pipeline.core.units.numerics import pins_of
from pipeline.core.units.receipts import hash_file
from pipeline.core.units.syntax import read_source

ROOT = Path(__file__).resolve().parents[3]
"""Folder of the code; in ``dvc exp run --temp`` the temporary copy."""

ORCHESTRATION = frozenset(
    {
        "models/head_parts/declaration.py",
        "models/head_parts/lookup.py",
        "pipeline/core/atomic_file.py",
        "pipeline/core/dvc_files.py",
        "pipeline/core/errors.py",
        "pipeline/core/params.py",
        "pipeline/core/regular_file.py",
        "pipeline/core/prefetch.py",
        "pipeline/core/publishing",
        "pipeline/core/units",
    }
)
"""Modules and folders that decide when, where and how often a unit is computed, but not its bytes.

They, and modules that only they import, are not part of a key. A test checks that they import no
numeric library.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyParts:
    """Everything that the bytes of a unit depend on: equal parts promise equal bytes."""

    stage: str
    """Name of the stage."""
    params: Mapping[str, object]
    """Result of ``Section.key_params`` for every section that the stage reads."""
    modules: str
    """From ``modules_digest``."""
    pins: Mapping[str, str]
    """From ``stage_pins``."""
    weights: Mapping[str, str]
    """sha256 of every weights file, by its role."""
    device: str
    """Kind of device, ``cpu`` or ``cuda``, with the name of the device if results differ between
    models of it."""
    dtype: str
    """Data type of the computation."""
    batch: int
    """Rows per forward pass."""
    clips: str
    """Digest of the video's rows of the clip table (``tables.digest_rows``); '' if none."""
    frames: Mapping[str, str] | Sequence[str]
    """sha256 of the frame files that the unit reads, by path or in order."""
    inputs: Mapping[str, str]
    """Content digests of the units that the unit reads (``Store.digests``), by store and name."""

    @property
    def key(self) -> str:
        """sha256 of the parts as canonical JSON, 64 hexadecimal digits."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of a stage."""

    name: str
    """``<video>/v<variant>`` in stores; elsewhere any name that is unique within the split."""
    key: str
    """Key of the unit, that of ``parts``."""
    estimate: int
    """Bytes on disk, approximately."""
    place: str | None = None
    """Folder of its files below the out; None: the name of the unit; '': the out itself."""
    parts: KeyParts | None = None
    """The parts that the key is computed from."""


def make_unit(name: str, parts: KeyParts, estimate: int, place: str | None = None) -> Unit:
    """Return a unit with the key of its parts; the arguments are the fields of ``Unit``."""
    return Unit(name, parts.key, estimate, place, parts)


def weights_digest(path: Path) -> str:
    """Return the sha256 of a weights file.

    Raises:
        ValueError: As ``check_weights_file``.
    """
    check_weights_file(path)
    return hash_file(path)


def check_weights_file(path: Path) -> None:
    """Check that a weights file exists.

    Raises:
        ValueError: If the path is missing or not a regular file, such as a folder.
    """
    cure = "copy the file there or set another path in params.yaml"
    check_regular_file(path, "a weights file", cure)


def numeric_modules(modules: str | Iterable[str], root: Path = ROOT) -> list[Path]:
    """Return the files whose code is part of a stage's keys.

    Args:
        modules: Dotted names of the modules that compute, such as ``stages.flow``, or several; a
            package means all of its modules.
        root: Folder of the code.
    """
    return import_closure(modules, root, ORCHESTRATION)


def modules_digest(modules: str | Iterable[str], root: Path = ROOT) -> str:
    """Return one digest over the names and syntax trees of a stage's numeric modules.

    Comments, docstrings and formatting do not change it.

    Args:
        modules: As for ``numeric_modules``.
        root: Folder of the code.
    """
    lines = [
        f"{read_source(root / path).digest}  {path.as_posix()}\n"
        for path in numeric_modules(modules, root)
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def stage_pins(modules: str | Iterable[str], root: Path = ROOT) -> dict[str, str]:
    """Return the pinned versions that a stage's numeric modules import.

    Args:
        modules: As for ``numeric_modules``.
        root: Folder of the code.

    Raises:
        ValueError: If the environment has other versions.
    """
    return pins_of(third_party(modules, root, ORCHESTRATION), root)
