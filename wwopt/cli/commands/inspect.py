"""`wwopt inspect`: what a network is made of, before its weights are read."""

import json
from typing import Annotated

import typer

from wwopt.cli.console import examples
from wwopt.cli.exit_codes import DONE
from wwopt.cli.options import JsonOption, ModelArgument, QuietOption

__all__ = ["app"]

app = typer.Typer()

EXAMPLES = examples(
    {
        "inspect model.safetensors": "layers, types, shapes, and what an analysis would leave out",
        "inspect tuned/ --base original/": "which layers have a partner in the base",
    }
)
Patterns = Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="As for [bold]wwopt analyze[/bold].")]


@app.command(epilog=EXAMPLES)
def inspect(
    model: ModelArgument,
    *,
    include: Patterns = None,
    exclude: Patterns = None,
    min_evals: Annotated[int, typer.Option(help="Fewest eigenvalues of a layer that is analysed.")] = 50,
    max_evals: Annotated[int | None, typer.Option(help="Most eigenvalues of a layer that is analysed.")] = None,
    base: Annotated[str | None, typer.Option(metavar="MODEL", help="Match the layers with those of MODEL.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """List the layers of MODEL, what an analysis would leave out and why, and the time and memory it would take.

    Only headers are read, and small tables whose values tell whether they are weights.
    """
    from wwopt.cli.tables.inspection_table import inspection_json, print_inspection  # noqa: PLC0415  (loads pandas)
    from wwopt.engine.inspect import inspect as inspect_network  # noqa: PLC0415

    found = inspect_network(
        model, include=include or None, exclude=exclude or None, min_evals=min_evals, max_evals=max_evals, base=base
    )
    if as_json:
        typer.echo(json.dumps(inspection_json(found), indent=2))
    else:
        print_inspection(found, remarks=not quiet)
    return DONE
