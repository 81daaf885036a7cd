"""`read_inputs`: inputs in any form that people keep them in, read once, as a list with an entry for each."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils import data

__all__ = ["Input", "InputList", "Reading", "read_inputs"]

Input = Tensor | dict[str, Tensor]  # one input, without the batch
Reading = Literal["auto", "batches", "inputs"]
LABELS = ("labels", "label", "label_ids")  # in mappings, as Hugging Face names them
FORMS = "a tensor, an array, a list, a mapping of names to tensors, a dataset, or any iterable of batches"


@dataclass
class InputList:
    """Inputs, and the labels that came with them; ``labels`` is empty where some came without."""

    inputs: list[Input] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)

    def take(self, indices: Sequence[int]) -> InputList:
        """Return those of these numbers."""
        labels = [self.labels[index] for index in indices] if self.labels else []
        return InputList([self.inputs[index] for index in indices], labels)


def read_inputs(inputs: object, most: int, seed: int, reading: Reading = "auto") -> InputList:
    """Read inputs once; of more than ``most`` as many, drawn at random where their number is known beforehand.

    Parameters
    ----------
    inputs : object
        A tensor or array with a row for each input; a mapping of names to such; a pair of these with labels; a list of
        numbers; a torch or Hugging Face dataset; a DataLoader, whose dataset is read in an order of our own; any other
        iterable of batches, pairs of batch and labels among them, which is read from its beginning.
    most : int
        Number of inputs that are kept at most.
    seed : int
        Of the draw, and of random transformations in a dataset.
    reading : {"auto", "batches", "inputs"}
        What the arrays in an iterable are. "auto": single inputs where they have one dimension or none.

    Raises
    ------
    TypeError
        The inputs, or an entry of an iterable, are of a type that cannot be read.
    ValueError
        Names of a mapping, or labels, do not have one entry for each input.

    Examples
    --------
    >>> len(read_inputs(torch.ones(100, 4), 10, seed=0).inputs)
    10
    >>> pairs = [(torch.ones(8, 4), torch.zeros(8)), (torch.ones(3, 4), torch.zeros(3))]
    >>> len(read_inputs(pairs, 10, seed=0).inputs)
    10
    """
    with _own_random_state(seed):
        if isinstance(inputs, data.DataLoader):
            return _read_loader(inputs, most, seed)
        if isinstance(inputs, data.Dataset) or hasattr(inputs, "column_names"):
            if hasattr(inputs, "__len__") and hasattr(inputs, "__getitem__"):
                return _read_samples(inputs, range(len(inputs)), most, seed)
            return _read_entries(inputs, most, "inputs")
        if isinstance(inputs, (list, tuple)) and any(_is_entry(part) for part in inputs) and not _is_whole(inputs):
            read = _read_entries(inputs, None, reading)
            return read.take(_draw(len(read.inputs), most, seed))
        if isinstance(inputs, (list, tuple, Mapping, Tensor)) or hasattr(inputs, "__array__"):
            return _read_whole(inputs, most, seed)
        return _read_entries(inputs, most, reading)


def _is_whole(inputs: Sequence[Any]) -> bool:
    """Whether this is a pair of all inputs and all labels, and no sequence of batches."""
    return isinstance(inputs, tuple) and _is_pair(inputs)


def _read_whole(inputs: Any, most: int, seed: int) -> InputList:
    """Read what holds all inputs at once, no more of it than is kept."""
    if isinstance(inputs, tuple) and _is_whole(inputs):
        batch, labels = inputs[0], inputs[1] if len(inputs) > 1 else None
    else:
        batch, labels = inputs, None
    if isinstance(batch, Mapping):
        read = _with_labels(_batch_of_mapping(batch), labels)
        return read.take(_draw(len(read.inputs), most, seed))
    rows = batch if isinstance(batch, Tensor) else np.asarray(batch)
    if not rows.ndim:
        raise TypeError(f"`inputs` must be {FORMS}, got a single number.")
    drawn = _draw(len(rows), most, seed)
    if labels is not None:
        labels = [labels[index] for index in drawn] if len(labels) == len(rows) else None
    return _with_labels(_batch(rows[drawn]), labels)


def _read_loader(loader: data.DataLoader[Any], most: int, seed: int) -> InputList:
    """Read a loader's dataset, by the loader's collation: its own order would be another one at each call."""
    indices = _indices(loader)
    if indices is None:
        with _own_generator(loader.generator):
            return _read_entries(loader, most, "batches")
    drawn = [indices[index] for index in _draw(len(indices), most, seed)]
    size = loader.batch_size or 1
    parts = (drawn[start : start + size] for start in range(0, len(drawn), size))
    batches = (loader.collate_fn([loader.dataset[index] for index in part]) for part in parts)
    return _read_entries(batches, most, "batches")


def _indices(loader: data.DataLoader[Any]) -> Sequence[int] | None:
    """Numbers of the samples that a loader goes through; None where it does not tell them without being run."""
    if loader.batch_size is None or isinstance(loader.dataset, data.IterableDataset):
        return None
    if isinstance(loader.sampler, data.SubsetRandomSampler):
        return sorted(loader.sampler.indices)
    if isinstance(loader.sampler, (data.RandomSampler, data.SequentialSampler)) and hasattr(loader.dataset, "__len__"):
        return range(len(loader.dataset))
    return None


def _read_samples(samples: Any, indices: Sequence[int], most: int, seed: int) -> InputList:
    drawn = [indices[index] for index in _draw(len(indices), most, seed)]
    return _read_entries((samples[index] for index in drawn), most, "inputs")


def _read_entries(entries: Any, most: int | None, reading: Reading) -> InputList:
    """Read batches or samples one after the other, until there are enough."""
    if isinstance(entries, (str, bytes)) or not isinstance(entries, Iterable):
        raise TypeError(f"`inputs` must be {FORMS}, got {type(entries).__name__}.")
    read, labelled = InputList(), True
    for entry in entries:
        batch = _entry(entry, reading)
        labelled = labelled and len(batch.labels) == len(batch.inputs)
        read.inputs += batch.inputs
        read.labels += batch.labels
        if most is not None and len(read.inputs) >= most:
            break
    return InputList(read.inputs[:most], read.labels[:most] if labelled else [])


def _entry(entry: object, reading: Reading) -> InputList:
    """Read a batch, or a single input as a batch of one; the labels of a pair tell which it is, else ``reading``."""
    if isinstance(entry, (list, tuple)) and _is_pair(entry):
        inputs, labels = entry[0], entry[1] if len(entry) > 1 else None
        single = _is_single(inputs, reading)
        if labels is not None and not isinstance(inputs, Mapping) and reading == "auto":
            single = np.ndim(labels) == 0 or np.shape(labels)[0] != len(inputs)
        return _with_labels(_batch(inputs, single=single), [labels] if single and labels is not None else labels)
    return _batch(entry, single=_is_single(entry, reading))


def _is_single(inputs: Any, reading: Reading) -> bool:
    if isinstance(inputs, Mapping) and reading != "batches":
        return all(np.ndim(part) <= 1 for part in inputs.values())
    return np.ndim(inputs) < 2 if reading == "auto" else reading == "inputs"


def _batch(inputs: Any, *, single: bool = False) -> InputList:
    if isinstance(inputs, Mapping):
        return _batch_of_mapping({name: part[None] for name, part in _arrays(inputs).items()} if single else inputs)
    rows = _array(inputs)
    if not single and not rows.ndim:
        raise TypeError(f"`inputs` must be {FORMS}, got a single number.")
    return InputList([rows] if single else list(rows))


def _batch_of_mapping(inputs: Mapping[Any, Any]) -> InputList:
    arrays = _arrays(inputs)
    if not arrays or not all(array.ndim for array in arrays.values()):
        raise TypeError(f"`inputs` must map names to tensors with a row for each input, got {list(arrays)}.")
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"`inputs` must have as many rows under each name, got {counts}.")
    labels = next((arrays.pop(name) for name in LABELS if name in arrays), None)
    count = next(iter(counts.values()))
    rows: list[Input] = [{name: array[i] for name, array in arrays.items()} for i in range(count)]
    return InputList(rows, [] if labels is None else list(labels))


def _with_labels(batch: InputList, labels: object) -> InputList:
    """Add labels; what is no array, or does not have one for each input, is none."""
    try:
        found = None if labels is None else _array(labels)
    except TypeError:
        found = None
    matched = found is not None and found.ndim > 0 and len(found) == len(batch.inputs)
    return InputList(batch.inputs, list(found) if found is not None and matched else batch.labels)


def _arrays(inputs: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The parts of a mapping that are numbers: a dataset's row may hold the text itself too."""
    return {str(name): _array(part) for name, part in inputs.items() if not _is_text(part)}


