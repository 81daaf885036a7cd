"""`wwopt analyze`: metrics of each layer of one network."""

import json
from pathlib import Path
from typing import Annotated

import typer

from wwopt.cli.console import examples
from wwopt.cli.exit_codes import DONE, FINDING
from wwopt.cli.option_groups import unpack_groups
from wwopt.cli.options import AnalyzeOptions, JsonOption, ModelArgument, QuietOption

__all__ = ["app"]

app = typer.Typer()

EXAMPLES = examples(
    {
        "analyze model.safetensors": "a table of the layers",
        "analyze hf://org/name --include 'encoder.*'": "some layers of a model on the Hugging Face hub",
        "analyze tuned/ --base original/ --json": "what fine-tuning changed, as JSON",
    }
)


@app.command(epilog=EXAMPLES)
@unpack_groups
def analyze(
    model: ModelArgument,
    *,
    out: Annotated[Path | None, typer.Option(help="Also save the analysis, with its spectra (.npz).")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    options: AnalyzeOptions,
) -> int:
    """Print alpha and the other metrics of each layer of MODEL.

    Exit status 1 if a layer or another tensor is broken: not finite, all zero, of rank one, collapsed or diverged.
    """
    from wwopt.cli.tables.layer_table import analysis_json, print_analysis  # noqa: PLC0415  (loads torch)
    from wwopt.engine.load_or_analyze import load_or_analyze  # noqa: PLC0415

    analysis = load_or_analyze(model, options.arguments(progress=not quiet))
    if out is not None:
        analysis.save(out)
    if as_json:
        typer.echo(json.dumps(analysis_json(analysis), indent=2))
    else:
        print_analysis(analysis, remarks=not quiet)
    return FINDING if analysis.broken else DONE
