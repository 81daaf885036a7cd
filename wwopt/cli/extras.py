"""Optional packages that a command needs."""

from __future__ import annotations

from importlib.util import find_spec

__all__ = ["require"]


def require(command: str, *packages: str) -> None:
    """Raise before any work where packages of a command's extra are missing.

    Raises
    ------
    ImportError
        Naming the packages and the extra.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        extra = "wandb" if missing == ["wandb"] else command
        raise ImportError(f"`wwopt {command}` needs {', '.join(missing)}. Run `pip install 'wwopt[{extra}]'`.")
