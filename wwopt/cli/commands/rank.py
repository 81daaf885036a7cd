"""`wwopt rank`: several networks, the best first."""

import json
from typing import Annotated

import typer

from wwopt.cli.console import examples, warn
from wwopt.cli.exit_codes import BAD_INPUT, DONE, FINDING
from wwopt.cli.option_groups import unpack_groups
from wwopt.cli.options import JsonOption, QuietOption, RankOptions

__all__ = ["app"]

app = typer.Typer()

MORE = "a folder of checkpoints, a saved analysis, a CSV of WeightWatcher's details, runs:/ID or models:/NAME"
EXAMPLES = examples(
    {
        "rank narrow.pt wide.pt wider.pt": "one task, several widths: by the score",
        "rank run/checkpoints": "the epochs of a training: by the score",
        "rank a/ b/ c/ --base original/": "by what fine-tuning changed",
        "rank models:/digits --csv > ranking.csv": "all versions of a registered model, for a spreadsheet",
    }
)


@app.command(epilog=EXAMPLES)
@unpack_groups
def rank(
    models: Annotated[
        list[str],
        typer.Argument(help=f"Weights as for [bold]wwopt analyze[/bold], {MORE}.", metavar="MODEL..."),
    ],
    *,
    metric: Annotated[
        str, typer.Option(help="'score', a column of the analysis, or 'auto': whichever fits these networks.")
    ] = "auto",
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the whole table as CSV.")] = False,
    quiet: QuietOption = False,
    options: RankOptions,
) -> int:
    """Rank MODEL... by their weights alone, the best first, and tell which ones tie with it.

    Exit status 1 if even the best is broken; 2 if a model cannot be read, is given twice or has no layer in common
    with the others. The rest is ranked all the same.
    """
    from wwopt.cli.tables.ranking_table import print_ranking, ranking_json  # noqa: PLC0415  (loads pandas)
    from wwopt.ranking import rank as rank_networks  # noqa: PLC0415

    ranking = rank_networks(models, metric=metric, **options.arguments(progress=not quiet))
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
