"""OpenCV's people detector: histograms of oriented gradients and a linear SVM (Dalal, CVPR 2005).

Its weights are inside OpenCV, so that it needs no file. OpenCV 5 dropped it, hence the pin below 5.
On the 41 real frames beside which it was tuned it finds about nine of ten people who stand.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

STRIDE = 8
"""Step of the detection window, pixels."""
PADDING = 16
"""Pixels added around the frame, so that people at its border are found."""
SCALE = 1.05
"""Ratio of neighboring levels of the image pyramid."""
MIN_WEIGHT = 0.3
"""Distance from the SVM's plane below which a window is no person."""
SHRINK = np.array([0.15, 0.05])
"""Part of width and height taken off on each side: windows have a margin around the person."""


class HogDetector:
    """Finds standing people."""

    def __init__(self) -> None:
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(cv2.HOGDescriptor.getDefaultPeopleDetector())

    def __call__(
        self, frames: list[NDArray[np.uint8]]
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return boxes xyxy ``(n, 4)``, pixels, and scores ``(n,)`` of every frame.

        Args:
            frames: Pictures ``(H, W, 3)``.

        Returns:
            The score is w / (1 + w) of the SVM's weight w: within (0, 1), in the same order, and
            0.23 for the least weight that counts.
        """
        return [self._detect(frame) for frame in frames]

    def _detect(self, frame: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        found, margins = self._hog.detectMultiScale(
            frame, winStride=(STRIDE, STRIDE), padding=(PADDING, PADDING), scale=SCALE
        )
        boxes = np.asarray(found, dtype=np.float64).reshape(-1, 4)
        weights = np.asarray(margins, dtype=np.float64).reshape(-1)
        boxes, weights = boxes[weights > MIN_WEIGHT], weights[weights > MIN_WEIGHT]
        low = boxes[:, :2] + boxes[:, 2:] * SHRINK
        high = boxes[:, :2] + boxes[:, 2:] * (1 - SHRINK)
        return np.hstack([low, high]), weights / (1 + weights)
