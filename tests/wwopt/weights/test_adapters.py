"""PEFT models in memory: what is analysed is the weights with their adapters, never the frozen base alone."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import wwopt
from wwopt.weights import open_weights

torch = pytest.importorskip("torch")
nn = torch.nn


class LoraLayer(nn.Module):
    """A layer with adapters, of the structure that PEFT gives it."""

    def __init__(self, base: nn.Module, rank: int = 4, scale: float = 2.0) -> None:
        super().__init__()
        outputs, inputs = base.weight.shape[:2]
        self.base_layer = base
        self.lora_A = nn.ModuleDict({"default": nn.Linear(inputs, rank, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(rank, outputs, bias=False)})
        self.scaling = {"default": scale}
        self.active_adapters = ["default"]
        self.merged_adapters: list[str] = []
        self.disable_adapters = False
        self.fan_in_fan_out = False

    def forward(self, x):
        """Return the output of the merged weight."""
        change = self.lora_B["default"](self.lora_A["default"](x))
        return self.base_layer(x) + self.scaling["default"] * change

    @property
    def change(self):
        """The change of the weight."""
        return self.scaling["default"] * self.lora_B["default"].weight @ self.lora_A["default"].weight


class Kept(nn.Module):
    """A module that is trained whole, beside its frozen original."""

    def __init__(self, module: nn.Module, copy: nn.Module) -> None:
        super().__init__()
        self.original_module = module
        self.modules_to_save = nn.ModuleDict({"default": copy})


class Outer(nn.Module):
    """What PEFT wraps around a model: its names begin with ``base_model.model``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.base_model = nn.Module()
        self.base_model.model = model


def adapted(seed: int = 0, **options):
    """A model with an adapted layer and a head that is trained whole."""
    torch.manual_seed(0)
    base, old_head, head = nn.Linear(64, 80), nn.Linear(80, 60), nn.Linear(80, 60)
    torch.manual_seed(seed)
    layer = LoraLayer(base, **options)
    return Outer(nn.ModuleDict({"q": layer, "head": Kept(old_head, head)})), layer, head


def read(source):
    """Matrices of a source by name, as they are stored."""
    matrices = ((matrix, np.array(matrix.read()[0])) for matrix in open_weights(source).matrices)
    return {matrix.name: values.T if matrix.transposed else values for matrix, values in matrices}


def test_a_module_is_read_with_its_adapters():
    """The weight is W + s B A, by its name without PEFT; a module that is trained whole is the copy."""
    model, layer, head = adapted()
    matrices = read(model)
    assert list(matrices) == ["q", "head"]
    np.testing.assert_allclose(matrices["q"], (layer.base_layer.weight + layer.change).detach(), atol=1e-6)
    np.testing.assert_array_equal(matrices["head"], head.weight.detach())
    assert open_weights(model).skipped == ()


def test_three_states_of_an_adapter_have_three_scores():
    """What trains is what is judged; the frozen base alone has the same score for ever."""
    scores = {wwopt.AlphaScore()(wwopt.analyze(adapted(seed)[0])) for seed in range(3)}
    assert len(scores) == 3


def test_an_adapter_that_diverged_is_broken():
    """NaN in a factor is NaN in the weight."""
    model, layer, _ = adapted()
    with torch.no_grad():
        layer.lora_A["default"].weight[0, 0] = math.nan
    analysis = wwopt.analyze(model)
    assert analysis.details.set_index("name").loc["q", "status"] == "non-finite"
    assert wwopt.AlphaScore()(analysis) == wwopt.AlphaScore().maximum


def test_what_is_merged_or_off_is_not_added():
    """An adapter that is merged already, or disabled, changes the base no more."""
    for name, value in (("merged_adapters", ["default"]), ("disable_adapters", True), ("active_adapters", [])):
        model, layer, _ = adapted()
        setattr(layer, name, value)
        np.testing.assert_array_equal(read(model)["q"], layer.base_layer.weight.detach(), err_msg=name)


def test_a_transposed_weight_gets_a_transposed_change():
    """GPT-2 stores its weights with the inputs first, also where they are square."""
    model, layer, _ = adapted()
    layer.base_layer = nn.Linear(64, 80)
    layer.base_layer.weight = nn.Parameter(layer.base_layer.weight.T.clone())
    layer.fan_in_fan_out = True
    expected = (layer.base_layer.weight + layer.change.T).detach()
    np.testing.assert_allclose(read(model)["q"], expected, atol=1e-6)
    torch.manual_seed(0)
    square = LoraLayer(nn.Linear(64, 64))
    square.fan_in_fan_out = True
    merged = read(Outer(nn.ModuleDict({"c": square})))["c"]
    np.testing.assert_allclose(merged, (square.base_layer.weight + square.change.T).detach(), atol=1e-6)


