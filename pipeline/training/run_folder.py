"""Files of a training run next to its unit in the scratch folder."""

CHECKPOINT = "checkpoint.safetensors"
TIMINGS = "timings.csv"
"""Seconds per step. Files that DVC tracks contain no times."""
BEST = "best.safetensors"
"""Weights with the lowest loss on the held-out videos."""
RUN_FILES = (CHECKPOINT, BEST, TIMINGS)
"""Files that are not needed after the end of the run."""
