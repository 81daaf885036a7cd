"""What can be ranked: weights, folders of checkpoints, saved or logged analyses, tables, registered models."""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from wwopt.analysis import Analysis
from wwopt.engine.analyze import analyze
from wwopt.sources.weightwatcher import read_details
from wwopt.text import by_number
from wwopt.weights import CHECKPOINT_SUFFIXES, MODEL_FILES, WEIGHT_FILES

if TYPE_CHECKING:
    from wwopt.weights import Weights

__all__ = ["Candidate", "expand", "fingerprint", "inspect", "read"]

CHECKPOINTS = (*CHECKPOINT_SUFFIXES, ".csv")
ANALYSIS = "analysis.npz"  # what the trackers log, with a table beside it
SAVED = {"analysis/values.npy", "spectra/lengths.npy"}  # what only a saved analysis holds, the latter of format 1
RUN = re.compile(r"runs:/(?P<run>[^/]+)/?$")
REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)/?$")
FAULTS = (ValueError, OSError, ImportError, TypeError, RuntimeError)


@dataclass(frozen=True)
class Candidate:
    """A network that stands for choice.

    Attributes
    ----------
    name : str
        Unique.
    source : object
        What `wwopt.analyze` reads, an `Analysis`, or the path of a saved one or of a table.
    fault : str
        Why it cannot be read; empty where nothing is known against it.
    """

    name: str
    source: object
    fault: str = ""


def expand(candidates: Mapping[str, object] | Iterable[object]) -> list[Candidate]:
    """List the candidates, a folder of checkpoints and a registered model as many as they hold.

    Parameters
    ----------
    candidates : mapping of str to source, or iterable of paths and names
        An iterable's candidates are named by what tells them apart.
    """
    if isinstance(candidates, (str, os.PathLike)):
        candidates = [candidates]
    if not isinstance(candidates, Mapping):
        sources = list(candidates)
        candidates = dict(zip(_names(sources), sources, strict=True))
    return [one for name, source in candidates.items() for one in _expand(str(name), source)]


def read(source: object, options: Mapping[str, Any]) -> Analysis:
    """Analyse weights, or load what somebody has analysed."""
    if isinstance(source, Analysis):
        return source
    if isinstance(source, pd.DataFrame):
        return read_details(source)
    path = _path(source)
    if path is not None and path.suffix.lower() == ".csv":
        return read_details(path)
    if path is not None and _is_saved(path):
        return Analysis.load(path)
    return analyze(source, **options)


def inspect(source: object) -> Weights | None:
    """Describe the weights without reading them; None where there is only an analysis."""
    from wwopt.weights import open_weights  # noqa: PLC0415  (as in the pipeline)

    path = _path(source)
    analysed = path is not None and (path.suffix.lower() == ".csv" or _is_saved(path))
    return None if isinstance(source, (Analysis, pd.DataFrame)) or analysed else open_weights(source)


def fingerprint(analysis: Analysis) -> str:
    """Return the same for networks whose layers have the same shapes and spectra."""
    columns = ["N", "M", "alpha", "norm", "spectral_norm", "log_norm"]
    return hashlib.sha256(analysis.details[columns].to_numpy(dtype=float).tobytes()).hexdigest()


def _expand(name: str, source: object) -> Iterator[Candidate]:
    try:
        inner = dict(_inner(source))
    except FAULTS as error:
        yield Candidate(name, source, str(error))
        return
    if not inner:
        yield Candidate(name, source)
    for end, one in inner.items():
        yield Candidate(f"{name}/{end}", one)


def _inner(source: object) -> Iterator[tuple[str, object]]:
    """What a source holds, where it is several; nothing where it is one."""
    path = _path(source)
    if path is not None and path.is_dir():
        yield from _checkpoints(path)
    elif isinstance(source, str) and (match := REGISTERED.match(source)):
        yield from _versions(match["name"])
    elif isinstance(source, str) and (match := RUN.match(source)):
        yield from _logged(match["run"])


def _checkpoints(folder: Path) -> Iterator[tuple[str, object]]:
    """The files of a run's epochs, or folders with a model each, as trainers leave them."""
    if any((folder / name).is_file() for name in (*MODEL_FILES, *WEIGHT_FILES)):
        return
    if (folder / ANALYSIS).is_file():
        yield ANALYSIS, folder / ANALYSIS
        return
    entries = sorted(folder.iterdir(), key=lambda path: by_number(path.name))
    files = [path for path in entries if path.is_file() and path.suffix in CHECKPOINTS]
    folders = [path for path in entries if path.is_dir() and any((path / name).is_file() for name in MODEL_FILES)]
    if not files and not folders:
        raise ValueError(f"{folder} holds no checkpoint, and no folder that does.")
    sharded = any(re.search(r"-of-\d+\.\w+$", path.name) for path in files) or any(folder.glob("*.index.json"))
    if len(files) + len(folders) > 1 and not sharded:
        yield from ((path.name, path) for path in (*files, *folders))


def _versions(name: str) -> Iterator[tuple[str, object]]:
    """All versions of a registered model."""
    mlflow = _mlflow(f"models:/{name}")
    versions = mlflow.MlflowClient().search_model_versions(f"name = '{name}'")
    if not versions:
        raise FileNotFoundError(f"No registered model is called {name!r} at {mlflow.get_tracking_uri()}.")
    for version in sorted(versions, key=lambda version: int(version.version)):
        yield str(version.version), f"models:/{name}/{version.version}"


def _logged(run: str) -> Iterator[tuple[str, object]]:
    """The last analysis that a tracker has logged in a run, else the models of the run."""
    mlflow = _mlflow(f"runs:/{run}")
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    client = mlflow.MlflowClient()
    try:
        steps = [entry.path for entry in client.list_artifacts(run, "ww") if entry.is_dir]
        if steps:
            file = f"runs:/{run}/{max(steps)}/{ANALYSIS}"
            yield ANALYSIS, Path(mlflow.artifacts.download_artifacts(artifact_uri=file))
            return
        outputs = client.get_run(run).outputs
        models = [output.model_id for output in outputs.model_outputs] if outputs else []
    except (MlflowException, OSError) as error:
        raise FileNotFoundError(f"The run {run} cannot be read: {error}") from error
    if not models:
        raise ValueError(f"The run {run} has logged neither an analysis nor a model.")
    yield from ((model, f"models:/{model}") for model in models)


def _mlflow(name: str) -> Any:
    try:
        import mlflow  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise ImportError(f"{name} needs MLflow. Run `pip install 'wwopt[mlflow]'`.") from error
    return mlflow


def _path(source: object) -> Path | None:
    if not isinstance(source, (str, os.PathLike)):
        return None
    text = os.fspath(source)
    return None if re.match(r"[\w-]+:/", text) else Path(text)


def _is_saved(path: Path) -> bool:
    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as file:
        return not SAVED.isdisjoint(file.namelist())


def _names(sources: list[object]) -> list[str]:
    """Name sources by the ends of their paths, as long as it takes to tell them apart."""
    labels = [
        os.fspath(source).rstrip("/") if isinstance(source, (str, os.PathLike)) else f"{type(source).__name__} {place}"
        for place, source in enumerate(sources)
    ]
    ends = [label.rpartition("/")[2] or label for label in labels]
    names = [label if ends.count(end) > 1 else end for label, end in zip(labels, ends, strict=True)]
    return [f"{name} ({names[:i].count(name) + 1})" if name in names[:i] else name for i, name in enumerate(names)]
