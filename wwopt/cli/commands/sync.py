"""`wwopt sync`: delivery of what journals still hold."""

import json

import typer

from wwopt.cli.backend_errors import backend_calls
from wwopt.cli.console import examples
from wwopt.cli.exit_codes import DONE, FINDING
from wwopt.cli.options import JOURNAL, JournalArgument, JsonOption, QuietOption

__all__ = ["app"]

app = typer.Typer()

EXAMPLES = examples({"sync": "deliver what ./wwopt-journal holds", "sync /data/journals --json": "as JSON"})


@app.command(epilog=EXAMPLES)
def sync(journal: JournalArgument = JOURNAL, *, as_json: JsonOption = False, quiet: QuietOption = False) -> int:
    """Deliver what is left in journals after an outage or a crash; each number arrives once.

    Runs whose process has died end as failed. Exit status 1 if something could not be delivered.
    """
    from wwopt.cli.tables.delivery_table import print_synced, synced_json  # noqa: PLC0415
    from wwopt_trackers import sync as sync_journals  # noqa: PLC0415

    with backend_calls():
        done = sync_journals(journal)
    if as_json:
        typer.echo(json.dumps(synced_json(done), indent=2))
    else:
        print_synced(done, remarks=not quiet)
    return DONE if all(each.ok for each in done) else FINDING
