"""Arguments and options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from wwopt.comparison import Thresholds

__all__ = [
    "JOURNAL",
    "AnalyzeOptions",
    "CompareOptions",
    "JournalArgument",
    "JsonOption",
    "LayerOptions",
    "ModelArgument",
    "ModelsArgument",
    "QuietOption",
    "RankOptions",
    "UriOption",
    "read_thresholds",
]

SOURCES = (
    "a file (.safetensors, .pt, .gguf, .onnx, ...), a folder, hf://ORG/NAME, models:/NAME/VERSION or runs:/ID/PATH"
)
PANEL = "Analysis"  # heading of these options on a help page

ModelArgument = Annotated[str, typer.Argument(help=f"Weights: {SOURCES}.", metavar="MODEL")]
ModelsArgument = Annotated[list[str], typer.Argument(help=f"Weights, each {SOURCES}.", metavar="MODEL...")]
JOURNAL = Path("wwopt-journal")  # where trackers keep journals unless told otherwise
JournalArgument = Annotated[Path, typer.Argument(help="A folder of journals, or one journal.", metavar="JOURNAL")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result only: no progress, no remarks.")]
UriOption = Annotated[str | None, typer.Option(help="MLflow's tracking URI. Default: as MLflow is configured.")]


def _option(text: str, *names: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=text, metavar=metavar, rich_help_panel=PANEL)


@dataclass(frozen=True, kw_only=True)
class LayerOptions:
    """Which layers are analysed, and where."""

    include: Annotated[
        list[str] | None,
        _option("Only layers whose name matches, such as 'layers.*.mlp.*'; repeatable.", metavar="PATTERN"),
    ] = None
    exclude: Annotated[
        list[str] | None, _option("Leave out layers whose name matches; repeatable.", metavar="PATTERN")
    ] = None
    min_evals: Annotated[int, _option("Leave out layers with fewer eigenvalues.")] = 50
    device: Annotated[str, _option("Where to compute: auto, cpu, cuda, cuda:1, ...")] = "auto"
    cache: Annotated[Path | None, _option("Folder for results: weights that have not changed are read once.")] = None

    def arguments(self, *, progress: bool = True) -> dict[str, Any]:
        """Keyword arguments of the function that the command calls; ``progress`` shows a bar on a terminal."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        patterns = {"include": self.include or None, "exclude": self.exclude or None}
        return values | patterns | {"progress": None if progress else False}


@dataclass(frozen=True, kw_only=True)
class CompareOptions(LayerOptions):
    """Options of `wwopt.compare`."""

    threshold: Annotated[
        list[str] | None, _option("When a change is an alert, such as 'distance=0.5'.", metavar="NAME=NUMBER")
    ] = None

    def arguments(self, *, progress: bool = True) -> dict[str, Any]:
        """Keyword arguments of `wwopt.compare`."""
        values = super().arguments(progress=progress)
        return values | {"thresholds": read_thresholds(values.pop("threshold") or [])}


@dataclass(frozen=True, kw_only=True)
class RankOptions(LayerOptions):
    """Options of `wwopt.rank`."""

    max_evals: Annotated[int | None, _option("Leave out layers with more eigenvalues.")] = None
    estimator: Annotated[
        Literal["mle", "hill", "peak", "tpl"],
        _option("How alpha is estimated; values of different estimators are not comparable."),
    ] = "mle"
    base: Annotated[str | None, _option("Analyse the difference to these weights.", metavar="MODEL")] = None


@dataclass(frozen=True, kw_only=True)
class AnalyzeOptions(RankOptions):
    """Options of `wwopt.analyze`."""

    confidence: Annotated[float | None, _option("Add an interval of this confidence to each alpha, such as .95.")] = (
        None
    )
    alignment: Annotated[
        bool, _option("Also measure how neighbouring layers fit, and score by that.", "--alignment")
    ] = False
    precision: Annotated[
        Literal["double", "single"],
        _option("Arithmetic; 'single' takes half the time and changes alpha by about 1e-4 of its value."),
    ] = "double"


def read_thresholds(settings: list[str]) -> Thresholds:
    """Read thresholds from ``NAME=NUMBER``.

    Raises
    ------
    ValueError
        A setting does not read so, its name is unknown or its number out of range.
    """
    from wwopt.comparison import Thresholds  # noqa: PLC0415  (loads pandas)

    known = [field.name for field in fields(Thresholds)]
    values: dict[str, float] = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        try:
            values[name] = float(text)
        except ValueError as error:
            raise ValueError(f"`--threshold` must read NAME=NUMBER, got {setting!r}.") from error
        if name not in known:
            raise ValueError(f"`--threshold` must be one of {', '.join(known)}, got {name!r}.")
    return Thresholds(**values)
