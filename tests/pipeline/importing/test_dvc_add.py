"""Imported files replace earlier ones together with what DVC tracks, or not at all."""

from pathlib import Path

import pytest

from pipeline.importing import dvc_add
from pipeline.importing.dvc_add import move_and_track


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return a folder with new files and one with those of an earlier import."""
    made, folder = tmp_path / "made", tmp_path / "weights"
    for path, content in (
        (made / "net.json", "new"),
        (made / "net/model", "new"),
        (folder / "net/model", "old"),
        (folder / "net.dvc", "old"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return made, folder


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_new_files_replace_the_earlier_ones_before_they_are_tracked(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked: list[Path] = []
    monkeypatch.setattr(dvc_add, "dvc_add", tracked.append)
    made, folder = folders
    move_and_track(made, folder, "net")
    assert tracked == [folder / "net"]
    assert contents(folder) == {"net.json": "new", "net/model": "new", "net.dvc": "old"}


@pytest.mark.parametrize("reason", [ValueError("lock"), KeyboardInterrupt()])
def test_the_earlier_files_are_restored_if_dvc_fails(
    reason: BaseException, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path) -> None:
        raise reason

    monkeypatch.setattr(dvc_add, "dvc_add", fail)
    made, folder = folders
    before = contents(folder)
    with pytest.raises(type(reason)):
        move_and_track(made, folder, "net")
    assert contents(folder) == before
    assert sorted(path.name for path in folder.iterdir()) == ["net", "net.dvc"]
