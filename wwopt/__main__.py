"""The command `wwopt`, also as `python -m wwopt`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line and return its exit status; where an extra is missing, say how to install it."""
    try:
        import rich  # noqa: F401, PLC0415  (an extra, as is what the next line imports)

        from wwopt.cli import run  # noqa: PLC0415
    except ImportError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.stderr.write("wwopt: the command line needs typer and rich. Run `pip install 'wwopt[cli]'`.\n")
        return 2
    return run()


if __name__ == "__main__":
    sys.exit(main())
