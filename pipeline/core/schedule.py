"""Length and learning-rate schedule of a training run."""

import math
from typing import Annotated

from pydantic import Field, model_validator

from pipeline.core.params import Section

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


class Training(Section):
    """Parameters of a training run: AdamW with a step schedule, as in both papers (Sec. 4.1)."""

    epochs: Count
    """Epochs; 0 if ``steps`` is given. If both are 0, nothing is trained."""
    steps: Count
    """Optimizer steps; 0 if ``epochs`` is given."""
    batch: Annotated[int, Field(ge=1)]
    """Clips per step, summed over all devices."""
    lr: Annotated[float, Field(gt=0, le=10)]
    """Initial learning rate of AdamW, after the warm-up."""
    weight_decay: NonNegative
    """Decoupled weight decay; the papers use torch's default 0.01."""
    milestones: list[Positive]
    """When the learning rate decays: in epochs if ``epochs`` is given, otherwise in steps."""
    decay: Annotated[float, Field(gt=0, le=1)]
    """Factor on the learning rate at each milestone."""
    warm_up: Count
    """Steps of linear warm-up."""
    clip: NonNegative
    """Maximum norm of the gradient (gradient clipping); 0 disables it."""
    seed: Count
    """Seed of the weight initialization, the order of the clips and dropout."""

    @model_validator(mode="after")
    def _one_length(self) -> "Training":
        if self.epochs and self.steps:
            raise ValueError(
                f"give epochs or steps and set the other to 0, got epochs {self.epochs} and steps "
                f"{self.steps}"
            )
        # If both are 0, nothing is trained and milestones are ignored.
        length = self.epochs or self.steps or math.inf
        if self.milestones != sorted(self.milestones) or any(m > length for m in self.milestones):
            raise ValueError(
                f"milestones: expected increasing numbers up to {length}, got {self.milestones}"
            )
        return self

    def total_steps(self, steps_per_epoch: int) -> int:
        """Return the number of optimizer steps of the run."""
        return self.steps or self.epochs * steps_per_epoch

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Return the learning rate of a step.

        Args:
            step: Number of completed steps.
            steps_per_epoch: Steps per epoch.
        """
        unit = steps_per_epoch if self.epochs else 1
        passed = sum(step >= milestone * unit for milestone in self.milestones)
        warm = min(1.0, (step + 1) / self.warm_up) if self.warm_up else 1.0
        return self.lr * warm * self.decay**passed
