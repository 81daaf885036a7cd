"""The study of `wwopt demo`."""
