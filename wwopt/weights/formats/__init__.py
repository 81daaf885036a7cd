"""Formats: modules, state dicts and files of safetensors, PyTorch and NumPy, each described as named tensors."""
