"""Names of metrics: whatever a layer is called, each backend takes it and gives it back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

from wwopt_trackers.backends.keys import MLFLOW, WANDB

names = st.text(st.one_of(st.sampled_from("._-/ab05fx_ :é\n\0"), st.characters()), max_size=40)


@given(names)
def test_mlflow_takes_any_name_and_gives_it_back(name):
    """MLflow's own check passes the key, and the name is read off it."""
    key = MLFLOW.encode(name)
    _validate_metric_name(key)
    assert MLFLOW.decode(key) == name


@given(names)
def test_wandb_takes_any_name_and_gives_it_back(name):
    """The key has letters, digits, underscores and the separator alone, and the name is read off it."""
    key = WANDB.encode(name)
    assert re.fullmatch(r"[A-Za-z0-9_/]+", key)
    assert WANDB.decode(key) == name


@pytest.mark.parametrize("encoder", [MLFLOW, WANDB])
def test_long_names_stay_apart(encoder):
    """Names of 10,000 characters that differ in the last one have keys within the limit that differ."""
    names = ["x" * 10_000 + end for end in "ab"]
    keys = [encoder.encode(name) for name in names]
    assert len(set(keys)) == 2
    assert max(map(len, keys)) <= encoder.limit
    assert [encoder.decode(key, dict(zip(keys, names, strict=True))) for key in keys] == names


@pytest.mark.parametrize("name", ["layer1.0.conv1", "module-list.3", "top-5", "fc_out"])
def test_ordinary_names_stay_readable_in_mlflow(name):
    """What MLflow takes is not touched."""
    assert MLFLOW.encode(f"ww/alpha/{name}") == f"ww/alpha/{name}"
