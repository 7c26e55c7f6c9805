"""Reading images: comparison with other decoders, and invalid files."""

import errno
import hashlib
import io
import os
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchvision.io import ImageReadMode
from torchvision.io import decode_image as torchvision_decode_image

from pipeline.core.frames.images import (
    decode_image,
    locate,
    parse_image_size,
    read_frame,
    read_image_size,
)

HERE = Path("frame.jpg")
ORIENTATION_6 = bytes.fromhex(
    "ffe1 0022 457869660000 4d4d002a00000008 0001 0112 0003 00000001 00060000 00000000"
)


def _link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def _image(height: int = 40, width: int = 20, channels: int = 3) -> np.ndarray:
    random = np.random.default_rng(height)
    shape = (height, width, channels) if channels > 1 else (height, width)
    return cv2.GaussianBlur(random.integers(0, 256, shape, dtype=np.uint8), (5, 5), 0)


def _encode(image: np.ndarray, suffix: str = ".jpg") -> bytes:
    return bytes(cv2.imencode(suffix, image)[1])


def _png_of(height: int, width: int) -> bytes:
    """Return a small PNG with one bit per pixel whose header gives a large size."""
    body = zlib.compress(b"\0" * 100)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", body)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in [*chunks, (b"IEND", b"")]
    )


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_frames_are_rgb_and_equal_torchvisions(suffix: str) -> None:
    data = _encode(_image(), suffix)
    theirs = torchvision_decode_image(
        torch.frombuffer(bytearray(data), dtype=torch.uint8),
        ImageReadMode.RGB,
    )
    ours = decode_image(HERE, data, (40, 20))
    assert ours.dtype == np.uint8
    # Two builds of libjpeg-turbo may differ by 1.
    assert np.abs(ours.astype(int) - theirs.permute(1, 2, 0).numpy()).max() <= 1


@pytest.mark.parametrize("size", [(40, 20), (1, 1), (33, 127)])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_the_size_is_read_from_the_header(size: tuple[int, int], suffix: str) -> None:
    assert parse_image_size(HERE, _encode(_image(*size), suffix)) == size


def test_the_size_of_a_progressive_jpeg_with_other_segments_first_is_read() -> None:
    flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
    data = bytes(cv2.imencode(".jpg", _image(), flags)[1])
    assert parse_image_size(HERE, data[:2] + ORIENTATION_6 + data[2:]) == (40, 20)


