"""Answers as a trial keeps them: small, exact, and plain JSON."""

import json

import numpy as np
import pytest

from wwopt.consensus import agreement, sketch
from wwopt_objectives.study.kept_answers import MAX_CHARACTERS, KeptAnswers, pack, unpack


def logits(inputs=512, outputs=10, seed=0):
    return np.random.default_rng(seed).normal(size=(inputs, outputs))


@pytest.mark.parametrize(("outputs", "dtype"), [(2, "int8"), (10, "int8"), (128, "int8"), (200, "int16")])
def test_classes_are_numbers(outputs, dtype):
    """Of several outputs the largest is kept, in as few bytes as hold its number."""
    raw = logits(outputs=outputs)
    kept = KeptAnswers.of(raw, "1f")
    assert kept.kind == "classes"
    assert np.array_equal(kept.answers, raw.argmax(axis=1))
    assert unpack(kept.attribute()["answers"]).dtype == dtype


def test_what_is_unpacked_is_what_was_packed():
    """The attribute is JSON, and gives the same numbers back, the sketch too."""
    raw = logits()
    attribute = json.loads(json.dumps(KeptAnswers.of(raw, "1f").attribute()))
    assert (attribute["inputs"], attribute["outputs"]) == ("1f", 10)
    assert np.array_equal(unpack(attribute["answers"]), raw.argmax(axis=1))
    assert np.array_equal(unpack(attribute["sketch"]), sketch(raw))
    for array in (np.float32([[1.5], [-2.0]]), np.int16([300, -1]), np.zeros((0, 3), np.float16)):
        assert np.array_equal(unpack(pack(array)), array)
        assert unpack(pack(array)).dtype == array.dtype


def test_kept_answers_agree_as_raw_ones_do():
    """Agreement of what was kept is that of the outputs."""
    teacher = logits()
    raw = [teacher + noise * logits(seed=number) for number, noise in enumerate((0.1, 0.5, 1.0, 0.3))]
    kept = [KeptAnswers.of(outputs, "1f").answers for outputs in raw]
    assert agreement(kept) == pytest.approx(agreement(raw))


def test_the_attribute_is_small():
    """512 answers of ten classes and their sketch are below the 8,000 characters that MLflow's storage keeps."""
    assert len(json.dumps(KeptAnswers.of(logits(), "1f").attribute())) < 8000 < MAX_CHARACTERS


def test_values_and_missing_answers():
    """One output is a value; an output that is not finite is no answer."""
    assert KeptAnswers.of(logits(outputs=1), "1f").kind == "values"
    assert KeptAnswers.of(logits(outputs=3), "1f", "values").answers.shape == (512, 3)
    assert KeptAnswers.of(logits(outputs=1), "1f", "classes").answers.max() == 1
    assert KeptAnswers.of([[np.nan, 1.0], [2.0, 1.0]], "1f").answers.tolist() == [-1, 0]


def test_damage_is_said():
    """What is no packed array raises `ValueError`."""
    with pytest.raises(ValueError, match="damaged"):
        unpack({"dtype": "int8", "shape": [3], "data": "AAAA"})


def test_sequences_keep_their_positions():
    """A language model's answers stay a table of inputs and positions, thinned out or not: it is judged by its loss."""
    outputs = np.random.default_rng(0).normal(size=(20, 12, 5))
    assert KeptAnswers.of(outputs, "1f").answers.shape == (20, 12)
    many = np.random.default_rng(0).normal(size=(300, 40, 3))
    assert KeptAnswers.of(many, "1f").answers.shape == (4096, 2)
