"""Record of a trial: its evaluations, attributes, constraints and weights, and the selection among trials."""
