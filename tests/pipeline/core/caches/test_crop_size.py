"""Height and width of crops are read from a section with more keys."""

from pathlib import Path

import pytest

from pipeline.core.caches.crop_size import read_crop_size


def test_height_and_width_are_read_and_other_keys_are_ignored(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("crop: {hrnet: {height: 384, width: 288, delta: 2}, enlarge: 1.25}\n")
    assert read_crop_size(params, "hrnet") == (384, 288)


@pytest.mark.parametrize(
    "text",
    ["crop: 3", "other: {}", "crop: {vit: {height: 0, width: 3}}", "crop: {vit: {height: 1}}"],
)
def test_missing_and_invalid_sizes_are_rejected(tmp_path: Path, text: str) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(text)
    with pytest.raises(ValueError, match=r"crop\.vit: expected height and width in pixels"):
        read_crop_size(params, "vit")
