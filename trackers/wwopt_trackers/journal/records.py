"""Records of a journal and of its delivery log: runs, entries, artifacts, deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["STUDY", "Artifact", "Delivery", "Entry", "Run"]

STUDY = "wwopt.study"  # tag of a study's run: a resumed study finds its run by it


@dataclass(frozen=True)
class Run:
    """A study or one of its trials; times are in milliseconds since 1970, ``state`` is None while it runs."""

    id: str
    parent: str | None
    name: str
    params: Mapping[str, Any]
    tags: Mapping[str, str]
    start: int
    state: str | None
    reason: str
    stop: int | None


@dataclass(frozen=True)
class Entry:
    """The numbers of one step of a run; ``spectra`` says that an artifact belongs to it."""

    id: int
    run: str
    step: int
    time: int
    metrics: Mapping[str, float]
    spectra: bool


@dataclass(frozen=True)
class Artifact:
    """The folder with the spectra of an entry; ``fault`` says why there is none."""

    id: int
    entry: int
    run: str
    step: int
    folder: str
    fault: str


@dataclass(frozen=True)
class Delivery:
    """The delivery of a run: the backend's name of it, the last entry and artifact there, its end and its figures."""

    remote: str | None = None
    entry: int = 0
    artifact: int = 0
    closed: bool = False
    drawn: bool = False
