"""Messages of OpenCV's codecs are collected; those of others reach the standard error stream."""

import os
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.core.frames.codec_messages import decode


def noise(suffix: str) -> bytes:
    image = np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8)
    return bytes(cv2.imencode(suffix, image)[1])


def damaged(data: bytes) -> bytes:
    """Return a file with 200 changed bytes in the middle."""
    middle = len(data) // 2
    changed = bytes(byte ^ 0x55 for byte in data[middle : middle + 200])
    return data[:middle] + changed + data[middle + 200 :]


@pytest.mark.parametrize(
    ("suffix", "message"),
    [(".jpg", "Corrupt JPEG data: "), (".png", "libpng error: ")],
)
def test_the_message_about_a_damaged_image_is_returned_and_not_printed(
    suffix: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    _, messages = decode(damaged(noise(suffix)), cv2.IMREAD_COLOR)
    assert [text[: len(message)] for text in messages] == [message]
    assert capfd.readouterr().err == ""


def test_a_sound_image_gives_no_message() -> None:
    image, messages = decode(noise(".png"), cv2.IMREAD_COLOR)
    assert image is not None
    assert (image.shape, messages) == ((60, 90, 3), [])


def test_what_others_write_to_stderr_during_decoding_is_passed_on(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    imdecode = cv2.imdecode

    def noisy(*arguments: Any) -> Any:  # noqa: ANN401
        os.write(2, b"2 of 5 frames\n")
        return imdecode(*arguments)

    monkeypatch.setattr(cv2, "imdecode", noisy)
    assert len(decode(damaged(noise(".jpg")), cv2.IMREAD_COLOR)[1]) == 1
    assert capfd.readouterr().err == "2 of 5 frames\n"


def test_the_standard_error_stream_is_restored_after_an_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(cv2.error):
        decode(b"", cv2.IMREAD_COLOR)
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"
