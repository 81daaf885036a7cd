"""Files, folders and names: each format gives what the weights in memory give."""

from __future__ import annotations

import functools
import json
import operator
import pickle
import re
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import wwopt
from wwopt.weights import open_weights


@pytest.fixture
def model():
    """Linear, convolution, embedding, normalisation, and a layer inside of another."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(70, 60), nn.Sequential(nn.Conv2d(12, 10, 3), nn.BatchNorm2d(10)), nn.ReLU(), nn.Embedding(80, 55)
    )


@pytest.fixture
def expected(model):
    return table(model)


def table(source, **options):
    """Names, shapes and numbers; the order and the type of a layer are a module's knowledge."""
    rows = wwopt.analyze(source, min_evals=5, **options).details.drop(columns=["layer_id", "layer_type"])
    return rows.sort_values("name", ignore_index=True)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".th", ".bin", ".ckpt", ".anything"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_state_dict(model, expected, tmp_path, suffix, zipped):
    """A saved state dict, in the format of today or of before, under any suffix."""
    torch.save(model.state_dict(), tmp_path / f"m{suffix}", _use_new_zipfile_serialization=zipped)
    assert table(tmp_path / f"m{suffix}").equals(expected)


@pytest.mark.parametrize("zipped", [True, False])
def test_whole_module(model, expected, tmp_path, zipped):
    """A whole pickled module is read without importing or running its classes, and knows its layers' types."""
    torch.save(model, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    assert table(tmp_path / "m.pt").equals(expected)
    types = wwopt.analyze(tmp_path / "m.pt", min_evals=5).details["layer_type"]
    assert list(types) == ["dense", "conv2d", "embedding"]


class OwnLayer(nn.Linear):
    """A class that will be gone when the file is read."""


def test_whole_module_of_an_unknown_class(tmp_path, monkeypatch):
    """The classes of a pickled module need not exist."""
    model = nn.Sequential(OwnLayer(60, 70))
    torch.save({"model": model, "epoch": 3, "optimizer": torch.optim.SGD(model.parameters())}, tmp_path / "m.pt")
    expected = table(model)
    monkeypatch.delattr(sys.modules[__name__], "OwnLayer")
    assert table(tmp_path / "m.pt").equals(expected)


class u2net(nn.Module):
    """Holds what people keep in a module."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(60, 70)
        self.activation, self.squash = functools.partial(nn.functional.gelu, approximate="tanh"), torch.tanh
        self.pick, self.words, self.draw = operator.itemgetter(1), re.compile("a+"), np.random.default_rng(0)


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("by_value", [False, True], ids=["pickle", "cloudpickle"])
def test_whole_module_with_all_kinds_of_attributes(tmp_path, by_value, protocol):
    """Partial functions, generators, patterns, and the code that cloudpickle adds, as in MLflow, are passed over."""
    cloudpickle = pytest.importorskip("cloudpickle")
    if by_value:
        cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        torch.save(
            u2net(), tmp_path / "m.pt", pickle_module=cloudpickle if by_value else pickle, pickle_protocol=protocol
        )
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert [(m.name, m.layer_type) for m in open_weights(tmp_path / "m.pt").matrices] == [("layer", "dense")]


def test_uninitialised_layers_are_listed(tmp_path):
    """A layer that has not seen an input yet has no weight: it is listed, from the module and from its file."""
    model = nn.Sequential(nn.LazyLinear(60), nn.Linear(60, 60))
    torch.save(model, tmp_path / "m.pt")
    for source in (model, model.state_dict(), tmp_path / "m.pt"):
        weights = open_weights(source)
        assert [matrix.name for matrix in weights.matrices] == ["1"]
        assert [name for name, reason in weights.skipped if "not initialised yet" in reason] == ["0", "0.bias"]


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own
def test_torchscript(model, expected, tmp_path):
    """A TorchScript archive gives its parameters under their names."""
    torch.jit.save(torch.jit.script(model[:2]), tmp_path / "m.pt")
    assert table(tmp_path / "m.pt").equals(expected[:2])


@pytest.mark.filterwarnings("ignore")  # torch's own, of several modules
def test_exported_program(tmp_path):
    """A ``.pt2`` archive, which MLflow writes by default, gives its weights without being run."""
    model = nn.Sequential(nn.Linear(60, 70), nn.ReLU(), nn.Linear(70, 55))
    torch.export.save(torch.export.export(model, (torch.ones(2, 60),)), tmp_path / "m.pt2")
    assert table(tmp_path / "m.pt2").equals(table(model))


def test_tensor_alone(tmp_path):
    """A file with a single tensor is a layer with the file's name."""
    torch.save(torch.ones(60, 60), tmp_path / "only.pt")
    assert list(table(tmp_path / "only.pt")["name"]) == ["only"]


def test_views_of_one_storage(tmp_path):
    """Transposed, sliced and strided tensors come out of the file as they went in."""
    whole = torch.randn(120, 80, generator=torch.Generator().manual_seed(0))
    views = {
        "t.weight": whole.T,
        "rows.weight": whole[20:90],
        "columns.weight": whole[:, 5:65],
        "steps.weight": whole[::2],
    }
    torch.save(views, tmp_path / "views.pt")
    for matrix in open_weights(tmp_path / "views.pt").matrices:
        stored = views[f"{matrix.name}.weight"].numpy()
        np.testing.assert_array_equal(matrix.read()[0], stored if stored.shape[0] >= stored.shape[1] else stored.T)


@pytest.mark.parametrize("compress", [np.savez, np.savez_compressed])
def test_npz(model, expected, tmp_path, compress):
    """An archive of NumPy's."""
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    compress(tmp_path / "m.npz", **arrays)
    assert table(tmp_path / "m.npz").equals(expected)


@pytest.fixture
def sharded(model, tmp_path):
    """A folder of two shards, with an index."""
    state = model.state_dict()
    names = list(state)
    halves = {"model-1.safetensors": names[:3], "model-2.safetensors": names[3:]}
    for file, held in halves.items():
        save_file({name: state[name] for name in held}, tmp_path / file)
    weight_map = {name: file for file, held in halves.items() for name in held}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return tmp_path


def test_shards(sharded, expected):
    """Shards, by their index or by their folder, are one model."""
    assert table(sharded / "model.safetensors.index.json").equals(expected)
    assert table(sharded).equals(expected)


def test_missing_shard(sharded):
    """A shard that is missing is named."""
    (sharded / "model-2.safetensors").unlink()
    with pytest.raises(ValueError, match=r"names the shard model-2\.safetensors, which is missing"):
        open_weights(sharded)


@pytest.mark.parametrize("file", ["../model-1.safetensors", "/etc/passwd", "..", ""])
def test_shard_outside_of_its_folder(sharded, file):
    """An index cannot point elsewhere."""
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"0.weight": file}}))
    with pytest.raises(ValueError, match="lies outside of its folder"):
        open_weights(sharded)


