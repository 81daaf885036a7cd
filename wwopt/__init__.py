"""wwopt: choose neural networks from their weights alone."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wwopt.analysis import Analysis
    from wwopt.comparison import Comparison, Thresholds, compare
    from wwopt.engine.analyze import analyze
    from wwopt.ranking import Ranking, rank
    from wwopt.score import AlignmentScore, AlphaScore, ResponseScore, Score, default_score
    from wwopt.tracking import Tracker

__version__ = "0.1.0"
__all__ = [
    "AlignmentScore",
    "AlphaScore",
    "Analysis",
    "Comparison",
    "Ranking",
    "ResponseScore",
    "Score",
    "Thresholds",
    "Tracker",
    "analyze",
    "compare",
    "default_score",
    "rank",
]

_ROOMS = {
    "AlignmentScore": "wwopt.score",
    "AlphaScore": "wwopt.score",
    "Analysis": "wwopt.analysis",
    "Comparison": "wwopt.comparison",
    "Ranking": "wwopt.ranking",
    "ResponseScore": "wwopt.score",
    "Score": "wwopt.score",
    "Thresholds": "wwopt.comparison",
    "Tracker": "wwopt.tracking",
    "analyze": "wwopt.engine.analyze",
    "compare": "wwopt.comparison",
    "default_score": "wwopt.score",
    "rank": "wwopt.ranking",
}


def __getattr__(name: str) -> object:
    """Import a room when it is first asked for, so that ``import wwopt`` stays light."""
    if name in _ROOMS:
        return getattr(import_module(_ROOMS[name]), name)
    raise AttributeError(f"module 'wwopt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
