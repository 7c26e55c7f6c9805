"""Strict JSON: errors name the path, the position and the cure."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.strict_json import read_json


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": NaN}', "expected finite numbers, got NaN; remove"),
        (b'{"a": [-Infinity]}', "got -Infinity"),
        (b'{"a": {"b": 1, "c": 2, "b": 1}}', "has the key 'b' twice"),
        (b'{"a": [1, 2', "line 1, column 12: not valid JSON"),
        (b"", "got an empty file; write the file again, it may be truncated"),
        (b'{"a": "\xff"}', "expected UTF-8 text, got byte 0xff at offset 7"),
        (b"[" * 100_000, "expected a few levels of nesting"),
        (b"[" + b"9" * 5_000 + b"]", "got an integer of thousands of digits; correct it"),
        (b'\xef\xbb\xbf{"a": 1}', "byte order mark (BOM), got one; save the file"),
    ],
)
def test_an_invalid_file_raises_an_error_with_its_path(
    content: bytes, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "invalid.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"invalid\.json") as caught:
        read_json(file)
    assert message in str(caught.value)


@pytest.mark.parametrize(("create", "found"), [(os.mkfifo, "named pipe"), (os.mkdir, "folder")])
def test_a_pipe_or_folder_in_place_of_a_file_is_named(
    create: Callable[[Path], None], found: str, tmp_path: Path
) -> None:
    create(tmp_path / "a.json")
    with pytest.raises(ValueError, match=rf"a\.json: expected a JSON file, found a {found}"):
        read_json(tmp_path / "a.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.json: expected a JSON file, found nothing"):
        read_json(tmp_path / "nowhere.json")


def test_a_valid_file_is_read_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "fine.json"
    file.write_text('{"a": [1, 2.5, null, true, "\\u00e9"], "b": {"a": {}}}', encoding="utf-8")
    assert read_json(file) == {"a": [1, 2.5, None, True, "é"], "b": {"a": {}}}
