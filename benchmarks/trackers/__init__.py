"""What tracking costs, and what outages do to it: ``python -m benchmarks.trackers``."""
