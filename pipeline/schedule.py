"""How long a network trains and with which learning rate: steps, warm-up, milestones."""

import math
from typing import Annotated

from pydantic import Field, model_validator

from pipeline.base.params import Section

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


class Training(Section):
    """Params of one training run: AdamW with a step schedule, as both papers have it (Sec. 4.1)."""

    epochs: Count
    """Passes over the clips; 0 where ``steps`` says how long. With both 0 nothing is trained."""
    steps: Count
    """Steps of the optimizer; 0 where ``epochs`` says how long."""
    batch: Annotated[int, Field(ge=1)]
    """Clips per step, over all devices."""
    lr: Positive
    """Learning rate of AdamW after the warm-up, before the first milestone."""
    weight_decay: NonNegative
    """Decoupled weight decay; the papers leave torch's 0.01."""
    milestones: list[Positive]
    """Where the rate falls: epochs where ``epochs`` is given, else steps."""
    decay: Annotated[float, Field(gt=0, le=1)]
    """What the rate is multiplied with at each milestone."""
    warm_up: Count
    """Steps of linear warm-up."""
    clip: NonNegative
    """Largest norm of the gradient, longer ones are scaled down; 0 = no limit."""
    seed: Count
    """Seed of the first weights, of the order of the clips and of dropout."""

    @model_validator(mode="after")
    def _one_length(self) -> "Training":
        if self.epochs and self.steps:
            raise ValueError(
                f"give epochs or steps and set the other to 0, got epochs {self.epochs} and steps "
                f"{self.steps}"
            )
        # With both 0 nothing is trained, and any milestones may stay where they are.
        length = self.epochs or self.steps or math.inf
        if self.milestones != sorted(self.milestones) or any(m > length for m in self.milestones):
            raise ValueError(
                f"milestones: expected rising numbers up to {length}, got {self.milestones}"
            )
        return self

    def total_steps(self, steps_per_epoch: int) -> int:
        """Return the number of steps of the whole run."""
        return self.steps or self.epochs * steps_per_epoch

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Return the learning rate of a step.

        Args:
            step: Steps taken so far.
            steps_per_epoch: Steps of one pass over the clips.
        """
        unit = steps_per_epoch if self.epochs else 1
        passed = sum(step >= milestone * unit for milestone in self.milestones)
        warm = min(1.0, (step + 1) / self.warm_up) if self.warm_up else 1.0
        return self.lr * warm * self.decay**passed
