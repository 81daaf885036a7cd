"""From `tracker.log` to the journal, in the training process."""
