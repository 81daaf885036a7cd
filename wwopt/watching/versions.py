"""Versions of a network: checkpoints in a folder, or models to which an alias in an MLflow registry has pointed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from wwopt.sources import Kind, resolve
from wwopt.sources.checkpoints import ANALYSIS, is_model
from wwopt.text import by_number, one_line
from wwopt.weights import CHECKPOINT_SUFFIXES

__all__ = ["AliasSource", "FolderSource", "Version", "VersionSource", "open_versions"]

BROKEN = "false"  # MLflow's tags are text


@dataclass(frozen=True)
class Version:
    """A version of a network.

    Attributes
    ----------
    name : str
        Name of the file or folder, or the number in the registry.
    source : str
        Its path or URI.
    state : tuple
        Sizes and times of its files, which change while it is written.
    """

    name: str
    source: str
    state: tuple[object, ...]


class VersionSource(Protocol):
    """A place where versions of a network appear."""

    def versions(self) -> list[Version]:
        """List the versions there are now, the newest last."""
        ...

    def fetch(self, version: Version) -> AbstractContextManager[str]:
        """Provide a version's files on this machine while the context is open."""
        ...


class FolderSource:
    """A folder to which files or folders with a checkpoint each are added, such as a run's or W&B's ``artifacts``."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise NotADirectoryError(
                f"{folder} is no folder. Give the folder in which new models appear: {folder.parent}"
            )
        if is_model(folder):
            raise ValueError(f"{folder} is one model. Give the folder in which new models appear: {folder.parent}")
        self.folder = folder

    def versions(self) -> list[Version]:
        """List the checkpoints in the order in which they were written; epoch-2 stands before epoch-10."""
        found = [(_state(path), path) for path in self.folder.iterdir() if _is_checkpoint(path)]
        ordered = sorted((max(time for _, _, time in state), by_number(path.name), path, state)
                         for state, path in found if state)  # fmt: skip
        return [Version(path.name, str(path), state) for _, _, path, state in ordered]

    def fetch(self, version: Version) -> AbstractContextManager[str]:
        """Return the path, where the files are already."""
        return nullcontext(version.source)


class AliasSource:
    """The versions to which an alias of a registered model has pointed, after the one before the first of them."""

    def __init__(self, uri: str, *, tracking_uri: str | None = None) -> None:
        if resolve(uri).kind is not Kind.ALIAS:
            raise ValueError(f"A registered model is followed by its alias, `models:/NAME@ALIAS`, got {uri!r}.")
        try:
            from mlflow import MlflowClient  # noqa: PLC0415  (an extra)
        except ImportError as error:
            raise ImportError(f"{uri} needs MLflow. Run `pip install 'wwopt[mlflow]'`.") from error
        self.name, _, self.alias = uri.removeprefix("models:/").partition("@")
        self.uri, self.tracking_uri = uri, tracking_uri
        self._client = MlflowClient(tracking_uri=tracking_uri)
        self._pointed: dict[int, Version] = {}

    def versions(self) -> list[Version]:
        """List the versions that the alias has pointed to, the one that it points to now last."""
        with _reached(self.uri):
            number = int(self._client.get_model_version_by_alias(self.name, self.alias).version)
            if not self._pointed and (before := self._before(number)):
                self._pointed[before] = self._version(before)
        current = self._version(number)
        self._pointed.pop(number, None)
        self._pointed[number] = current
        return list(self._pointed.values())

    @contextmanager
    def fetch(self, version: Version) -> Iterator[str]:
        """Download a version's files, and remove them afterwards."""
        from mlflow.artifacts import download_artifacts  # noqa: PLC0415

        with TemporaryDirectory(prefix="wwopt-") as folder:
            with _reached(version.source):
                path = download_artifacts(
                    artifact_uri=version.source,
                    dst_path=folder,
                    tracking_uri=self.tracking_uri,
                    registry_uri=self.tracking_uri,
                )
            yield path

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Tag a version in the registry."""
        with _reached(version.source):
            for key, value in tags.items():
                self._client.set_model_version_tag(self.name, version.name, key, value)

    def _before(self, number: int) -> int | None:
        """Number of the last earlier version that was not found broken."""
        versions = self._client.search_model_versions(f"name = '{self.name}'")
        older = [int(one.version) for one in versions if one.tags.get("wwopt.ok") != BROKEN]
        return max((one for one in older if one < number), default=None)

    def _version(self, number: int) -> Version:
        return Version(str(number), f"models:/{self.name}/{number}", (number,))


def open_versions(place: str, *, tracking_uri: str | None = None) -> FolderSource | AliasSource:
    """Open the place that is to be watched.

    Parameters
    ----------
    place : str
        A folder, or ``models:/NAME@ALIAS``.
    tracking_uri : str, optional
        MLflow's, else the one that MLflow is set to.

    Raises
    ------
    FileNotFoundError, ValueError, ImportError
        There is no such folder, it is one model, the name has no alias, or MLflow is not installed.
    """
    found = resolve(place)
    if isinstance(found.value, Path):
        return FolderSource(found.value)
    return AliasSource(found.label, tracking_uri=tracking_uri)


@contextmanager
def _reached(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # backends raise anything
        raise FileNotFoundError(f"{name} cannot be reached: {one_line(error)}") from error


def _is_checkpoint(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return is_model(path) or any(inside.suffix in CHECKPOINT_SUFFIXES for inside in path.iterdir())
    return path.suffix in CHECKPOINT_SUFFIXES and path.name != ANALYSIS


def _state(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of a checkpoint's files; nothing where it has just gone."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    try:
        facts = [(file, file.stat()) for file in files]
    except FileNotFoundError:
        return ()
    return tuple((str(file.relative_to(path)), fact.st_size, fact.st_mtime_ns) for file, fact in facts)
