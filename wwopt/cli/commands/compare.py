"""`wwopt compare`: broken layers of a network, found by comparing it with a sound one."""

import json
from pathlib import Path
from typing import Annotated

import typer

from wwopt.cli.console import examples
from wwopt.cli.exit_codes import DONE, FINDING
from wwopt.cli.option_groups import unpack_groups
from wwopt.cli.options import CompareOptions, JsonOption, QuietOption

__all__ = ["app"]

app = typer.Typer()

EXAMPLES = examples(
    {
        "compare model.safetensors quantized.safetensors": "a line per layer, and which are broken",
        "compare good.pt new.pt --junit wwopt.xml --quiet": "for CI",
        "compare good.pt new.pt --threshold distance=0.5": "with a stricter threshold",
    }
)


@app.command(epilog=EXAMPLES)
@unpack_groups
def compare(
    reference: Annotated[str, typer.Argument(help="Weights known to be good.", metavar="REFERENCE")],
    candidate: Annotated[str, typer.Argument(help="What became of them.", metavar="CANDIDATE")],
    *,
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML, for CI.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    options: CompareOptions,
) -> int:
    """Compare CANDIDATE with REFERENCE layer by layer; name the broken layers and the probable cause.

    Exit status 1 if a layer is broken.
    """
    from wwopt.cli.tables.comparison_table import print_comparison  # noqa: PLC0415  (loads pandas)
    from wwopt.comparison import compare as compare_networks  # noqa: PLC0415
    from wwopt.comparison import comparison_json, comparison_junit  # noqa: PLC0415

    if Path(reference).exists() and Path(candidate).exists() and Path(reference).samefile(candidate):
        raise ValueError(f"The reference and the candidate are one file: {reference}")
    comparison = compare_networks(reference, candidate, **options.arguments(progress=not quiet))
    if junit is not None:
        junit.write_text(comparison_junit(comparison, suite=candidate), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(comparison_json(comparison), indent=2))
    else:
        print_comparison(comparison, everything=not quiet)
    return DONE if comparison.ok else FINDING
