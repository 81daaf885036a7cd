"""Asking networks: inputs in every form that people keep them in, and answers that leave the network as it was."""

import random

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

from wwopt.response.ask import ask
from wwopt.response.probe_set import ProbeSet, inputs_for

IMAGES = torch.as_tensor(load_digits().data / 16, dtype=torch.float32)
CLASSES = torch.as_tensor(load_digits().target)


class Stream(IterableDataset):
    """Digits that can be read from the beginning only."""

    def __iter__(self):
        yield from zip(IMAGES, CLASSES, strict=True)


class Reader(nn.Module):
    """A classifier, or with ``every`` a tagger, of tokens under a mask, called as Hugging Face's models are."""

    def __init__(self, *, every=False):
        super().__init__()
        torch.manual_seed(0)
        self.tokens, self.head, self.every = nn.Embedding(30, 16), nn.Linear(16, 4), every

    def forward(self, input_ids, attention_mask=None, labels=None):
        assert labels is None
        found = self.head(self.tokens(input_ids))
        return {"loss": torch.tensor(0.0), "logits": found if self.every else found.mean(dim=1)}


def digits_network(*changes):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10), *changes)


@pytest.mark.parametrize(
    "inputs",
    [
        IMAGES.numpy(),
        IMAGES.double(),
        IMAGES.tolist(),
        (IMAGES, CLASSES),
        TensorDataset(IMAGES, CLASSES),
        TensorDataset(IMAGES),
        list(IMAGES),
        list(IMAGES.split(100)),
        list(zip(IMAGES.split(100), CLASSES.split(100), strict=True)),
        list(zip(IMAGES, CLASSES, strict=True)),
        DataLoader(TensorDataset(IMAGES, CLASSES), batch_size=50, shuffle=True),
        DataLoader(TensorDataset(IMAGES, CLASSES), batch_size=50),
        {"x": IMAGES, "labels": CLASSES},
    ],
    ids=["array", "double", "numbers", "pair", "dataset", "unlabelled-dataset", "list-of-inputs", "list-of-batches",
         "list-of-pairs", "list-of-samples", "shuffled-loader", "loader", "mapping"],
)  # fmt: skip
def test_one_probe_set_from_every_form(inputs):
    """The same 512 of the same inputs are drawn from every form, and marked alike."""
    expected = ProbeSet.of(IMAGES)
    found = ProbeSet.of(inputs)
    assert len(found) == 512
    rows = [one["x"] if isinstance(one, dict) else one for one in found.inputs]
    assert torch.equal(torch.stack(rows), torch.stack(expected.inputs))
    if not isinstance(inputs, dict):
        assert found.hash == expected.hash


def test_an_iterable_is_read_once_from_its_beginning():
    """What can be read only forwards gives its first inputs; a second reading is not needed."""
    batches = iter(IMAGES.split(100))
    probes = ProbeSet.of(batches)
    assert torch.equal(torch.stack(probes.inputs), IMAGES[:512])
    assert ask(digits_network(), probes).shape == ask(digits_network(), probes).shape == (512, 10)
    assert ProbeSet.of(DataLoader(Stream(), batch_size=64)).hash == probes.hash
    assert len(ProbeSet.of(iter(IMAGES[:150].split(100)))) == 150


def test_a_part_of_a_dataset_stays_a_part():
    """A loader of some samples, by a subset or by its sampler, gives no others."""
    dataset, part = TensorDataset(IMAGES, CLASSES), range(100, 200)
    sampler = torch.utils.data.SubsetRandomSampler(list(part))
    for loader in (DataLoader(Subset(dataset, part)), DataLoader(dataset, sampler=sampler, batch_size=8)):
        rows = torch.stack(ProbeSet.of(loader).inputs)
        assert torch.equal(
            torch.as_tensor(np.unique(rows, axis=0)), torch.as_tensor(np.unique(IMAGES[100:200], axis=0))
        )


