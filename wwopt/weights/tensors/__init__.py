"""Tensors: `NamedTensor`, element types, and picklable callables that read the values."""
