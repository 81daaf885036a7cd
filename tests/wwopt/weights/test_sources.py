"""Every way in: what is found, under which name, in which order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import wwopt
from wwopt.weights import open_weights

OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(60, 60)}}, "param_groups": [{"lr": 0.1}]}


@pytest.fixture
def model():
    """Linear, convolution, embedding and a normalisation."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(70, 60), nn.Conv2d(12, 10, 3), nn.BatchNorm2d(10), nn.Embedding(80, 55))


def details(source, **options):
    return wwopt.analyze(source, **options).details


def assert_same(ours, expected):
    """The same layers with the same numbers; the type of a layer is a module's knowledge."""
    columns = [column for column in expected.columns if column != "layer_type"]
    assert ours[columns].equals(expected[columns])


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".th"])
def test_checkpoint_equals_module(model, tmp_path, suffix):
    """A saved state dict gives what the module gives."""
    path = tmp_path / f"model{suffix}"
    torch.save(model.state_dict(), path)
    assert_same(details(path), details(model))
    assert_same(details(str(path)), details(model))


def test_safetensors_equals_module(model, tmp_path):
    """A safetensors file gives what the module gives; its order is by name."""
    path = tmp_path / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    assert_same(details(path), details(model))


def test_numpy_arrays_equal_tensors(model):
    """A mapping of arrays, read-only ones included, gives what the tensors give."""
    arrays = {name: tensor.detach().numpy().copy() for name, tensor in model.state_dict().items()}
    for array in arrays.values():
        array.flags.writeable = False
    assert_same(details(arrays), details(model))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model_state_dict": state, "optimizer_state_dict": {}},
        lambda state: {"model": {"state_dict": state}},
        lambda state: {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
        lambda state: {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
        lambda state: {f"module._orig_mod.{name}": tensor for name, tensor in state.items()},
        lambda state: {f"_fsdp_wrapped_module.{name}": tensor for name, tensor in state.items()},
        lambda state: {f"_forward_module.{name}": tensor for name, tensor in state.items()},
        lambda state: {
            "model": state,
            "loss": torch.tensor(0.3),
            "optimizer": {"state": {0: state}, "param_groups": []},
        },
        lambda state: {"epoch": 3, "params_ema": state},
    ],
    ids=[
        "state_dict",
        "model_state_dict",
        "model",
        "DDP",
        "compile",
        "DDP of compile",
        "FSDP",
        "Fabric",
        "beside a loss",
        "under a name of its own",
    ],
)
def test_containers_and_prefixes_are_taken_off(model, wrap, tmp_path):
    """What training loops and wrappers put around a state dict does not change names or numbers."""
    wrapped = wrap(model.state_dict())
    torch.save(wrapped, tmp_path / "model.pt")
    assert_same(details(wrapped), details(model))
    assert_same(details(tmp_path / "model.pt"), details(model))


def test_several_networks_keep_their_names(model, tmp_path):
    """A generator and its discriminator are both analysed; an optimizer's tensors are no weights."""
    optimizer = torch.optim.Adam(model.parameters()).state_dict()
    optimizer["state"] = {0: {"exp_avg": torch.ones(60, 60)}}
    content = {
        "generator": model.state_dict(),
        "discriminator": nn.Linear(60, 60).state_dict(),
        "optimizer_g": optimizer,
    }
    torch.save(content, tmp_path / "gan.pt")
    for source in (content, tmp_path / "gan.pt"):
        assert list(details(source)["name"]) == ["generator.0", "generator.1", "generator.3", "discriminator"]


def test_nested_parameters_are_joined(rng):
    """Nested mappings, as Flax keeps its parameters, give dotted names; its kernels end in inputs and outputs."""
    kernel = rng.normal(size=(3, 3, 20, 30))
    row = details({"params": {"body": {"conv": {"kernel": kernel, "bias": np.zeros(30)}}}}).iloc[0]
    assert row[["name", "rf", "N", "M"]].tolist() == ["body.conv.kernel", 9, 30, 20]


def test_modules_that_are_called_as_a_wrapper():
    """A layer that shares its name with what a wrapper wraps keeps its full path."""
    net = nn.ModuleDict({"module": nn.ModuleDict({"fc": nn.Linear(60, 60)}), "fc": nn.Linear(60, 60)})
    assert list(details(net)["name"]) == ["module.fc", "fc"]


class Lazy:
    """An array of another library, as those of JAX and HDF5: it turns into NumPy's when asked."""

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")  # NumPy's own
@pytest.mark.parametrize("convert", [np.asmatrix, Lazy, lambda W: W.astype(">f8"), np.ma.masked_array])
def test_every_kind_of_array(convert, rng):
    """Arrays of other libraries, of the other byte order and of NumPy's subclasses count by their values."""
    W = rng.normal(size=(60, 70))
    assert_same(details({"a": convert(W)}), details({"a": W}))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch.compile's own
def test_compiled_module_equals_module(model):
    """``torch.compile`` wraps a module; its layers keep their names."""
    assert_same(details(torch.compile(model)), details(model))


