"""Arguments that several commands share, and what they have in common otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "Alignment",
    "AsJson",
    "Base",
    "Cache",
    "Confidence",
    "Device",
    "Estimator",
    "Exclude",
    "Include",
    "MaxEvals",
    "MinEvals",
    "Model",
    "Models",
    "Precision",
    "Quiet",
    "examples",
    "need",
]

SOURCES = "a file (.safetensors, .pt, .npz, ...), a folder, hf://ORG/NAME, models:/NAME/VERSION or runs:/ID/PATH"

Model = Annotated[str, typer.Argument(help=f"Weights: {SOURCES}.", show_default=False, metavar="MODEL")]
Models = Annotated[list[str], typer.Argument(help=f"Weights, each {SOURCES}.", show_default=False, metavar="MODEL")]
Base = Annotated[str | None, typer.Option(help="Look at the difference to these weights instead.", show_default=False)]
Include = Annotated[
    list[str] | None, typer.Option(help="Only layers whose name matches, such as 'layers.*.mlp.*'.", show_default=False)
]
Exclude = Annotated[list[str] | None, typer.Option(help="Leave out layers whose name matches.", show_default=False)]
MinEvals = Annotated[int, typer.Option(help="Fewest eigenvalues of a layer; smaller ones are left out.")]
MaxEvals = Annotated[
    int | None, typer.Option(help="Most eigenvalues of a layer; larger ones are left out.", show_default=False)
]
Estimator = Annotated[
    Literal["mle", "hill", "peak", "tpl"],
    typer.Option(help="How alpha is estimated; each way has its own range of trained layers."),
]
Precision = Annotated[
    Literal["double", "single"], typer.Option(help="Arithmetic; single takes half the time and moves alpha by 1e-4.")
]
Confidence = Annotated[
    float | None,
    typer.Option(help="Also give each alpha an interval of this confidence, such as .95.", show_default=False),
]
Alignment = Annotated[
    bool, typer.Option("--alignment", help="Also measure whether neighbouring layers fit, and score by that.")
]
Device = Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda, cuda:1, ...")]
Cache = Annotated[
    Path | None,
    typer.Option(help="Folder that keeps results, so that the same weights are read once.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result only: no progress, no remarks.")]


def examples(commands: Mapping[str, str]) -> str:
    """Lay out examples for the foot of a help page, each a command line and what it does."""
    lines = [f"[bold]wwopt {command}[/bold]  [dim]# {purpose}[/dim]" for command, purpose in commands.items()]
    return "\n\n".join(["Examples:", *lines])


def need(command: str, *packages: str) -> None:
    """Stop before any work where a package of the command's extra is missing.

    Raises
    ------
    ImportError
        Naming the packages and the extra.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        extra = "wandb" if missing == ["wandb"] else command
        raise ImportError(f"`wwopt {command}` needs {', '.join(missing)}. Run `pip install 'wwopt[{extra}]'`.")
