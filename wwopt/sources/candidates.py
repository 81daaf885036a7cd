"""Candidates of a ranking or a report: named sources, one for each network."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wwopt.sources.checkpoints import checkpoints_in
from wwopt.sources.mlflow_store import last_analysis, model_versions, models_of_run
from wwopt.sources.resolve import Kind, Source, resolve

__all__ = ["READ_ERRORS", "Candidate", "expand"]

READ_ERRORS = (ValueError, OSError, ImportError, TypeError, RuntimeError)  # what a source that cannot be read raises


@dataclass(frozen=True)
class Candidate:
    """A network to be ranked or reported on.

    Attributes
    ----------
    name : str
        Unique.
    source : Source or None
        Where it is; None where it cannot be read.
    fault : str
        Why it cannot be read; empty where nothing is known against it.
    """

    name: str
    source: Source | None
    fault: str = ""


def expand(candidates: Mapping[str, object] | Iterable[object]) -> list[Candidate]:
    """List the candidates: each checkpoint of a folder, each version of a registered model, each model of a run.

    Parameters
    ----------
    candidates : mapping of str to source, or iterable of sources
        An iterable's candidates are named by what tells their paths apart.
    """
    if isinstance(candidates, (str, os.PathLike)):
        candidates = [candidates]
    if not isinstance(candidates, Mapping):
        sources = list(candidates)
        candidates = dict(zip(_names(sources), sources, strict=True))
    return [one for name, source in candidates.items() for one in _expand(str(name), source)]


def _expand(name: str, source: object) -> Iterator[Candidate]:
    try:
        found = resolve(source)
    except FileNotFoundError:
        path = str(source)
        where = "" if path.rstrip("/").endswith(name) else f": {path}"
        yield Candidate(name, None, f"no such file or folder{where}")
        return
    except TypeError as error:
        yield Candidate(name, None, str(error))
        return
    try:
        yield from [Candidate(f"{name}{ending}", inner) for ending, inner in _contents(found)]
    except READ_ERRORS as error:
        yield Candidate(name, None, str(error).removeprefix(f"{name} "))


def _contents(source: Source) -> Iterator[tuple[str, Source]]:
    """What a source holds, each with the ending of its name; a source that is one network holds itself."""
    if source.kind is Kind.FOLDER and isinstance(source.value, Path):
        for path in checkpoints_in(source.value):
            yield ("", source) if path == source.value else (f"/{path.name}", resolve(path))
    elif source.kind is Kind.REGISTERED:
        name = source.label.removeprefix("models:/").rstrip("/")
        for number in model_versions(name):
            yield f"/{number}", resolve(f"models:/{name}/{number}")
    elif source.kind is Kind.RUN:
        run = source.label.removeprefix("runs:/").rstrip("/")
        analysis = last_analysis(run)
        if analysis is not None:
            yield f"/{analysis.name}", resolve(analysis)
            return
        yield from ((f"/{model}", resolve(f"models:/{model}")) for model in models_of_run(run))
    else:
        yield "", source


def _names(sources: list[object]) -> list[str]:
    """Name sources by the ends of their paths, as long as it takes to tell them apart."""
    labels = [
        os.fspath(source).rstrip("/") if isinstance(source, (str, os.PathLike)) else f"{type(source).__name__} {place}"
        for place, source in enumerate(sources)
    ]
    ends = [label.rpartition("/")[2] or label for label in labels]
    names = [label if ends.count(end) > 1 else end for label, end in zip(labels, ends, strict=True)]
    return [f"{name} ({names[:i].count(name) + 1})" if name in names[:i] else name for i, name in enumerate(names)]