def test_names_are_full_paths():
    """The name of a layer is the dotted path of its module."""
    net = nn.ModuleDict({"encoder": nn.Sequential(nn.ReLU(), nn.Linear(60, 60)), "head": nn.Linear(60, 60)})
    assert list(details(net)["name"]) == ["encoder.1", "head"]
    assert list(details(nn.Linear(60, 60))["name"]) == ["weight"]


def test_long_side_first(model):
    """N is the longer side, M the shorter, Q their ratio, whichever way the weight is stored."""
    rows = details({"a": np.ones((60, 90)), "b": np.ones((90, 60))})
    assert rows[["N", "M", "Q", "rf", "num_evals"]].values.tolist() == [[90, 60, 1.5, 1, 60]] * 2


def test_convolution_is_a_stack_of_slices(rng):
    """A convolution has a matrix for each position of its kernel; their spectra are pooled, times 1/2."""
    kernel = rng.normal(size=(10, 6, 3, 4))
    analysis = wwopt.analyze({"conv.weight": kernel})
    slices = kernel.transpose(2, 3, 0, 1).reshape(12, 10, 6)
    expected = np.sort((np.linalg.svd(slices, compute_uv=False) ** 2 / 2).ravel())
    np.testing.assert_allclose(analysis.spectra["conv"], expected, rtol=1e-9)
    assert analysis.details.loc[0, ["rf", "N", "M", "num_evals", "layer_type"]].tolist() == [12, 10, 6, 72, "conv2d"]


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((64, 64), "dense"), ((20, 30, 5), "conv1d"), ((8, 8, 3, 3), "conv2d"), ((8, 8, 2, 2, 2), "conv3d")],
)
def test_layer_type_by_dimension(shape, kind):
    """Tensors alone tell their layer's type by their dimensions."""
    assert details({"layer.weight": np.ones(shape)})["layer_type"].tolist() == [kind]


def test_tied_weights_are_counted_once(tmp_path):
    """An embedding that is also the output layer is one layer, and the other name is listed."""

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(100, 60)
            self.head = nn.Linear(60, 100, bias=False)
            self.head.weight = self.embedding.weight

    model = Tied()
    torch.save(model.state_dict(), tmp_path / "tied.pt")
    for source in (model, model.state_dict(), tmp_path / "tied.pt"):
        analysis = wwopt.analyze(source)
        assert list(analysis.details["name"]) == ["embedding"]
        assert analysis.skipped.values.tolist() == [["head", "tied to embedding, counted there"]]


def test_module_used_twice_is_counted_once():
    """A module that stands at two places is one layer."""
    shared = nn.Linear(60, 60)
    assert list(details(nn.Sequential(shared, nn.ReLU(), shared))["name"]) == ["0"]


def test_nothing_disappears(model):
    """Every tensor of two or more dimensions is either a row or an entry of `skipped` with its reason."""
    state = model.state_dict() | {"positions": torch.arange(120).reshape(2, 60), "empty": torch.zeros(0, 60)}
    analysis = wwopt.analyze(state, min_evals=58)
    assert list(analysis.details["name"]) == ["0", "1"]
    assert dict(analysis.skipped.values.tolist()) == {
        "positions": "not a weight: dtype int64",
        "empty": "empty, shape (0, 60)",
        "3": "55 eigenvalues, fewer than min_evals=58",
    }


def test_patterns_choose_layers(model):
    """`include` and `exclude` are globs on names; what they leave out is listed."""
    assert list(details(model, include="[01]")["name"]) == ["0", "1"]
    analysis = wwopt.analyze(model, include=["0", "3"], exclude=("3",))
    assert list(analysis.details["name"]) == ["0"]
    assert dict(analysis.skipped.values.tolist()) == {"1": "not in `include`", "3": "in `exclude`"}


def test_limits_choose_layers(model):
    """`min_evals` and `max_evals` bound the eigenvalues of a layer, both included."""
    assert list(details(model, min_evals=55, max_evals=60)["name"]) == ["0", "3"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_every_float_type_is_read_exactly(dtype, tmp_path):
    """The numbers are those of the stored values in double precision, from memory and from files."""
    weight = torch.randn(70, 60, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = details({"layer.weight": weight.double()})
    save_file({"layer.weight": weight}, tmp_path / "model.safetensors")
    assert_same(details({"layer.weight": weight}), expected)
    assert_same(details(tmp_path / "model.safetensors"), expected)


def test_opening_reads_no_weights(tmp_path, monkeypatch):
    """A source is described without reading a tensor; each is read when asked for."""
    save_file({"a.weight": torch.ones(60, 70), "b.weight": torch.ones(60, 60)}, tmp_path / "model.safetensors")
    weights = open_weights(tmp_path / "model.safetensors")
    assert [(matrix.name, matrix.k, matrix.N, matrix.M) for matrix in weights.matrices] == [
        ("a", 1, 70, 60),
        ("b", 1, 60, 60),
    ]
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError):
        weights.matrices[0].read()
