"""Numbers, warnings and examples as commands print them."""

import math

import pytest

from wwopt.cli.console import examples, number, warn


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (math.nan, "-"), (3, "3"), (2.0, "2"), (2.345, "2.35"), (-0.5, "-0.50")]
)
def test_numbers_of_a_table(value, text):
    """Two digits; whole numbers have none, and what is missing is a dash."""
    assert number(value) == text


def test_a_warning_is_one_printable_line(capsys):
    """Line breaks and escape sequences of an error do not reach the terminal."""
    warn("first\n  second \x1b[2J")
    assert capsys.readouterr().err == "wwopt: first second \\x1b[2J\n"


def test_examples_are_command_lines():
    """The command and its purpose, a paragraph each."""
    assert examples({"demo": "try it"}) == "Examples:\n\n[bold]wwopt demo[/bold]  [dim]# try it[/dim]"
