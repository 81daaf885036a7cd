"""Dataclasses as groups of options."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from wwopt.cli.option_groups import unpack_groups


@dataclass(frozen=True, kw_only=True)
class Size:
    """A group."""

    width: Annotated[int, typer.Option(help="How wide.")] = 3
    tall: Annotated[bool, typer.Option("--tall", help="Whether tall.")] = False


@dataclass(frozen=True, kw_only=True)
class Box(Size):
    """A group with what it inherits."""

    label: Annotated[list[str] | None, typer.Option(help="What stands on it.")] = None


@pytest.fixture
def app():
    """A command with a group."""
    app = typer.Typer()

    @app.command()
    @unpack_groups
    def pack(thing: str, *, loud: bool = False, box: Box) -> int:
        """Pack a thing."""
        typer.echo(f"{thing} {loud} {box}")
        return 0

    return app


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "cup False Box(width=3, tall=False, label=None)"),
        (["--tall", "--label", "a", "--label", "b"], "cup False Box(width=3, tall=True, label=['a', 'b'])"),
        (["--width", "5", "--loud"], "cup True Box(width=5, tall=False, label=None)"),
    ],
)
def test_a_group_is_filled_from_its_options(app, arguments, line):
    """Each field is an option, inherited ones too, beside the command's own arguments and options."""
    result = CliRunner().invoke(app, ["cup", *arguments])
    assert result.output == f"{line}\n"


def test_help_describes_each_option(app):
    """The help page has the command's docstring and a line per field, and nothing of the dataclass."""
    page = CliRunner().invoke(app, ["--help"]).output
    assert "Pack a thing." in page
    for text in ("--width", "How wide.", "--tall", "--label", "--loud"):
        assert text in page
    assert "--box" not in page
    assert "A group" not in page


@pytest.mark.parametrize("arguments", [["--depth", "5"], ["--width", "wide"]])
def test_an_unknown_option_or_value_is_an_error(app, arguments):
    """As without a group: usage error, exit status 2."""
    result = CliRunner().invoke(app, ["cup", *arguments])
    assert result.exit_code == 2
    assert arguments[0] in result.output
