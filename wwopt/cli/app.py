"""The `wwopt` application: its commands, and how an error becomes a line and an exit status."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from wwopt import __version__
from wwopt.cli.commands import adapter, analyze, compare, demo, inspect, rank, report, select, sync, verify, watch
from wwopt.cli.console import examples, warn
from wwopt.cli.exit_codes import BAD_INPUT, DONE, INTERRUPTED

__all__ = ["app", "run"]

# In the order of `wwopt --help`.
COMMANDS = (inspect, analyze, rank, compare, adapter, watch, report, demo, select, sync, verify)

app = typer.Typer(
    name="wwopt", no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, suggest_commands=True
)
for command in COMMANDS:
    app.add_typer(command.app)


def run(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit status; an error of usage or input is one line on stderr."""
    try:
        status = app(args=arguments, standalone_mode=False, prog_name="wwopt")
        sys.stdout.flush()
    except TyperException as error:
        return _fail(error.format_message() or "No command given; `wwopt --help` lists them.")
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (ValueError, OSError, ImportError) as error:
        return _fail(str(error))
    except (typer.Abort, KeyboardInterrupt):
        sys.stderr.write("wwopt: interrupted; finished work is kept\n")
        return INTERRUPTED
    return status if isinstance(status, int) else DONE


def _fail(message: str) -> int:
    warn(message)
    return BAD_INPUT


def _version(show: bool) -> None:
    if show:
        typer.echo(f"wwopt {__version__}")
        raise typer.Exit


EPILOG = (
    examples(
        {
            "demo": "tune a real network by its weights alone",
            "analyze model.safetensors": "alpha, ranks and traps of each layer",
            "rank epoch-1.pt epoch-2.pt": "which of several networks is probably the best",
            "compare good.pt new.pt": "which layers are broken, and the probable cause",
            "watch run/checkpoints": "compare every new checkpoint with the one before",
            "report model.safetensors": "a page with each layer's spectrum",
            "select --mlflow digits": "choose among past runs without their weights",
        }
    )
    + "\n\nExit status: 0 done, 1 a finding, 2 bad usage or input."
)


@app.callback(epilog=EPILOG)
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Choose neural networks from their weights alone."""
