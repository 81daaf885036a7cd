"""The command line: the one place where all the rooms meet."""

from wwopt.cli.app import run

__all__ = ["run"]