def test_reading_leaves_the_training_order_alone():
    """Neither global random states nor a loader's generator move, whatever a dataset draws from them."""
    generator = torch.Generator().manual_seed(3)
    loader = DataLoader(Stream(), batch_size=16, generator=generator)
    before = states(generator)
    ProbeSet.of(loader)
    ask(digits_network(), ProbeSet.of(DataLoader(TensorDataset(IMAGES), shuffle=True)))
    assert states(generator) == before


def states(generator):
    """Where the random generators stand that a training may draw from."""
    legacy = np.random.get_state()[1].tolist()  # noqa: NPY002  (what datasets use)
    return random.getstate(), legacy, torch.get_rng_state().tolist(), generator.get_state().tolist()


def test_labels_are_kept_only_when_asked_and_change_nothing_else():
    """Labels tell their kind by their type; shuffled ones make the same probe set."""
    shuffled = CLASSES[torch.randperm(len(CLASSES), generator=torch.Generator().manual_seed(1))]
    plain, labelled, other = (
        ProbeSet.of((IMAGES, labels), with_labels=kept)
        for labels, kept in ((CLASSES, False), (CLASSES, True), (shuffled, True))
    )
    assert plain.labels is None
    assert plain.hash == labelled.hash == other.hash
    assert plain.kind == "classes"
    known = {tuple(image.tolist()): int(label) for image, label in zip(IMAGES, CLASSES, strict=True)}
    assert [known[tuple(one.tolist())] for one in labelled.inputs] == labelled.labels.tolist()
    assert (other.labels != labelled.labels).any()
    assert ProbeSet.of((IMAGES, CLASSES.double()[:, None])).kind == "values"
    assert ProbeSet.of(IMAGES).kind is None


