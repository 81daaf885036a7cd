"""Suffixes of the files that hold weights: in a folder, and on a hub."""

__all__ = ["CHECKPOINT_SUFFIXES", "HUB_SUFFIXES"]

CHECKPOINT_SUFFIXES = (
    ".safetensors",
    ".pt",
    ".pth",
    ".th",
    ".bin",
    ".ckpt",
    ".pt2",
    ".npz",
    ".gguf",
    ".onnx",
    ".keras",
    ".h5",
    ".hdf5",
)
HUB_SUFFIXES = (
    (".safetensors",),
    (".bin", ".pt", ".pth"),
    (".keras", ".h5"),
)  # downloaded with their JSON, the first that are there
