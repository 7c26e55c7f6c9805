"""Strict reading of params.yaml: one frozen schema per section, no unknown or missing keys.

This module reads YAML 1.2 like DVC (ruamel, safe): ``1e-4`` is a number and ``no`` a string. The
schema of a section marks params that do not change the output of a stage (``OUT_OF_KEY``); all
others are part of the unit keys (``Section.key_params``).
"""

from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

MAX_BYTES = 1_000_000
"""Size limit of a params file; real ones have a few kilobytes."""

MAX_NUMBER = 1e6
"""Largest absolute value of a floating-point param."""


class _OutOfKey:
    """Marks a param, in ``Annotated``, that does not change the bytes of an output."""


OUT_OF_KEY = _OutOfKey()


class Section(BaseModel):
    """Base of every section's schema: frozen, strict types, no unknown keys, no defaults.

    Floating-point numbers are limited to ``MAX_NUMBER``, because larger ones overflow float32 or
    the coordinates of images, in a stage that may be hours away.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _limit(cls, value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, float) and abs(value) > MAX_NUMBER:
            raise ValueError(f"expected a number of at most {MAX_NUMBER:.0f}")
        return value

    def key_params(self) -> dict[str, Any]:
        """Return the params that can change the bytes of a unit, as plain JSON values."""
        values = self.model_dump(mode="json")
        for name, field in type(self).model_fields.items():
            if OUT_OF_KEY in field.metadata:
                del values[name]
            elif isinstance(inner := getattr(self, name), Section):
                values[name] = inner.key_params()
        return values


AnySection = TypeVar("AnySection", bound=Section)


def read_params(path: Path) -> dict[str, Any]:
    """Return the content of the params file as plain values.

    Raises:
        ValueError: If the file is missing, too large, not YAML, uses anchors, or is not a mapping.
    """
    if not path.is_file():
        raise ValueError(f"{path}: expected the params file, found nothing; run from the repo root")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: expected at most {MAX_BYTES} bytes, got {path.stat().st_size}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected UTF-8 text, got byte {error.object[error.start]:#04x} at offset "
            f"{error.start}; write it again: posereel use-preset"
        ) from error
    # A copy: the caller may change it.
    return deepcopy(_parse(path, text))


@lru_cache(maxsize=8)
def _parse(path: Path, text: str) -> dict[str, Any]:
    """Return the content of a params file; the same text is parsed once per process."""
    try:
        if any(getattr(event, "anchor", None) for event in YAML(typ="safe", pure=True).parse(text)):
            raise ValueError(f"{path}: anchors and aliases are refused; write the values out")
        values = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected a mapping of sections, got {type(values).__name__}")
    return values


def read_section(path: Path, name: str, schema: type[AnySection]) -> AnySection:
    """Read one section of the params file through its schema.

    Args:
        path: The params file.
        name: The section's name, equal to the stage's.
        schema: Its schema.

    Returns:
        The validated, frozen section.

    Raises:
        ValueError: If the section is missing or a key is unknown, missing or of a wrong type;
            the message names the file, the key, the value and what was expected.
    """
    values = read_params(path)
    if name not in values:
        raise ValueError(f"{path}: section {name!r} is missing; found {sorted(values)}")
    return validate_section(values[name], path, name, schema)


def validate_section(values: object, path: Path, name: str, schema: type[AnySection]) -> AnySection:
    """Validate the values of a section, or a part of them, by a schema.

    Args:
        values: The values, as ``read_params`` returns them.
        path: The params file, for messages.
        name: The section, for messages.
        schema: The schema.

    Raises:
        ValueError: If a key is unknown, missing or of a wrong type; see ``read_section``.
    """
    try:
        return schema.model_validate(values, strict=True)
    except ValidationError as error:
        known = sorted(schema.model_fields)
        faults = "; ".join(_fault(name, details) for details in error.errors())
        raise ValueError(f"{path}: {faults} (keys of {name!r}: {known})") from error


def _fault(section: str, details: ErrorDetails) -> str:
    where = _dotted([section, *details["loc"]])
    if details["type"] == "extra_forbidden":
        return f"{where}: unknown key, got {details['input']!r}"
    if details["type"] == "missing":
        return f"{where}: missing key"
    return f"{where}: {details['msg'].lower()}, got {details['input']!r}"


def _dotted(parts: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in parts)
