"""Replica of a module: shares its weights, and can be run without changing the module."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["replica"]

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
OWN = ("_parameters", "_buffers", "_modules")
NOTES = (list, dict, set)  # where a module may write down what it is asked
WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def replica(model: nn.Module) -> nn.Module:
    """Return a module in evaluation mode with the same parameters, buffers of its own, and no hooks.

    No weight is copied, and no code of the module runs. Wrappers for several devices or for a compiler are removed.

    Raises
    ------
    TypeError
        The parameters are spread over processes, so that one of them alone cannot run it.

    Examples
    --------
    >>> model = nn.Linear(3, 2)
    >>> copy = replica(model)
    >>> copy.training, copy.weight is model.weight
    (False, True)
    """
    if isinstance(model, WRAPPERS):
        return replica(model.module)
    if isinstance(compiled := getattr(model, "_orig_mod", None), nn.Module):
        return replica(compiled)
    for name, parameter in model.named_parameters():
        if type(parameter.data) is not torch.Tensor or hasattr(parameter, "ds_id") or parameter.is_meta:
            raise TypeError(f"the values of {name} are not all in this process")
    return _copy(model, {})


def _copy(module: nn.Module, made: dict[int, Any]) -> nn.Module:
    if id(module) in made:
        found: nn.Module = made[id(module)]
        return found
    copy: nn.Module
    copy = made[id(module)] = object.__new__(module.__class__)  # a traced module would make itself a class without code
    state = dict(module.__dict__)
    state["training"] = False
    state["_parameters"] = dict(state["_parameters"])
    state["_buffers"] = {name: None if value is None else value.clone() for name, value in state["_buffers"].items()}
    state |= {name: type(state[name])() for name in state if name.startswith(HOOKS)}
    for name, value in module.__dict__.items():
        if type(value) in NOTES and not name.startswith((*HOOKS, *OWN)):  # one that modules share stays one
            state[name] = made.setdefault(id(value), type(value)(value))
    children = state["_modules"]
    copy.__dict__.update(state)
    copy.__dict__["_modules"] = {name: child and _copy(child, made) for name, child in children.items()}
    return copy
