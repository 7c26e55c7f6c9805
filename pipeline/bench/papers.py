"""Mean AP that papers report for the systems, with the boxes that they used."""

from dataclasses import dataclass

DATA_SETS = ("PoseTrack17", "PoseTrack18", "PoseTrack21")


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """One row of a paper."""

    source: str
    """The paper, and the backbone where there are several."""
    boxes: str
    """Person boxes that the paper says it used."""
    mean_ap: tuple[float | None, float | None, float | None]
    """In the order of ``DATA_SETS``, percent; None where the paper gives no number."""


PUBLISHED: dict[str, tuple[PublishedResult, ...]] = {
    "hrnet": (PublishedResult("JM-Pose, table 1", "not stated", (77.3, None, None)),),
    "dcpose": (PublishedResult("DCPose", "detected", (82.8, 80.9, 80.5)),),
    "fami": (PublishedResult("FAMI-Pose", "not stated", (84.8, 82.2, 81.2)),),
    "jmpose": (PublishedResult("JM-Pose", "detected (DetectoRS)", (86.4, 84.1, 84.0)),),
    "vit": (PublishedResult("VREMD, table 4", "not stated", (80.2, None, None)),),
    "tar": (
        PublishedResult("TAR-ViTPose, ViT-H", "detected", (86.8, 84.2, 84.1)),
        PublishedResult("TAR-ViTPose, ViT-H", "ground truth", (90.3, 89.8, 91.0)),
    ),
    "vremd": (PublishedResult("VREMD", "not stated", (87.6, 84.6, 84.5)),),
}
"""Results by system."""
