"""wwopt: choose neural networks from their weights alone."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wwopt.analysis import Analysis
    from wwopt.comparison import Comparison, Thresholds, compare
    from wwopt.consensus import agreement
    from wwopt.engine.analyze import analyze
    from wwopt.engine.inspect import Inspection, inspect
    from wwopt.low_rank import AdapterAnalysis, analyze_adapter
    from wwopt.ranking import Ranking, rank
    from wwopt.score import AlignmentScore, AlphaScore, ResponseScore, Score, default_score
    from wwopt.tracking import Tracker

__version__ = "0.1.0"
__all__ = [
    "AdapterAnalysis",
    "AlignmentScore",
    "AlphaScore",
    "Analysis",
    "Comparison",
    "Inspection",
    "Ranking",
    "ResponseScore",
    "Score",
    "Thresholds",
    "Tracker",
    "agreement",
    "analyze",
    "analyze_adapter",
    "compare",
    "default_score",
    "inspect",
    "rank",
]

_ROOMS = {  # as imported above, for type checkers
    "wwopt.analysis": ["Analysis"],
    "wwopt.comparison": ["Comparison", "Thresholds", "compare"],
    "wwopt.consensus": ["agreement"],
    "wwopt.engine.analyze": ["analyze"],
    "wwopt.engine.inspect": ["Inspection", "inspect"],
    "wwopt.low_rank": ["AdapterAnalysis", "analyze_adapter"],
    "wwopt.ranking": ["Ranking", "rank"],
    "wwopt.score": ["AlignmentScore", "AlphaScore", "ResponseScore", "Score", "default_score"],
    "wwopt.tracking": ["Tracker"],
}


def __getattr__(name: str) -> object:
    """Import a room when one of its names is first looked up, so that ``import wwopt`` stays light."""
    room = next((room for room, names in _ROOMS.items() if name in names), None)
    if room is None:
        raise AttributeError(f"module 'wwopt' has no attribute {name!r}")
    return getattr(import_module(room), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
