"""The command line, which brings the three packages together."""

from wwopt.cli.app import run

__all__ = ["run"]
