"""The manifest, compared with the system's sha256sum, and malformed lines."""

import subprocess
from pathlib import Path

import pytest

from pipeline.core.manifest import FrameFile, read_manifest, write_manifest

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
STRANGE = ["a b.jpg", "it's.jpg", 'quo"te.jpg', "semi;colon.jpg", "$(touch x).jpg", "žluťoučký.png"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "images"
    folder.mkdir(parents=True)
    for position, name in enumerate(STRANGE):
        (folder / name).write_bytes(bytes([position]) * 1000 * position)
    return folder.parent


def names(root: Path) -> list[str]:
    return [file.relative_to(root).as_posix() for file in root.rglob("*.*")]


def test_digests_equal_those_of_sha256sum(root: Path, tmp_path: Path) -> None:
    write_manifest(tmp_path / "frames.manifest", root, names(root))
    entries = read_manifest(tmp_path / "frames.manifest")
    assert sorted(entries) == sorted(f"images/{name}" for name in STRANGE)
    for name, entry in entries.items():
        done = subprocess.run(
            ["sha256sum", root / name], capture_output=True, text=True, check=True
        )
        assert done.stdout.lstrip("\\").split()[0] == entry.sha256
        assert (root / name).stat().st_size == entry.bytes


def test_lines_are_sorted_for_any_order_of_files(root: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    write_manifest(first, root, names(root))
    write_manifest(second, root, reversed(names(root)))
    assert first.read_bytes() == second.read_bytes()
    paths = [line.split(" ", 2)[2] for line in first.read_text().splitlines()]
    assert paths == sorted(paths)


def test_a_data_set_without_frames_has_an_empty_manifest(tmp_path: Path) -> None:
    write_manifest(tmp_path / "frames.manifest", tmp_path, [])
    assert (tmp_path / "frames.manifest").read_bytes() == b""
    assert read_manifest(tmp_path / "frames.manifest") == {}


def test_an_empty_file_is_listed(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    write_manifest(tmp_path / "frames.manifest", tmp_path, ["empty.jpg"])
    assert read_manifest(tmp_path / "frames.manifest") == {"empty.jpg": FrameFile(EMPTY, 0)}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["images/a b.jpg"] * 2, "'images/a b.jpg' twice"),
        (["../secret.jpg"], r"got '\.\./secret\.jpg'"),
        (["/etc/passwd"], "got '/etc/passwd'"),
        (["images/none.jpg"], "found nothing; restore it"),
        (["images/two\nlines.jpg"], "line break; rename"),
    ],
)
def test_an_invalid_file_raises_an_error_and_nothing_is_written(
    files: list[str], message: str, root: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        write_manifest(tmp_path / "frames.manifest", root, files)
    assert not list(tmp_path.glob("frames.manifest*"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{EMPTY} 0 b.jpg\n{EMPTY} 0 a.jpg\n", "line 2: expected unique paths in sorted order"),
        (f"{EMPTY} 0 a.jpg\n{EMPTY} 0 a.jpg\n", "line 2: expected unique paths in sorted order"),
        (f"{EMPTY} 0 ../a.jpg\n", r"got '\.\./a\.jpg'"),
        (f"{EMPTY} -1 a.jpg\n", "line 1: expected `<sha256>"),
        (f"{EMPTY.upper()} 0 a.jpg\n", "line 1: expected `<sha256>"),
        (f"{EMPTY} 0\n", "line 1: expected `<sha256>"),
        (f"{EMPTY} 0 a.jpg", "last line is truncated"),
    ],
)
def test_a_malformed_line_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "frames.manifest").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_manifest(tmp_path / "frames.manifest")


def test_the_error_for_a_missing_manifest_names_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="use-preset"):
        read_manifest(tmp_path / "frames.manifest")


def test_a_file_that_is_not_utf8_raises_an_error(tmp_path: Path) -> None:
    (tmp_path / "frames.manifest").write_bytes(b"\xff\xfe\n")
    with pytest.raises(ValueError, match="expected UTF-8"):
        read_manifest(tmp_path / "frames.manifest")
