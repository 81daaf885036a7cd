"""The study that `wwopt demo` runs."""
