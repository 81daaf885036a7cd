"""The commands, their arguments and their exit status: 0 done, 1 a finding, 2 bad usage or input."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from wwopt import __version__

__all__ = ["app", "run"]

DONE, FINDING, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="wwopt",
    help="Choose neural networks from their weights alone.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def run(arguments: list[str] | None = None) -> int:
    """Run a command line; every error of usage or input is one line on stderr."""
    try:
        status = app(args=arguments, standalone_mode=False)
    except TyperException as error:
        return _fail(error.format_message() or "a command is missing; `wwopt --help` lists them")
    except (ValueError, OSError, ImportError) as error:
        return _fail(str(error))
    except (typer.Abort, KeyboardInterrupt):
        sys.stderr.write("wwopt: interrupted; what was finished is kept\n")
        return INTERRUPTED
    return status if isinstance(status, int) else DONE


def _fail(message: str) -> int:
    sys.stderr.write(f"wwopt: {' '.join(message.split())}\n")
    return BAD_INPUT


def _version(show: bool) -> None:
    if show:
        typer.echo(f"wwopt {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Choose neural networks from their weights alone."""


@app.command()
def analyze(
    model: Annotated[Path, typer.Argument(help="A .safetensors, .pt, .pth or .th file.", show_default=False)],
    min_evals: Annotated[int, typer.Option(help="Fewest eigenvalues of a layer.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Also save the analysis, with its spectra.", show_default=False)
    ] = None,
) -> int:
    """Print alpha and what follows from it for each layer of MODEL.

    Exit status 1 where a layer is broken: not finite, degenerate, or without a fit.

    Example: wwopt analyze model.safetensors --json
    """
    from wwopt.cli.tables import analysis_json, print_analysis  # noqa: PLC0415  (loads torch)
    from wwopt.pipeline import analyze as analyze_weights  # noqa: PLC0415

    analysis = analyze_weights(model, min_evals=min_evals)
    if out is not None:
        analysis.save(out)
    if as_json:
        typer.echo(json.dumps(analysis_json(analysis), indent=2))
    else:
        print_analysis(analysis)
    return FINDING if (analysis.details["status"] != "success").any() else DONE


def _need(command: str, *packages: str) -> None:
    """Stop before any work where a package of the command's extra is missing."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        extra = "wandb" if missing == ["wandb"] else command
        raise ImportError(f"`wwopt {command}` needs {', '.join(missing)}. Run `pip install 'wwopt[{extra}]'`.")


@app.command()
def demo(
    trials: Annotated[int, typer.Option(min=1, help="Trials in total, those of an earlier run included.")] = 40,
    seed: Annotated[int, typer.Option(help="Seed of the sampler and of the trainings.")] = 0,
    folder: Annotated[Path, typer.Option(help="Where the study, the runs and the pictures go.")] = Path("wwopt-demo"),
    wandb: Annotated[bool, typer.Option("--wandb", help="Also write offline W&B runs.")] = False,
) -> int:
    """Tune a network on real data by its weights alone, then look at the test accuracy it never saw.

    Started again after an interruption, it goes on where it stopped.

    Example: wwopt demo --trials 40 --seed 1
    """
    _need("demo", "matplotlib", "mlflow", "optuna", "sklearn", *(["wandb"] if wandb else []))
    from wwopt.cli.demo import run_demo  # noqa: PLC0415  (loads everything)

    run_demo(folder, n_trials=trials, seed=seed, wandb=wandb)
    return DONE
