"""`resolve`: what a source is, decided once for everything that takes one."""

from __future__ import annotations

import os
import re
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from wwopt.analysis import Analysis
from wwopt.sources.checkpoints import is_model
from wwopt.weights import is_module, is_onnx_model, is_remote, open_weights

if TYPE_CHECKING:
    from wwopt.weights import Weights

__all__ = ["Kind", "Source", "resolve", "weights_of"]

RUN = re.compile(r"runs:/[^/]+/?")
REGISTERED = re.compile(r"models:/(?!m-[0-9a-f]{32}/?$)[^/@]+/?")  # a logged model is called m- and 32 digits
ALIAS = re.compile(r"models:/[^/@]+@[^/@]+")
DAMAGED = (OSError, ValueError, LookupError, EOFError, NotImplementedError, struct.error, zipfile.BadZipFile)
SAVED = {"analysis/values.npy", "spectra/lengths.npy"}  # what only a saved analysis holds, the latter of format 1


class Kind(Enum):
    """What a source can be, as an error calls it."""

    MODULE = "a module"
    GRAPH = "a graph of ONNX"
    MAPPING = "a mapping of tensors"
    FILE = "a file of weights"
    MODEL = "a folder with one model"
    FOLDER = "a folder of checkpoints"
    REMOTE = "a model on a hub"
    ALIAS = "an alias of a registered model"
    RUN = "a logged run"
    REGISTERED = "a registered model with all its versions"
    ANALYSIS = "an analysis"
    SAVED = "a saved analysis"
    TABLE = "a table of layers"


ANALYSED = {Kind.ANALYSIS, Kind.SAVED, Kind.TABLE}
INSTEAD = {
    Kind.ANALYSIS: "It has been analysed already",
    Kind.SAVED: "`wwopt.Analysis.load` reads it, `wwopt.rank` ranks it",
    Kind.TABLE: "`wwopt.rank` ranks it",
    Kind.REGISTERED: "Give one version, such as `models:/NAME/1`, or rank all of them with `wwopt.rank`",
}


@dataclass(frozen=True)
class Source:
    """A source, and what it is.

    Attributes
    ----------
    kind : Kind
        What it is.
    value : object
        A `Path` where it is a file or a folder here, the name of what is elsewhere, else the object that was given.
    label : str
        What a message calls it: the path or name as it was given, else its type.
    """

    kind: Kind
    value: object
    label: str

    @property
    def analysed(self) -> bool:
        """Whether it holds numbers of layers instead of weights."""
        return self.kind in ANALYSED


def resolve(source: object) -> Source:
    """Say what a source is; nothing is downloaded, and no weights are read.

    Parameters
    ----------
    source : torch.nn.Module, mapping, onnx.ModelProto, path or str, Analysis, DataFrame
        One that has been resolved is returned as it is.

    Raises
    ------
    TypeError
        It is of none of these types.
    FileNotFoundError
        There is nothing at this path.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _named(os.fspath(source))
    label = type(source).__name__
    if is_module(source) or is_onnx_model(source):
        return Source(Kind.MODULE if is_module(source) else Kind.GRAPH, source, label)
    if isinstance(source, Mapping):
        return Source(Kind.MAPPING, source, label)
    if isinstance(source, Analysis):
        return Source(Kind.ANALYSIS, source, label)
    if isinstance(source, pd.DataFrame):
        return Source(Kind.TABLE, source, label)
    raise TypeError(
        "`source` must be a torch.nn.Module, a mapping of names to tensors, an onnx.ModelProto, or the path or the "
        f"name of a checkpoint, got {label}."
    )


def weights_of(source: object) -> Weights:
    """Describe the weight matrices of a source; nothing large is read yet.

    Raises
    ------
    TypeError
        It is an `Analysis`, a table in memory, or of no type that is a source.
    FileNotFoundError
        There is nothing at this path or under this name.
    ValueError
        It holds no weights, or cannot be read.
    """
    found = resolve(source)
    if found.kind in INSTEAD:
        error = ValueError if isinstance(found.value, (str, Path)) else TypeError
        raise error(f"`source` must hold weights, got {found.kind.value}: {found.label}. {INSTEAD[found.kind]}.")
    return open_weights(found.value)


def _named(name: str) -> Source:
    """What a path or a name stands for."""
    if is_remote(name):
        return Source(_remote_kind(name), name, name)
    path = Path(name)
    if not path.exists():
        raise FileNotFoundError(f"No such file: {name}")
    if path.is_dir():
        return Source(Kind.MODEL if is_model(path) else Kind.FOLDER, path, name)
    if path.suffix.lower() == ".csv":
        return Source(Kind.TABLE, path, name)
    return Source(Kind.SAVED if _is_saved(path) else Kind.FILE, path, name)


def _remote_kind(name: str) -> Kind:
    kinds = {RUN: Kind.RUN, REGISTERED: Kind.REGISTERED, ALIAS: Kind.ALIAS}
    return next((kind for pattern, kind in kinds.items() if pattern.fullmatch(name)), Kind.REMOTE)


def _is_saved(path: Path) -> bool:
    if path.suffix != ".npz":
        return False
    try:
        with zipfile.ZipFile(path) as file:
            return not SAVED.isdisjoint(file.namelist())
    except DAMAGED:  # the reader of weights names the fault
        return False
