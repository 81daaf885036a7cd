"""Checkpoints in folders: which folder is one model, and which holds several."""

from __future__ import annotations

import re
from pathlib import Path

from wwopt.text import by_number
from wwopt.weights import (
    CHECKPOINT_SUFFIXES,
    MODEL_FILES,
    WEIGHT_FILES,
    is_cached,
    refuse_foreign_content,
    refuse_foreign_folder,
)

__all__ = ["ANALYSIS", "checkpoints_in", "is_model"]

ANALYSIS = "analysis.npz"  # what the trackers log, with a table beside it
SHARD = re.compile(r".*-of-\d+\.\w+")


def is_model(folder: Path) -> bool:
    """Whether a folder is one model, whatever else lies in it."""
    return any((folder / name).is_file() for name in (*MODEL_FILES, *WEIGHT_FILES)) or is_cached(folder)


def checkpoints_in(folder: Path) -> list[Path]:
    """List what a run has left in a folder, in the order of its epochs: files, then folders with a model each.

    Raises
    ------
    ValueError
        There is none, or the folder is one checkpoint of a kind that is not read.
    """
    if (folder / ANALYSIS).is_file():
        return [folder / ANALYSIS]
    refuse_foreign_folder(folder)
    entries = sorted(folder.iterdir(), key=lambda path: by_number(path.name))
    files = [path for path in entries if path.is_file() and path.suffix in (*CHECKPOINT_SUFFIXES, ".csv")]
    folders = [path for path in entries if path.is_dir() and _is_marked(path)]
    if not files and not folders:
        refuse_foreign_content(folder, entries)
        raise ValueError(f"{folder} holds no checkpoint, and no folder that does")
    if any(SHARD.fullmatch(path.name) for path in files) or any(folder.glob("*.index.json")):
        return [folder]
    return [*files, *folders] if len(files) + len(folders) > 1 else [folder]


def _is_marked(folder: Path) -> bool:
    return any((folder / name).is_file() for name in MODEL_FILES) or is_cached(folder)
