"""Types of arguments that params.yaml sets, with their allowed ranges."""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Gt, MinLen

Positive = Annotated[int, Ge(1)]
PositiveFloat = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
LayerWidths = Annotated[Sequence[Positive], MinLen(1)]
"""One number per layer."""
