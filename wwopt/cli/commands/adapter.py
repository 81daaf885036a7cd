"""`wwopt adapter`: what a low-rank adapter changes, and whether it was merged well."""

import json
from typing import Annotated

import typer

from wwopt.cli.console import examples
from wwopt.cli.exit_codes import DONE, FINDING
from wwopt.cli.options import JsonOption, QuietOption

__all__ = ["app"]

app = typer.Typer()

EXAMPLES = examples(
    {
        "adapter lora/": "how much of its rank each layer uses, and the rank that would do",
        "adapter lora/ --base model/": "also which directions are new to the model, and what rounding would take",
        "adapter lora/ --other lora-2/": "how far two adapters change the same",
        "adapter lora/ --base model/ --merged merged/": "check a merge, layer by layer",
    }
)


@app.command(epilog=EXAMPLES)
def adapter(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="A folder with adapter_config.json.")],
    *,
    base: Annotated[str | None, typer.Option(metavar="MODEL", help="The model that it was trained on.")] = None,
    other: Annotated[str | None, typer.Option(metavar="ADAPTER", help="Another adapter of the same model.")] = None,
    merged: Annotated[str | None, typer.Option(metavar="MODEL", help="What a merge gave; needs --base.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Print what ADAPTER changes in each layer: the rank that it uses, new directions, overlap, the merge.

    Exit status 1 if it learned nothing, is not finite, or was not merged as it should be.
    """
    from wwopt.cli.tables.adapter_table import adapter_json, print_adapter  # noqa: PLC0415  (loads pandas)
    from wwopt.low_rank import analyze_adapter  # noqa: PLC0415

    found = analyze_adapter(adapter, base=base, other=other, merged=merged)
    if as_json:
        typer.echo(json.dumps(adapter_json(found), indent=2))
    else:
        print_adapter(found, remarks=not quiet)
    return DONE if found.ok else FINDING