def test_shard_without_its_tensor(sharded):
    """An index that lists what its shard does not hold says what."""
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "model-1.safetensors"}}))
    with pytest.raises(ValueError, match=r"lists 'x' in model-1\.safetensors, which does not hold it"):
        open_weights(sharded)


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": 3}', '{"weight_map": {}}', "[" * 5000])
def test_damaged_index(sharded, content):
    """An index that is damaged or empty is named."""
    (sharded / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ValueError, match=r"model\.safetensors\.index\.json"):
        open_weights(sharded / "model.safetensors.index.json")


def test_other_names_of_an_index(sharded, expected):
    """An index under another name, as diffusers writes it, is found."""
    (sharded / "model.safetensors.index.json").rename(sharded / "diffusion_model.safetensors.index.json")
    assert table(sharded).equals(expected)


@pytest.mark.parametrize("first", [0, 1])
def test_shards_without_an_index(sharded, expected, first):
    """Shards whose names say how many there are need no index; one that is missing is told by its number."""
    (sharded / "model.safetensors.index.json").unlink()
    for i in (1, 2):
        (sharded / f"model-{i}.safetensors").rename(sharded / f"net-{i - 1 + first:05}-of-00002.safetensors")
    assert table(sharded).equals(expected)
    (sharded / f"net-{first:05}-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match="holds 1 of 2 shards; number"):
        open_weights(sharded)


def test_shards_of_several_models(sharded):
    """Shards of two models in one folder ask which."""
    (sharded / "model.safetensors.index.json").unlink()
    (sharded / "model-1.safetensors").rename(sharded / "a-00001-of-00001.safetensors")
    (sharded / "model-2.safetensors").rename(sharded / "b-00001-of-00001.safetensors")
    with pytest.raises(ValueError, match="found shards of several"):
        open_weights(sharded)


def test_distributed_checkpoint(tmp_path):
    """A distributed checkpoint, which only its pickled plan explains, says how to turn it into a file."""
    (tmp_path / ".metadata").touch()
    (tmp_path / "__0_0.distcp").touch()
    with pytest.raises(ValueError, match="dcp_to_torch"):
        open_weights(tmp_path)


def test_folder_with_one_file(model, expected, tmp_path):
    """A folder with one checkpoint, whatever it is called."""
    torch.save(model.state_dict(), tmp_path / "epoch=3.ckpt")
    (tmp_path / "notes.txt").write_text("")
    assert table(tmp_path).equals(expected)


def test_folder_with_several_files(model, tmp_path):
    """A folder with several asks which; one with none says so."""
    with pytest.raises(ValueError, match="must hold one checkpoint, found none"):
        open_weights(tmp_path)
    for name in ("a.pt", "b.pt"):
        torch.save(model.state_dict(), tmp_path / name)
    with pytest.raises(ValueError, match=r"found a\.pt, b\.pt\. Give the path"):
        open_weights(tmp_path)


@pytest.fixture
def hub(model, tmp_path, monkeypatch):
    """A local cache of the Hugging Face hub that holds one model, and no way out."""
    commit = "0" * 40
    repo = tmp_path / "hub" / "models--org--name"
    folder = repo / "snapshots" / commit
    folder.mkdir(parents=True)
    (repo / "refs").mkdir()
    for revision in ("main", "v2"):
        (repo / "refs" / revision).write_text(commit)
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.mark.parametrize("name", ["hf://org/name", "hf://org/name@v2"])
def test_hugging_face(hub, expected, name):
    """A name on the hub is read from the local cache, without a network."""
    assert table(name).equals(expected)


def test_parts_of_a_model_on_the_hub(hub, tmp_path):
    """What lies in subfolders belongs to the model, where an index at the top says so."""
    folder = next((tmp_path / "hub" / "models--org--name" / "snapshots").iterdir())
    (folder / "modules.json").write_text('[{"path": ""}, {"path": "2_Dense"}]')
    (folder / "2_Dense").mkdir()
    save_file({"linear.weight": torch.ones(60, 60)}, folder / "2_Dense" / "model.safetensors")
    assert "2_Dense.linear" in list(table("hf://org/name")["name"])


@pytest.mark.parametrize("name", ["hf://org", "hf://org/name@", "hf://org/name/file", "hf://"])
def test_malformed_name(name):
    """A name that is no name says how one reads."""
    with pytest.raises(ValueError, match="must read `hf://org/name`"):
        open_weights(name)


def test_unknown_name(hub):
    """A model that is not in the cache, without a network, cannot be fetched."""
    with pytest.raises(FileNotFoundError, match="hf://org/other cannot be fetched"):
        open_weights("hf://org/other")


@pytest.fixture
def mlflow_runs(tmp_path, monkeypatch):
    """MLflow on a store of its own."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_experiment("weights")  # an earlier test may have left one that this store does not know
    yield mlflow
    mlflow.set_tracking_uri(None)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's own and torch's, of many modules
@pytest.mark.parametrize("serialization", ["pt2", "pickle"])
def test_mlflow_model(mlflow_runs, serialization, monkeypatch):
    """A model of MLflow's torch flavour, exported or pickled, is read by its ``models:/`` and ``runs:/`` names."""
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    model = nn.Sequential(nn.Linear(60, 70), nn.ReLU(), nn.Linear(70, 55))
    with mlflow_runs.start_run() as run:
        mlflow_runs.pytorch.log_model(
            model, name="net", serialization_format=serialization, registered_model_name="net",
            input_example=np.ones((2, 60), dtype=np.float32), pip_requirements=[],
        )  # fmt: skip
        mlflow_runs.pytorch.log_state_dict(model.state_dict(), artifact_path="state")
    assert table("models:/net/1").equals(table(model))
    assert table(f"runs:/{run.info.run_id}/net").equals(table(model))
    assert table(f"runs:/{run.info.run_id}/state").equals(table(model))
    with pytest.raises(FileNotFoundError, match="models:/other/1 cannot be fetched"):
        open_weights("models:/other/1")


def test_mlflow_folder_without_weights(tmp_path):
    """A model of another flavour says that it holds no PyTorch weights."""
    (tmp_path / "MLmodel").write_text("flavors: {}")
    with pytest.raises(ValueError, match="is an MLflow model without PyTorch weights"):
        open_weights(tmp_path)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("hf://org/name", "huggingface_hub", "hub"), ("models:/a/1", "mlflow.artifacts", "mlflow")],
)
def test_missing_extra(name, package, extra, monkeypatch):
    """Without the client a name says what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"Run `pip install 'wwopt\[{extra}\]'`"):
        open_weights(name)


def _with_float4(path, kind):
    """Write a weight beside a tensor of four-bit floats, which neither NumPy nor wwopt knows."""
    known, new = torch.ones(60, 64), torch.zeros(60, 32, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    if kind == "safetensors":
        save_file({"a.weight": known, "new.weight": new.view(torch.uint8)}, path)
        content = path.read_bytes()
        path.write_bytes(content.replace(b'"U8"', b'"F4"'))
    elif kind == "npz":
        np.savez(path, **{"a.weight": known.numpy(), "new.weight": np.zeros((60, 32), "V1")})
    else:
        torch.save({"a.weight": known, "new.weight": new}, path, _use_new_zipfile_serialization=kind == "zip")


@pytest.mark.parametrize(
    ("kind", "suffix"), [("safetensors", "safetensors"), ("npz", "npz"), ("zip", "pt"), ("old", "pt")]
)
def test_unknown_dtype_skips_its_tensor(tmp_path, kind, suffix):
    """A type that is not known leaves out its tensor, not the file."""
    _with_float4(tmp_path / f"m.{suffix}", kind)
    weights = open_weights(tmp_path / f"m.{suffix}")
    assert [matrix.name for matrix in weights.matrices] == ["a"]
    assert [(name, "dtype" in reason) for name, reason in weights.skipped] == [("new", True)]
