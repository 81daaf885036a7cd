"""wwopt: choose neural networks from their weights alone."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wwopt.analysis import Analysis
    from wwopt.pipeline import analyze
    from wwopt.score import AlignmentScore, AlphaScore, Score, default_score
    from wwopt.tracking import Tracker

__version__ = "0.1.0"
__all__ = ["AlignmentScore", "AlphaScore", "Analysis", "Score", "Tracker", "analyze", "default_score"]

_ROOMS = {
    "AlignmentScore": "wwopt.score",
    "AlphaScore": "wwopt.score",
    "Analysis": "wwopt.analysis",
    "Score": "wwopt.score",
    "Tracker": "wwopt.tracking",
    "analyze": "wwopt.pipeline",
    "default_score": "wwopt.score",
}


def __getattr__(name: str) -> object:
    """Import a room when it is first asked for, so that ``import wwopt`` stays light."""
    if name in _ROOMS:
        return getattr(import_module(_ROOMS[name]), name)
    raise AttributeError(f"module 'wwopt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