def _is_text(part: object) -> bool:
    return isinstance(part, str) or (isinstance(part, (list, tuple)) and bool(part) and isinstance(part[0], str))


def _array(part: Any) -> Tensor:
    """A tensor on the CPU, of 32 bits where it holds floats, which is what models take."""
    try:
        tensor = part.detach() if isinstance(part, Tensor) else torch.as_tensor(np.asarray(part))
    except (TypeError, ValueError) as error:
        raise TypeError(f"`inputs` must be {FORMS}, got {type(part).__name__}: {error}") from error
    tensor = tensor.to_dense() if tensor.layout != torch.strided else tensor
    return tensor.to("cpu", torch.float32 if torch.is_floating_point(tensor) else tensor.dtype)


def _is_pair(entry: Sequence[Any]) -> bool:
    return len(entry) > 0 and _is_entry(entry[0]) and (len(entry) == 1 or not isinstance(entry[1], Mapping))


def _is_entry(part: object) -> bool:
    """Whether this holds an input or several: a number, or nested numbers, are part of an array."""
    if isinstance(part, (list, tuple)):
        return bool(part) and isinstance(part[0], (Tensor, np.ndarray, Mapping))
    return isinstance(part, (Tensor, Mapping)) or (isinstance(part, np.ndarray) and part.ndim > 0)


def _draw(count: int, most: int, seed: int) -> list[int]:
    """Numbers of the inputs that are kept, in random order: any first part of them is a sample too."""
    return [int(i) for i in np.random.default_rng(seed).permutation(count)[:most]]


@contextmanager
def _own_random_state(seed: int) -> Iterator[None]:
    """Seed the random generators that datasets draw from, and put them back as they were."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002  (what datasets use)
    with torch.random.fork_rng(devices=[]):
        try:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002


@contextmanager
def _own_generator(generator: torch.Generator | None) -> Iterator[None]:
    """Put a loader's generator back as it was, so that the training's order stays the same."""
    state = None if generator is None else generator.get_state()
    try:
        yield
    finally:
        if generator is not None and state is not None:
            generator.set_state(state)
