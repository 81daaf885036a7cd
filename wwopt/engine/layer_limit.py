"""Limit of a study or a ranking, `min_evals`: the smallest layers that count, the same for all of its networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wwopt.engine.settings import Settings
from wwopt.powerlaw import ESTIMATORS
from wwopt.sources import weights_of

__all__ = ["choose_min_evals"]

LAYER_OPTIONS = ("include", "exclude", "max_evals", "estimator")


def choose_min_evals(model: object, options: Mapping[str, Any]) -> int:
    """Choose the limit by a network.

    `wwopt.analyze`'s own where at least half of the weight matrices reach it; else the estimator's smallest from which
    its numbers still say something. There is nothing between the two: a study's next networks may be smaller.

    Parameters
    ----------
    model : torch.nn.Module, mapping or path
        What `wwopt.analyze` takes.
    options : mapping
        Its arguments, for the choice of layers and the estimator.

    Examples
    --------
    >>> import numpy as np
    >>> choose_min_evals({"a.weight": np.ones((64, 64)), "b.weight": np.ones((10, 64))}, {})
    50
    >>> choose_min_evals({"a.weight": np.ones((64, 30)), "b.weight": np.ones((10, 64))}, {})
    16
    """
    settings = Settings(min_evals=2, **{name: options[name] for name in LAYER_OPTIONS if name in options})
    sizes = [matrix.num_evals for matrix in weights_of(model).matrices if settings.reason_to_skip(matrix) is None]
    large = sum(size >= Settings.min_evals for size in sizes)
    return Settings.min_evals if 2 * large >= len(sizes) else ESTIMATORS[settings.estimator].min_evals