def test_asking_changes_nothing():
    """Mode, buffers, weights and hooks are as before, and dropout is off."""
    model, called = digits_network().train(), []
    model.register_forward_hook(lambda *_: called.append(1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    answers = ask(model, ProbeSet.of(IMAGES))
    assert model.training
    assert not called
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        direct = model.eval()(torch.stack(ProbeSet.of(IMAGES).inputs)).double().numpy()
    np.testing.assert_allclose(answers, direct, atol=1e-5)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_mappings_are_given_by_name_without_labels():
    """Tokens with a mask, padded or of several lengths; of each answered sequence the same unmasked positions."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 13, size=40)
    mask = torch.as_tensor(np.arange(12) < lengths[:, None]).long()
    padded = {"input_ids": torch.as_tensor(rng.integers(1, 30, size=(40, 12))) * mask, "attention_mask": mask,
              "labels": torch.zeros(40, dtype=torch.long)}  # fmt: skip
    rows = [{"input_ids": padded["input_ids"][i, :n].tolist(), "attention_mask": [1] * n, "label": 0, "text": "a"}
            for i, n in enumerate(lengths)]  # fmt: skip
    whole, ragged = ProbeSet.of(padded), ProbeSet.of(rows)
    assert ask(Reader(), whole).shape == (40, 4)
    tagged = ask(Reader(every=True), whole)
    assert tagged.shape == (40, 12, 4)
    head = Reader(every=True)
    with torch.no_grad():
        padding = head.head(head.tokens(torch.tensor(0))).double().numpy()
    assert (np.abs(tagged - padding).max(axis=2) > 1e-9).all()  # no answer for a masked position
    np.testing.assert_allclose(ask(Reader(every=True), ragged), tagged, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "inputs", "shape"),
    [
        (nn.Sequential(nn.Conv2d(1, 5, 3)), torch.randn(40, 1, 8, 8), (40, 36, 5)),
        (nn.Sequential(nn.Conv2d(1, 5, 3)), torch.randn(64, 1, 34, 34), (64, 128, 5)),
        (nn.Sequential(nn.Conv1d(3, 5, 3, padding=1)), torch.randn(40, 3, 8), (40, 8, 5)),
        (nn.GRU(6, 5, batch_first=True), torch.randn(40, 9, 6), (40, 9, 5)),
        (nn.Sequential(nn.Linear(6, 1), nn.Flatten(0)), torch.randn(40, 6), (40, 1)),
    ],
    ids=["map", "large-map", "channels-first", "sequence", "number"],
)
def test_shapes_of_answers(model, inputs, shape):
    """Sequences and maps have an axis of positions, of which no more than 8192 are kept in all."""
    assert ask(model, ProbeSet.of(inputs)).shape == shape


def test_positions_are_those_of_other_networks():
    """Two networks are asked the same positions, which the answers of one that copies its input tell."""
    images = torch.arange(64.0 * 40 * 40).reshape(64, 1, 40, 40)
    one, other = (ask(nn.Sequential(nn.Identity(), *more), ProbeSet.of(images)) for more in ([], [nn.Identity()]))
    assert one.shape == (64, 128, 1)
    np.testing.assert_array_equal(one, other)
    assert len(np.unique(one)) == one.size


def test_a_network_that_is_broken_answers_and_one_that_fails_is_named():
    """NaN is an answer for the caller to judge; a failure is an error that says whose."""
    broken = digits_network()
    with torch.no_grad():
        broken[0].weight[0, 0] = torch.nan
    assert not np.isfinite(ask(broken, ProbeSet.of(IMAGES))).all()
    with pytest.raises(ValueError, match=r"it fails on inputs of shape \(1, 63\): RuntimeError: mat1 and mat2"):
        ask(digits_network(), ProbeSet.of(IMAGES[:, :63]))
    with pytest.raises(TypeError, match="a dict cannot be run: give the module"):
        ask(dict(digits_network().state_dict()), ProbeSet.of(IMAGES))
    with pytest.raises(ValueError, match="floats with a row for each input, but a tensor of"):
        ask(Argmax(), ProbeSet.of(IMAGES))


class Argmax(nn.Module):
    def forward(self, x):
        return x.argmax(dim=1)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (IMAGES[:1], "at least 2 inputs, got 1"),
        (iter([]), "at least 2 inputs, got 0"),
        (torch.empty(0, 64), "at least 2 inputs, got 0"),
        (IMAGES[:1].repeat(20, 1), "must differ, got 20 equal ones"),
        (torch.cat([IMAGES[:9], torch.full((1, 64), torch.nan)]), "must be finite"),
        ([(torch.ones(5), 0), (torch.zeros(6), 1)], r"one shape, got inputs of shape \(5,\) and \(6,\)"),
        ({"a": torch.ones(4, 2), "b": torch.ones(3, 2)}, "as many rows under each name"),
    ],
    ids=["one", "ended", "empty", "equal", "not-finite", "shapes", "rows"],
)
def test_inputs_that_tell_nothing_are_refused(inputs, message):
    """One line says what is wrong with them."""
    with pytest.raises(ValueError, match=message):
        ProbeSet.of(inputs)


@pytest.mark.parametrize("inputs", ["digits.npz", None, 3.0, [object()], [("a picture", 1)]])
def test_what_is_no_input_is_named(inputs):
    """The message lists what can be given."""
    with pytest.raises(TypeError, match="`inputs` must be a tensor, an array"):
        ProbeSet.of(inputs)


def test_a_model_tells_batches_from_inputs():
    """Tensors of one shape in a list may be either; the model takes only one of them."""
    rows = torch.arange(6 * 4 * 8.0).reshape(6, 4, 8)
    sequences = ProbeSet.of(list(rows), model=nn.Sequential(nn.Flatten(), nn.Linear(32, 2)))
    assert len(sequences) == 6
    assert len(ProbeSet.of(list(rows), model=nn.Linear(8, 2))) == 24


def test_more_inputs_for_many_classes():
    """Eight for each class, up to a limit."""
    assert [inputs_for(classes) for classes in (2, 64, 65, 10**6)] == [512, 512, 520, 4096]
