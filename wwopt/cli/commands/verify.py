"""`wwopt verify`: comparison of journals with their backends."""

import json

import typer

from wwopt.cli.backend_errors import backend_calls
from wwopt.cli.console import examples
from wwopt.cli.exit_codes import DONE, FINDING
from wwopt.cli.options import JOURNAL, JournalArgument, JsonOption, QuietOption

__all__ = ["app"]

app = typer.Typer()

EXAMPLES = examples({"verify": "compare ./wwopt-journal with its backends", "verify /data/journals --json": "as JSON"})


@app.command(epilog=EXAMPLES)
def verify(journal: JournalArgument = JOURNAL, *, as_json: JsonOption = False, quiet: QuietOption = False) -> int:
    """Compare journals with their backends, number by number, and list what is missing.

    Exit status 1 if a number is missing or there twice.
    """
    from wwopt.cli.tables.delivery_table import print_verified, verified_json  # noqa: PLC0415
    from wwopt_trackers import verify as verify_journals  # noqa: PLC0415

    with backend_calls():
        found = verify_journals(journal)
    if as_json:
        typer.echo(json.dumps(verified_json(found), indent=2))
    else:
        print_verified(found, remarks=not quiet)
    return DONE if all(each.ok for each in found) else FINDING