def test_a_convolution_is_merged():
    """A is a kernel, B a kernel of one position."""
    torch.manual_seed(0)
    layer = LoraLayer(nn.Conv2d(8, 60, 3))
    layer.lora_A = nn.ModuleDict({"default": nn.Conv2d(8, 4, 3, bias=False)})
    layer.lora_B = nn.ModuleDict({"default": nn.Conv2d(4, 60, 1, bias=False)})
    A, B = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    expected = layer.base_layer.weight + 2 * torch.einsum("orxy,rihw->oihw", B, A)
    (matrix,) = open_weights(Outer(nn.ModuleDict({"v": layer}))).matrices
    np.testing.assert_allclose(
        np.sort(np.abs(matrix.read()), axis=None), np.sort(expected.detach().abs().numpy(), axis=None), atol=1e-6
    )


def test_tensors_alone_do_not_tell_the_scale():
    """A state dict is merged with a scale of 1, and that is said."""
    model, layer, _ = adapted(scale=3.0)
    weights = open_weights(model.state_dict())
    (merged, _) = (matrix.read()[0] for matrix in weights.matrices)
    np.testing.assert_allclose(merged, (layer.base_layer.weight + layer.change / 3).detach(), atol=1e-6)
    assert [name for name, _ in weights.skipped] == ["q.lora_A"]
    assert "a scale of 1" in weights.skipped[0][1]


def test_what_cannot_be_merged_is_refused():
    """Other kinds of adapters and shapes that do not fit are one line that names the layer and the way out."""
    model, layer, _ = adapted()
    layer.hada_w1_a = nn.ParameterDict({"default": torch.ones(80, 4)})
    with pytest.raises(
        ValueError, match=r"q is adapted by more than LoRA .* Analyse what `model.merge_and_unload\(\)` returns"
    ):
        wwopt.analyze(model.state_dict())
    model, layer, _ = adapted()
    layer.lora_magnitude_vector = nn.ModuleDict({"default": nn.Linear(33, 1, bias=False)})
    with pytest.raises(ValueError, match="q is adapted by DoRA in a way that cannot be merged"):
        wwopt.analyze(model)
    model, layer, _ = adapted()
    layer.lora_A["default"] = nn.Linear(32, 4, bias=False)
    with pytest.raises(ValueError, match="q has factors of LoRA whose product is not of its shape"):
        wwopt.analyze(model)
    model, layer, _ = adapted()
    layer.lora_variant = {"default": object()}
    with pytest.raises(ValueError, match="q is adapted by object, which cannot be merged"):
        wwopt.analyze(model)
    model, layer, _ = adapted()
    del layer.lora_A, layer.lora_B, layer.scaling
    with pytest.raises(ValueError, match=r"q is adapted by .*LoraLayer, which cannot be merged"):
        wwopt.analyze(model)


def test_the_difference_to_the_model_without_peft_is_the_change():
    """By the names without PEFT a tuned model is compared with its base."""
    model, layer, head = adapted()
    base = {"q.weight": layer.base_layer.weight.detach(), "head.weight": head.weight.detach() + 1}
    analysis = wwopt.analyze(model, base=base, include="q")
    expected = np.linalg.norm(layer.change.detach()) ** 2
    assert analysis.details.loc[0, "norm"] == pytest.approx(expected, rel=1e-4)


class Tuned(nn.Module):
    """A layer of each kind that PEFT adapts; that of GPT-2 keeps its inputs first."""

    def __init__(self):
        super().__init__()
        from transformers.pytorch_utils import Conv1D

        self.q, self.c, self.g = nn.Linear(64, 80), nn.Conv2d(20, 24, 3), Conv1D(96, 64)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # PEFT's own
@pytest.mark.parametrize("changes", [{}, {"use_dora": True}, {"use_rslora": True}], ids=["LoRA", "DoRA", "rsLoRA"])
def test_a_model_of_peft_is_what_its_merge_gives(changes):
    """Against PEFT itself: the merged weights of layers of each kind, of a module and of a state dict of scale 1."""
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    config = peft.LoraConfig(r=4, lora_alpha=4, target_modules=["q", "c", "g"], fan_in_fan_out=False, **changes)
    model = peft.get_peft_model(Tuned(), config)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data += 0.1 * torch.randn_like(parameter)
    sources = [model] + ([] if "use_rslora" in changes else [model.state_dict()])
    merged = wwopt.analyze(copy.deepcopy(model).merge_and_unload(), min_evals=2)
    for source in sources:
        found = wwopt.analyze(source, min_evals=2)
        assert found.details["name"].tolist() == ["q", "c", "g"]
        for layer in merged.spectra:
            np.testing.assert_allclose(found.spectra[layer], merged.spectra[layer], rtol=1e-4, atol=1e-6)
