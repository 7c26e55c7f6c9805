"""Strict reading of JSON files: rejects what the standard library accepts silently."""

import json
from codecs import BOM_UTF8
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from pipeline.core.regular_file import read_regular_file

_TRUNCATED = "write the file again, it may be truncated"


def read_json(path: Path) -> Any:  # noqa: ANN401
    """Return the content of a JSON file.

    ``NaN`` and ``Infinity`` are rejected, as RFC 8259 requires (pycocotools scores NaN keypoints as
    perfect). Objects with a duplicate key are rejected (the standard library keeps the last value).

    Args:
        path: A UTF-8 file.

    Raises:
        ValueError: If the file is missing, not a regular file, empty, not UTF-8, not JSON, nested
            too deeply, or contains a number with thousands of digits, a number that is not finite,
            or a duplicate key.
    """
    data = read_regular_file(path, "a JSON file", "check the path")
    if not data:
        raise ValueError(f"{path}: expected JSON, got an empty file; {_TRUNCATED}")
    if data.startswith(BOM_UTF8):
        raise ValueError(
            f"{path}: expected UTF-8 text without a byte order mark (BOM), got one; save the file "
            "without it"
        )
    try:
        text = data.decode("utf-8")
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected UTF-8 text, got byte {error.object[error.start]:#04x} at offset "
            f"{error.start}; save the file as UTF-8"
        ) from error
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}: line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}; "
            f"{_TRUNCATED}"
        ) from error
    except RecursionError as error:
        raise ValueError(
            f"{path}: expected a few levels of nesting, got hundreds; check the file"
        ) from error
    except ValueError as error:
        # Python limits the length of integers, because their conversion takes quadratic time.
        too_long = "integer string conversion" in str(error)
        reason = "got an integer of thousands of digits; correct it" if too_long else error
        raise ValueError(f"{path}: {reason}") from error


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the key {twice!r} twice; keep one of them")
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"expected finite numbers, got {name}; remove or correct that entry")
