"""Faults built from real networks, and changes that are none: what `wwopt.compare` finds of both."""
