"""A study as a whole: the score it was begun with, the trial that is chosen, and the weights that are kept."""
