"""`wwopt rank` and `wwopt compare`: which network to take, and what became of it."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wwopt.cli.exit_codes import BAD_INPUT, DONE, FINDING, warn
from wwopt.cli.options import (
    AsJson,
    Base,
    Cache,
    Device,
    Estimator,
    Exclude,
    Include,
    MaxEvals,
    MinEvals,
    Quiet,
    examples,
)

if TYPE_CHECKING:
    from wwopt.comparison import Thresholds

__all__ = ["Threshold", "commands", "read_thresholds"]

commands = typer.Typer()

Threshold = Annotated[
    list[str] | None,
    typer.Option(help="When a change is an alert, such as 'distance=0.5'.", metavar="NAME=NUMBER", show_default=False),
]
MORE = "a folder of checkpoints, a saved analysis, a CSV of WeightWatcher's details, runs:/ID or models:/NAME"

RANK_EXAMPLES = examples(
    {
        "rank resnet18.pt resnet34.pt resnet50.pt": "one family: by alpha_weighted",
        "rank run/checkpoints": "which epoch to keep: by the score",
        "rank a/ b/ c/ --base original/": "what fine-tuning added, compared",
        "rank models:/digits --csv > ranking.csv": "all versions of a registered model, for a spreadsheet",
    }
)
COMPARE_EXAMPLES = examples(
    {
        "compare model.safetensors quantized.safetensors": "a line a layer, and what is broken",
        "compare good.pt new.pt --junit wwopt.xml --quiet": "for CI",
        "compare good.pt new.pt --threshold distance=0.5": "stricter",
    }
)


@commands.command(epilog=RANK_EXAMPLES)
def rank(
    models: Annotated[
        list[str],
        typer.Argument(
            help=f"Weights as for [bold]wwopt analyze[/bold], {MORE}.", show_default=False, metavar="MODEL..."
        ),
    ],
    *,
    metric: Annotated[
        str, typer.Option(help="'auto' chooses by what is compared; else 'score' or a column of the details.")
    ] = "auto",
    base: Base = None,
    include: Include = None,
    exclude: Exclude = None,
    estimator: Estimator = "mle",
    min_evals: MinEvals = 50,
    max_evals: MaxEvals = None,
    device: Device = "auto",
    cache: Cache = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the whole table as CSV.")] = False,
    quiet: Quiet = False,
) -> int:
    """Rank MODEL... by their weights alone, the best first, with what speaks for a tie.

    Exit status 1 where even the best is broken, 2 where a model cannot be read, is given twice or has nothing in
    common with the others; the rest is ranked nevertheless.
    """
    from wwopt.cli.tables.choices import print_ranking, ranking_json  # noqa: PLC0415  (loads pandas)
    from wwopt.ranking import rank as rank_networks  # noqa: PLC0415

    ranking = rank_networks(
        models,
        metric=metric,
        base=base,
        include=include or None,
        exclude=exclude or None,
        estimator=estimator,
        min_evals=min_evals,
        max_evals=max_evals,
        device=device,
        cache=cache,
        progress=False if quiet else None,
    )
    if as_json:
        typer.echo(json.dumps(ranking_json(ranking), indent=2))
    elif as_csv:
        typer.echo(ranking.table.to_csv(), nl=False)
    else:
        print_ranking(ranking, remarks=not quiet)
    for fault in ranking.faults:
        warn(fault)
    if ranking.faults:
        return BAD_INPUT
    return FINDING if ranking.table["status"].iloc[0] != "ranked" else DONE


@commands.command(epilog=COMPARE_EXAMPLES)
def compare(
    reference: Annotated[str, typer.Argument(help="Weights that were good.", show_default=False)],
    candidate: Annotated[str, typer.Argument(help="What became of them.", show_default=False)],
    *,
    threshold: Threshold = None,
    include: Include = None,
    exclude: Exclude = None,
    min_evals: MinEvals = 50,
    device: Device = "auto",
    cache: Cache = None,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML, for CI.", show_default=False)] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Compare CANDIDATE with REFERENCE layer by layer and name what is broken, and probably why.

    Exit status 1 where a layer is broken.
    """
    from wwopt.cli.tables.choices import print_comparison  # noqa: PLC0415  (loads pandas)
    from wwopt.comparison import compare as compare_networks  # noqa: PLC0415
    from wwopt.comparison.junit import comparison_json, comparison_junit  # noqa: PLC0415

    if Path(reference).exists() and Path(candidate).exists() and Path(reference).samefile(candidate):
        raise ValueError(f"The reference and the candidate are one file: {reference}")
    comparison = compare_networks(
        reference,
        candidate,
        thresholds=read_thresholds(threshold or []),
        include=include or None,
        exclude=exclude or None,
        min_evals=min_evals,
        device=device,
        cache=cache,
        progress=False if quiet else None,
    )
    if junit is not None:
        junit.write_text(comparison_junit(comparison, suite=candidate), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(comparison_json(comparison), indent=2))
    else:
        print_comparison(comparison, everything=not quiet)
    return DONE if comparison.ok else FINDING


def read_thresholds(settings: list[str]) -> Thresholds:
    """Read NAME=NUMBER."""
    from wwopt.comparison import Thresholds  # noqa: PLC0415  (loads pandas)

    known = [field.name for field in fields(Thresholds)]
    values: dict[str, float] = {}
    for setting in settings:
        name, _, number = setting.partition("=")
        try:
            values[name] = float(number)
        except ValueError as error:
            raise ValueError(f"`--threshold` must read NAME=NUMBER, got {setting!r}.") from error
        if name not in known:
            raise ValueError(f"`--threshold` must be one of {', '.join(known)}, got {name!r}.")
    return Thresholds(**values)
