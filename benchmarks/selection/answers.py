"""What trained networks answer: on the inputs they were trained on, and on others that are not the test inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from benchmarks.selection.networks import Network
    from benchmarks.selection.tasks import Task

__all__ = ["COUNT", "given_labels", "outputs_of", "probe_inputs"]

COUNT = 512  # inputs, where the task has so many

Inputs = Literal["training", "fresh"]


def probe_inputs(task: Task, inputs: Inputs) -> Tensor:
    """The first inputs of the training set, or of the validation set: nobody reads the labels of those."""
    data = task.data()
    return (data.train if inputs == "training" else data.val).x[:COUNT]


def given_labels(task: Task) -> NDArray[np.int64]:
    """Labels of the training inputs as they were given to the networks, shape (inputs, ...); some may be wrong."""
    return np.asarray(task.data().train.y[:COUNT])


@torch.no_grad()
def outputs_of(network: Network, x: Tensor) -> NDArray[np.float32]:
    """Outputs of a network with its final weights, shape (inputs, ..., outputs)."""
    model = network.model()
    return torch.cat([model(part) for part in x.split(256)]).float().numpy()
