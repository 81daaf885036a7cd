"""`noise_for`: noise that several networks take, so that their answers to it can be compared."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wwopt.response.inputs import find_inputs
from wwopt.response.replica import replica
from wwopt.response.runner import Runner

__all__ = ["noise_for"]

SAMPLES = 256  # of each kind: for images white and smooth noise
NUMBERS = 1 << 23  # in all of it together: large inputs are fewer


def noise_for(models: Sequence[nn.Module], shape: Sequence[int] | None = None, *, seed: int = 0) -> Tensor | None:
    """Draw noise of the likeliest shape that every one of the networks takes.

    Parameters
    ----------
    models : sequence of torch.nn.Module
        Left as they are: replicas run.
    shape : sequence of int, optional
        Of one input, without the batch. None: found by trying, from the first layer of the first network.
    seed : int
        Seed of the noise.

    Returns
    -------
    Tensor or None
        Standard normal numbers or uniform token numbers, on the CPU; None where no shape is found.

    Examples
    --------
    >>> noise_for([nn.Linear(7, 2), nn.Sequential(nn.Linear(7, 5), nn.Linear(5, 2))]).shape
    torch.Size([256, 7])
    >>> noise_for([nn.Linear(7, 2), nn.Linear(8, 2)]) is None
    True
    """
    try:
        runners = [Runner(model) for model in models]
        guesses = list(find_inputs(replica(models[0]), shape))
    except TypeError:
        return None
    like = torch.empty(0)
    for inputs in guesses:
        few = inputs.noise(2, like, seed)[0]
        if all(runner.takes(few) for runner in runners):
            count = max(2, min(SAMPLES, NUMBERS // math.prod(inputs.shape)))
            return torch.cat(inputs.noise(count, like, seed))
    return None
