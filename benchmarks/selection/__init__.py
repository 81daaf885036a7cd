"""Evidence for choosing networks by their weights: train, evaluate, prune."""
