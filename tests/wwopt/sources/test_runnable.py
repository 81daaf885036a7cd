"""Files and folders that can be asked without code of their own, and those that are refused."""

import io
import json
import zipfile

import pytest
import torch
from torch import nn

from wwopt.sources import load_module, resolve

IMAGES = torch.randn(9, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)).eval()


@pytest.fixture(scope="module")
def program(network, tmp_path_factory):
    """A network that was exported for batches of any size."""
    path = tmp_path_factory.mktemp("exported") / "network.pt2"
    exported = torch.export.export(network, (IMAGES[:4],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(exported, path)
    return path


def load(path):
    return load_module(resolve(path))


def tampered(program, target, member, change):
    """A copy of a program with one member changed."""
    content = io.BytesIO()
    with zipfile.ZipFile(program) as original, zipfile.ZipFile(content, "w") as copy:
        for info in original.infolist():
            data = original.read(info)
            copy.writestr(info.filename, change(data) if info.filename.endswith(member) else data)
    target.write_bytes(content.getvalue())
    return target


def test_an_exported_program_answers_as_its_network(network, program, tmp_path):
    """Also one that was exported for batches of one size, whatever the number of inputs."""
    with torch.no_grad():
        expected = network(IMAGES)
        torch.testing.assert_close(load(program)(IMAGES), expected)
        for size in (1, 4):
            path = tmp_path / f"of-{size}.pt2"
            torch.export.save(torch.export.export(network, (IMAGES[:size],)), path)
            torch.testing.assert_close(load(path)(IMAGES), expected)


@pytest.mark.parametrize(
    ("member", "old", "new", "message"),
    [
        (
            "model.json",
            "torch.ops.aten.relu.default",
            "torch.os.system",
            "it calls torch.os.system, which is no operator",
        ),
        (
            "model.json",
            "torch.ops.aten.relu.default",
            "torch.ops.aten.from_file.default",
            "it calls torch.ops.aten.from",
        ),
        ("model.json", "positive=True", "positive=print(1)", "it computes a size by .*print"),
        ("model.json", "Symbol('s", "().__class__('s", "it computes a size by"),
        ("weights_config.json", '"use_pickle":false', '"use_pickle":true', "is pickled"),
        ("model.json", "{", "", "network.pt2 cannot be run"),
    ],
)
def test_a_program_that_would_act_is_refused(program, tmp_path, member, old, new, message):
    """Calls of anything but operators on tensors, sizes that are code, and pickles."""

    def change(data):
        text = json.dumps(json.loads(data), separators=(",", ":")).replace(", ", ",")
        assert old in text or "', " in old or old in data.decode()
        return (data.decode() if old in data.decode() else text).replace(old, new, 1).encode()

    with pytest.raises(ValueError, match=message):
        load(tampered(program, tmp_path / "network.pt2", member, change))


def test_pickled_samples_are_refused(program, tmp_path):
    """`torch.export.load` would fall back to running them."""
    content = io.BytesIO()
    torch.save(nn.Linear(2, 2), content)
    path = tampered(program, tmp_path / "network.pt2", "data/sample_inputs/model.pt", lambda _: content.getvalue())
    with pytest.raises(ValueError, match=r"network\.pt2 cannot be run: Weights only load failed"):
        load(path)


@pytest.fixture
def folder(tmp_path):
    """A small BERT that classifies, as Hugging Face's library saves it."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48, num_labels=3
    )
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_of_a_known_architecture_is_loaded_with_its_head(folder, capsys):
    """The model answers, in evaluation mode; nothing is printed."""
    capsys.readouterr()
    model = load(folder)
    assert capsys.readouterr() == ("", "")
    assert not model.training
    assert model(torch.zeros(2, 5, dtype=torch.long)).logits.shape == (2, 3)


def test_folders_that_need_code_or_lack_weights_are_refused(folder):
    """Unknown architectures, code of the folder's own, heads that would be random, and pickles."""
    edit(folder, architectures=["BertForTokenClassification"], num_labels=5)
    with pytest.raises(ValueError, match="bert cannot be run"):
        load(folder)
    edit(folder, architectures=["BertForMaskedLM"], auto_map={"AutoModel": "evil.Evil"})
    (folder / "evil.py").write_text("raise SystemExit")
    with pytest.raises(ValueError, match=r"it does not hold cls\.predictions"):
        load(folder)
    edit(folder, architectures=["Evil"])
    with pytest.raises(ValueError, match="does not know its architecture Evil"):
        load(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="it holds no safetensors, and pickles are not loaded"):
        load(folder)


def test_weights_alone_cannot_be_run(tmp_path, network):
    """A state dict does not say what to do with its tensors."""
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    for source, kind in (
        (tmp_path / "weights.pt", "a file of weights"),
        (network.state_dict(), "a mapping of tensors"),
    ):
        with pytest.raises(TypeError, match=f"{kind} cannot be run: give the module to `wwopt.rank`"):
            load(source)
    assert load(network) is network
