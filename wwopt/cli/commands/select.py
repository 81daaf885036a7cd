"""`wwopt select`: the best of past runs, chosen from what trackers logged."""

import json
from typing import Annotated, Literal

import typer

from wwopt.cli.backend_errors import backend_calls
from wwopt.cli.console import examples
from wwopt.cli.exit_codes import DONE, FINDING
from wwopt.cli.options import JsonOption, QuietOption, UriOption

__all__ = ["app"]

app = typer.Typer()

EXAMPLES = examples(
    {
        "select --mlflow digits": "rank the runs of an MLflow experiment",
        "select --wandb wandb/ --study digits": "the runs of one study in W&B's offline files",
        "select --journal wwopt-journal --refit --json": "with alpha fitted again, as JSON",
    }
)


@app.command(epilog=EXAMPLES)
def select(
    *,
    mlflow: Annotated[str | None, typer.Option(help="An MLflow experiment.", metavar="EXPERIMENT")] = None,
    wandb: Annotated[
        str | None, typer.Option(help="A folder with offline runs of W&B, or ENTITY/PROJECT.", metavar="PATH")
    ] = None,
    journal: Annotated[str | None, typer.Option(help="A folder of journals, or one journal.", metavar="PATH")] = None,
    uri: UriOption = None,
    study: Annotated[str | None, typer.Option(help="Only the runs of this study.")] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also rank runs that were pruned, failed or are still running.")
    ] = False,
    refit: Annotated[bool, typer.Option("--refit", help="Fit alpha again from the stored spectra.")] = False,
    estimator: Annotated[
        Literal["mle", "hill", "peak", "tpl"] | None, typer.Option(help="Fit alpha again with this estimator.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of runs to print.")] = 10,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Choose among past runs by the spectra that they logged; their weights are not needed.

    Exit status 1 if even the best network is broken.
    """
    from wwopt.cli.tables.selection_table import print_selection, selection_json  # noqa: PLC0415  (loads pandas)
    from wwopt_trackers import STATES  # noqa: PLC0415
    from wwopt_trackers import select as select_run  # noqa: PLC0415

    states = STATES if unfinished else ("complete",)
    with backend_calls():
        selection = select_run(
            journal=journal,
            mlflow=mlflow,
            wandb=wandb,
            uri=uri,
            study=study,
            states=states,
            refit=refit,
            estimator=estimator,
        )
    if as_json:
        typer.echo(json.dumps(selection_json(selection), indent=2))
    else:
        print_selection(selection, top=top, remarks=not quiet)
    return DONE if selection.usable else FINDING
