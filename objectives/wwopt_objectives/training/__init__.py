"""Training of a network: when to evaluate it, quick checks, per-layer diagnostics, freezing, several processes."""
