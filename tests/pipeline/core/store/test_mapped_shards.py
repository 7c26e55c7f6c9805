"""Mapped shards: reads equal the file, and truncation is an error instead of a crash."""

from pathlib import Path

import pytest

from pipeline.core.store.mapped_shards import MappedShard, MappedShards, open_shard


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "c.0.0"
    path.write_bytes(bytes(range(200)) * 100)
    return path


def test_reads_equal_the_bytes_of_the_file(shard: Path) -> None:
    mapped = MappedShard(str(shard))
    mapped.advise(0, 20_000)
    for offset, size in ((0, 20_000), (19_999, 1), (4095, 2), (777, 0)):
        assert mapped.read(offset, size).tobytes() == shard.read_bytes()[offset:][:size]


def test_reading_beyond_the_end_of_a_truncated_file_is_an_error(shard: Path) -> None:
    mapped = MappedShard(str(shard))
    with shard.open("r+b") as file:
        file.truncate(5000)
    assert mapped.read(4000, 1000).tobytes() == shard.read_bytes()[4000:]
    for offset, size in ((4000, 1001), (19_000, 10)):
        mapped.advise(offset, size)
        with pytest.raises(ValueError, match=r"^c\.0\.0 is truncated$"):
            mapped.read(offset, size)


def test_a_view_stays_valid_after_closing(shard: Path) -> None:
    shards = MappedShards()
    view = shards.get(str(shard)).read(100, 50)
    shards.close()
    assert view.tobytes() == shard.read_bytes()[100:150]
    assert shards.get(str(shard)).read(100, 50).tobytes() == view.tobytes()


def test_empty_missing_and_linked_files_are_rejected(shard: Path, tmp_path: Path) -> None:
    (tmp_path / "c.1.0").touch()
    (tmp_path / "c.2.0").symlink_to(shard)
    with pytest.raises(ValueError, match=r"c\.1\.0 is truncated"):
        MappedShard(str(tmp_path / "c.1.0"))
    for name in ("c.2.0", "c.3.0"):
        with pytest.raises(ValueError, match=rf"shard {name} cannot be opened \("):
            open_shard(tmp_path / name)
