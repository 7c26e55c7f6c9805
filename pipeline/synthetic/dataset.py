"""The rendered data set: disjoint ranges of seeds, and the videos of a range.

A video is named by its seed. Ranges of seeds do not overlap, so that pretraining uses no video on
which a head is trained or evaluated.
"""

from dataclasses import dataclass

from pipeline.synthetic.degradation import FaultPattern

SEED_RANGES = {
    "train": range(100_000, 200_000),
    "val": range(200_000, 210_000),
    "gain_val_1": range(210_000, 220_000),
    "gain_val_2": range(220_000, 230_000),
    "gain_val_3": range(230_000, 240_000),
    "gain_train_1": range(240_000, 250_000),
    "gain_train_2": range(250_000, 260_000),
    "gain_train_3": range(260_000, 270_000),
    "gain_val_4": range(270_000, 280_000),
    "gain_val_5": range(280_000, 290_000),
    "gain_val_6": range(290_000, 300_000),
    "pretrain_hrnet": range(300_000, 400_000),
    "pretrain_vit": range(400_000, 500_000),
    "pretrain_raft": range(500_000, 600_000),
    "pretrain_detector": range(600_000, 700_000),
    "pretrain_holdout": range(700_000, 710_000),
    "calibration": range(900_000, 910_000),
    "tests": range(910_000, 920_000),
}
"""Seeds by use, disjoint; six digits, because a video's name holds its seed."""


@dataclass(frozen=True, slots=True)
class VideoSpec:
    """Everything that decides a video's bytes.

    Raises:
        ValueError: If there is no frame, or the picture is smaller than 64 pixels a side.
    """

    seed: int
    frames: int = 24
    height: int = 240
    width: int = 320
    label_run: int = 10
    """Frames in the middle of the video that are all labeled."""
    label_step: int = 4
    """Distance of the labeled frames outside the middle run; 1 labels every frame."""
    faults: FaultPattern = "independent"

    def __post_init__(self) -> None:
        if self.frames < 1 or self.label_step < 1 or min(self.height, self.width) < 64:
            raise ValueError(
                "video spec: expected at least 1 frame, a label_step of at least 1 and 64 x 64 "
                f"pixels, got {self}"
            )

    @property
    def name(self) -> str:
        """Name of the video; poseval demands NNNNNN_mpii_... (evaluate.py reads it so)."""
        return f"{self.seed:06d}_mpii_synthetic"

    def labeled(self, frame: int) -> bool:
        """Tell whether a frame is labeled: PoseTrack labels a dense middle and every 4th frame."""
        start = (self.frames - self.label_run) // 2
        return start <= frame < start + self.label_run or frame % self.label_step == 0


def video_specs(
    seed_range: str,
    count: int,
    *,
    first: int = 0,
    frames: int = 24,
    height: int = 240,
    width: int = 320,
    label_run: int = 10,
    label_step: int = 4,
    faults: FaultPattern = "independent",
) -> tuple[VideoSpec, ...]:
    """Return the specs of consecutive videos of a seed range.

    Args:
        seed_range: A key of ``SEED_RANGES``.
        count: How many videos.
        first: Position in the range of the first one.
        frames: Frames per video.
        height: Picture height in pixels.
        width: Picture width in pixels.
        label_run: Frames in the middle that are all labeled.
        label_step: Distance of the labeled frames outside the middle.
        faults: Pattern of the faults over time (pipeline/synthetic/degradation.py).

    Raises:
        ValueError: If there is no such range, or the range is too short.
    """
    if seed_range not in SEED_RANGES:
        raise ValueError(
            f"seed range: expected one of {', '.join(SEED_RANGES)}, got {seed_range!r}"
        )
    seeds = SEED_RANGES[seed_range]
    if first < 0 or count < 0 or first + count > len(seeds):
        raise ValueError(
            f"seed range {seed_range}: expected videos within 0..{len(seeds) - 1}, got "
            f"{count} from {first}; ask for fewer, or start earlier"
        )
    return tuple(
        VideoSpec(seed, frames, height, width, label_run, label_step, faults)
        for seed in seeds[first : first + count]
    )
