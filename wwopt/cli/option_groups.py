"""Groups of options: a dataclass whose fields are options of a Typer command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

__all__ = ["unpack_groups"]


def unpack_groups(command: Callable[..., int]) -> Callable[..., int]:
    """Let a command take options that it shares with others as one dataclass.

    Typer reads a command's options from its signature and has no groups of them. Each parameter whose type is a
    dataclass is therefore shown to Typer as one option per field, and the command gets the dataclass.

    Parameters
    ----------
    command : callable
        Its dataclasses are keyword-only, their fields ``Annotated[type, typer.Option(...)]`` with a default.

    Returns
    -------
    callable
        What `typer.Typer.command` registers.
    """
    signature = inspect.signature(command, eval_str=True)
    groups = {name: one.annotation for name, one in signature.parameters.items() if _is_group(one.annotation)}

    @functools.wraps(command)
    def call(**values: Any) -> int:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        return command(**values)

    call.__signature__ = signature.replace(parameters=list(_unpacked(signature)))  # type: ignore[attr-defined]
    return call


def _unpacked(signature: inspect.Signature) -> Iterator[inspect.Parameter]:
    for parameter in signature.parameters.values():
        if _is_group(parameter.annotation):
            yield from inspect.signature(parameter.annotation, eval_str=True).parameters.values()
        else:
            yield parameter


def _is_group(annotation: object) -> bool:
    return isinstance(annotation, type) and is_dataclass(annotation)