def test_the_exif_orientation_is_ignored() -> None:
    data = _encode(_image())
    turned = data[:2] + ORIENTATION_6 + data[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (20, 40, 3)
    np.testing.assert_array_equal(
        decode_image(HERE, turned, (40, 20)), decode_image(HERE, data, (40, 20))
    )


@pytest.mark.parametrize("kind", ["gray", "alpha", "deep"])
def test_other_pixel_formats_become_8_bit_rgb(kind: str) -> None:
    gray = _image(channels=1)
    images = {
        "gray": gray,
        "alpha": np.dstack([gray, gray, gray, np.full_like(gray, 7)]),
        "deep": gray.astype(np.uint16) * 257,
    }
    decoded = decode_image(HERE, _encode(images[kind], ".png"), None)
    np.testing.assert_array_equal(decoded, np.dstack([gray] * 3))


def test_a_cmyk_jpeg_becomes_rgb() -> None:
    image = pytest.importorskip("PIL.Image")
    stream = io.BytesIO()
    image.new("CMYK", (20, 40), (0, 255, 255, 0)).save(stream, "JPEG", quality=95)
    decoded = decode_image(HERE, stream.getvalue(), (40, 20))
    # No cyan, all magenta and yellow: red.
    assert decoded[..., 0].min() > 200
    assert decoded[..., 1:].max() < 60


def test_the_file_name_extension_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(_encode(_image(), ".png"))
    assert read_image_size(tmp_path, "a.jpg") == (40, 20)


def _invalid_images() -> dict[str, tuple[bytes, str]]:
    jpeg, png = _encode(_image()), _encode(_image(), ".png")
    return {
        "empty": (b"", "got an empty file"),
        "text": (b"hello, I am a frame", "expected a JPEG or PNG"),
        "gif": (b"GIF89a" + bytes(40), "expected a JPEG or PNG"),
        "header only": (jpeg[:4], "header is truncated"),
        "half a jpeg": (jpeg[: len(jpeg) // 2], "a damaged one"),
        "all but the end": (jpeg[:-2], "a damaged one"),
        "half a png": (png[: len(png) // 2], "a damaged one"),
        "no pixels": (_png_of(0, 0), "has no size"),
        "30000 squared": (_png_of(30_000, 30_000), "got 30000 x 30000"),
        "too long": (_png_of(1, 40_000), "got 1 x 40000"),
    }


@pytest.mark.parametrize("name", list(_invalid_images()))
def test_an_invalid_image_raises_an_error_with_its_path(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, message = _invalid_images()[name]
    (tmp_path / "frame.jpg").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    with pytest.raises(ValueError, match=f"frame.jpg: .*{message}"):
        read_frame(tmp_path, "frame.jpg", sha256=digest, image_size=None)
    assert capfd.readouterr().err == ""


def _damaged_in_mid_scan(data: bytes) -> bytes:
    """Return a file with 200 changed bytes in the middle, which no marker begins with."""
    middle = len(data) // 2
    changed = bytes(byte ^ 0x55 for byte in data[middle : middle + 200])
    return data[:middle] + changed + data[middle + 200 :]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_an_image_damaged_in_the_middle_is_named_and_the_decoder_prints_nothing(
    suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    data = _damaged_in_mid_scan(_encode(_image(400, 300), suffix))
    decoder = "Corrupt JPEG data" if suffix == ".jpg" else "libpng error"
    cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert capfd.readouterr().err.startswith(decoder)
    with pytest.raises(ValueError, match=rf"frame\.jpg: .* got a damaged one \({decoder}"):
        decode_image(HERE, data, None)
    assert capfd.readouterr().err == ""


def test_damage_is_found_if_the_image_is_read_from_several_threads() -> None:
    sound = _encode(_image(400, 300))
    damaged = _damaged_in_mid_scan(sound)

    def verdict(data: bytes) -> bool:
        try:
            decode_image(HERE, data, None)
        except ValueError:
            return True
        return False

    with ThreadPoolExecutor(4) as readers:
        found = list(readers.map(verdict, [sound, damaged] * 20))
    assert found == [False, True] * 20


@pytest.mark.parametrize(
    ("create", "found"),
    [(os.mkfifo, "found a named pipe"), (os.mkdir, "found a folder"), (_link_to_itself, "")],
)
def test_a_frame_that_is_not_a_regular_file_is_named_and_not_opened(
    create: Callable[[Path], None], found: str, tmp_path: Path
) -> None:
    create(tmp_path / "a.jpg")
    for read in (
        lambda: read_frame(tmp_path, "a.jpg", sha256="", image_size=None),
        lambda: read_image_size(tmp_path, "a.jpg"),
    ):
        with pytest.raises(ValueError, match=f"a.jpg.*{found}"):
            read()


def test_a_frame_that_cannot_be_read_is_named_with_a_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(_encode(_image()))

    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(
        ValueError, match=r"a\.jpg: .*cannot be read \(Permission denied\); restore"
    ):
        read_image_size(tmp_path, "a.jpg")


def test_a_missing_frame_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.jpg: .*found nothing; .*data\.root"):
        read_frame(tmp_path, "a.jpg", sha256="", image_size=None)


def test_a_frame_that_differs_from_the_manifest_raises_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(_encode(_image()))
    with pytest.raises(ValueError, match="content differs from the manifest"):
        read_frame(tmp_path, "a.jpg", sha256="0" * 64, image_size=None)


def test_a_frame_of_another_size_than_its_video_raises_an_error(tmp_path: Path) -> None:
    data = _encode(_image())
    (tmp_path / "a.jpg").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    assert read_frame(tmp_path, "a.jpg", sha256=digest, image_size=(40, 20)).shape == (40, 20, 3)
    with pytest.raises(ValueError, match=r"expected 20 x 40 pixels .* got 40 x 20"):
        read_frame(tmp_path, "a.jpg", sha256=digest, image_size=(20, 40))


@pytest.mark.parametrize(
    "name", ["../a.jpg", "/etc/passwd", "x/../../a.jpg", "a\0.jpg", "link/a.jpg", "link.jpg"]
)
def test_a_path_outside_the_data_sets_folder_raises_an_error(name: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "a.jpg").write_bytes(_encode(_image()))
    (root / "link").symlink_to(tmp_path)
    (root / "link.jpg").symlink_to(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"expected a path inside|not a valid path"):
        locate(root, name)


def test_links_inside_the_folder_and_a_linked_folder_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.jpg").touch()
    (tmp_path / "root" / "b.jpg").symlink_to("a.jpg")
    (tmp_path / "door").symlink_to("root")
    assert locate(tmp_path / "door", "b.jpg") == tmp_path / "root" / "a.jpg"


def test_real_frames_are_decoded(shared: Path) -> None:
    frames = sorted((shared / "real").glob("mmpose_tests_data/posetrack18/images/val/*/*.jpg"))
    assert len(frames) == 3
    for file in frames:
        data = file.read_bytes()
        assert decode_image(file, data, (1080, 1920)).mean() > 10
