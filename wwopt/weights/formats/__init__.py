"""Files with tensors: safetensors, PyTorch, NumPy."""
