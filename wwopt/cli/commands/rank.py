"""`wwopt rank`: several networks, the best first."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from wwopt.cli.console import examples, warn
from wwopt.cli.exit_codes import BAD_INPUT, DONE, FINDING
from wwopt.cli.option_groups import unpack_groups
from wwopt.cli.options import JsonOption, QuietOption, RankOptions

__all__ = ["app"]

app = typer.Typer()

ASKED = "programs of torch.export (.pt2) and folders of Hugging Face's"
MORE = "a folder of checkpoints, a saved analysis, a CSV of WeightWatcher's details, runs:/ID or models:/NAME"
EXAMPLES = examples(
    {
        "rank narrow.pt wide.pt wider.pt": "one task, several widths: by the score",
        "rank run/checkpoints": "the epochs of a training: by the score",
        "rank a/ b/ c/ --base original/": "by what fine-tuning changed",
        "rank a.pt2 b.pt2 c.pt2 --inputs x.npy --losses losses.json": "by what they answer to the same inputs",
        "rank *.safetensors --answers answers.npz": "the same, with answers that were collected elsewhere",
        "rank models:/digits --csv > ranking.csv": "all versions of a registered model, for a spreadsheet",
    }
)


def _evidence(text: str, metavar: str | None = None) -> Any:
    return typer.Option(help=text, metavar=metavar, rich_help_panel="Evidence beside the weights")


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
    inputs: Annotated[
        Path | None,
        _evidence(f"Unlabelled inputs for {ASKED}: an .npy or .npz file. Those of the training will do.", "FILE"),
    ] = None,
    answers: Annotated[
        Path | None,
        _evidence("Their answers to the same inputs, class numbers or outputs: an .npz file with their names.", "FILE"),
    ] = None,
    losses: Annotated[
        Path | None, _evidence("Training losses: names and numbers, as JSON or CSV with a heading.", "FILE")
    ] = None,
    kind: Annotated[
        Literal["auto", "classes", "values"], _evidence("What the outputs are; 'auto': one is a value.")
    ] = "auto",
    with_labels: Annotated[
        bool,
        _evidence("Count how often the vote contradicts an array 'labels' in the file of inputs."),
    ] = False,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the whole table as CSV.")] = False,
    quiet: QuietOption = False,
    options: RankOptions,
) -> int:
    """Rank MODEL... by their weights alone, or by what they answer to the same inputs; the best first.

    Exit status 1 if even the best is broken; 2 if a model cannot be read, is given twice or has no layer in common
    with the others. The rest is ranked all the same.
    """
    from wwopt.cli.evidence_files import read_arrays, read_inputs_file, read_losses  # noqa: PLC0415  (loads NumPy)
    from wwopt.cli.tables.ranking_table import print_ranking, ranking_json  # noqa: PLC0415  (loads pandas)
    from wwopt.ranking import rank as rank_networks  # noqa: PLC0415

    ranking = rank_networks(
        models,
        metric=metric,
        inputs=None if inputs is None else read_inputs_file(inputs),
        answers=None if answers is None else read_arrays(answers),
        losses=None if losses is None else read_losses(losses),
        kind=kind,
        with_labels=with_labels,
        **options.arguments(progress=not quiet),
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
