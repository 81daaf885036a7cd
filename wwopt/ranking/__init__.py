"""Choosing among networks by their weights alone."""

from wwopt.ranking.rank import Ranking, rank

__all__ = ["Ranking", "rank"]
