"""Options that are passed on to `wwopt.analyze`."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import wwopt
from wwopt.engine.check_options import OPTIONS, check_options


def test_options_are_those_of_analyze():
    """Every keyword of `wwopt.analyze` is an option, and nothing else."""
    signature = inspect.signature(wwopt.analyze)
    assert sorted(OPTIONS) == sorted(name for name in signature.parameters if name != "source")
    check_options(OPTIONS)


@pytest.mark.parametrize(
    ("name", "hint"), [("min_eval", "did you mean `min_evals`?"), ("nope", "its options are include, exclude, ")]
)
def test_unknown_option_is_a_type_error(name, hint):
    """An unknown name is an error that gives the nearest option, or all of them."""
    with pytest.raises(TypeError, match=f"`{name}` is not an option of `wwopt.analyze`; ") as caught:
        check_options({"seed": 0, name: 1})
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rank_and_compare_know_their_options():
    """An unknown option is one error, raised before any network is read."""
    networks = {name: {"fc.weight": np.ones((80, 60))} for name in "ab"}
    with pytest.raises(TypeError, match=r"^`min_eval` is not an option .* did you mean `min_evals`\?$"):
        wwopt.rank(networks, min_eval=20)
    with pytest.raises(TypeError, match="nope"):
        wwopt.compare(networks["a"], networks["b"], nope=1)


def test_what_passes_options_on_may_have_its_own():
    """The error names who was asked, and suggests its own options too."""
    with pytest.raises(TypeError, match="`frezee` is not an option of `AlphaMonitor`; did you mean `freeze`"):
        check_options({"frezee": 1}, of="AlphaMonitor", own=("freeze",))
