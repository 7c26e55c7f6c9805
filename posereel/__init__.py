"""What a person types and imports: the command line and the Python interface.

``ClipCaches`` and ``score`` are imported at their first use, so that ``import posereel`` and the
command line do not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = ["ClipCaches", "score"]

if TYPE_CHECKING:
    from posereel.clip_caches import ClipCaches
    from posereel.scoring import score
else:

    def __getattr__(name: str) -> object:
        """Import a public name at its first use."""
        modules = {"ClipCaches": "posereel.clip_caches", "score": "posereel.scoring"}
        if name not in modules:
            raise AttributeError(f"module 'posereel' has no attribute {name!r}")
        return getattr(import_module(modules[name]), name)

    def __dir__() -> list[str]:
        """Return the public names, for completion in notebooks."""
        return sorted({*globals(), *__all__})
