"""The manifest: against the system's own sha256sum, and every line that is not one."""

import subprocess
from pathlib import Path

import pytest

from pipeline.manifest import FrameFile, read_manifest, write_manifest

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


def test_what_is_written_is_what_sha256sum_says(root: Path, tmp_path: Path) -> None:
    write_manifest(tmp_path / "frames.manifest", root, names(root))
    entries = read_manifest(tmp_path / "frames.manifest")
    assert sorted(entries) == sorted(f"images/{name}" for name in STRANGE)
    for name, entry in entries.items():
        said = subprocess.run(
            ["sha256sum", root / name], capture_output=True, text=True, check=True
        )
        assert said.stdout.lstrip("\\").split()[0] == entry.sha256
        assert (root / name).stat().st_size == entry.bytes


def test_lines_are_sorted_whatever_order_the_files_came_in(root: Path, tmp_path: Path) -> None:
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


def test_an_empty_file_is_listed_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    write_manifest(tmp_path / "frames.manifest", tmp_path, ["empty.jpg"])
    assert read_manifest(tmp_path / "frames.manifest") == {"empty.jpg": FrameFile(EMPTY, 0)}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["images/a b.jpg"] * 2, "'images/a b.jpg' twice"),
        (["../secret.jpg"], r"got '\.\./secret\.jpg'"),
        (["/etc/passwd"], "got '/etc/passwd'"),
        (["images/none.jpg"], "found none; restore it"),
        (["images/two\nlines.jpg"], "line break; rename"),
    ],
)
def test_files_that_cannot_be_listed_are_refused_and_nothing_is_written(
    files: list[str], said: str, root: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        write_manifest(tmp_path / "frames.manifest", root, files)
    assert not list(tmp_path.glob("frames.manifest*"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{EMPTY} 0 b.jpg\n{EMPTY} 0 a.jpg\n", "line 2: expected paths in sorted order"),
        (f"{EMPTY} 0 a.jpg\n{EMPTY} 0 a.jpg\n", "line 2: expected paths in sorted order"),
        (f"{EMPTY} 0 ../a.jpg\n", r"got '\.\./a\.jpg'"),
        (f"{EMPTY} -1 a.jpg\n", "line 1: expected `<sha256>"),
        (f"{EMPTY.upper()} 0 a.jpg\n", "line 1: expected `<sha256>"),
        (f"{EMPTY} 0\n", "line 1: expected `<sha256>"),
        (f"{EMPTY} 0 a.jpg", "last line is cut short"),
    ],
)
def test_a_line_of_another_form_is_named(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "frames.manifest").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_manifest(tmp_path / "frames.manifest")


def test_a_missing_manifest_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="use-preset"):
        read_manifest(tmp_path / "frames.manifest")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "frames.manifest").write_bytes(b"\xff\xfe\n")
    with pytest.raises(ValueError, match="expected UTF-8"):
        read_manifest(tmp_path / "frames.manifest")
