"""Low-rank adapters, judged as adapters: what they change, how much of their rank they use, how they merge."""

from wwopt.low_rank.adapter import AdapterAnalysis, analyze_adapter

__all__ = ["AdapterAnalysis", "analyze_adapter"]
