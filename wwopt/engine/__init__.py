"""From a source to an `Analysis`: settings, cache, the work on each layer, and who does it."""
