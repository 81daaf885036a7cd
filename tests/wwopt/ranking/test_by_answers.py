"""Ranking by answers: networks that are asked the same inputs judge each other, behind the gates of the diagnosis."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import wwopt
from wwopt.consensus import Verdict

IMAGES = torch.as_tensor(load_digits().data / 16, dtype=torch.float32)
CLASSES = torch.as_tensor(load_digits().target)
TRAINED = 900
STEPS = (4, 8, 12, 20, 40, 80)


def build(width=64, inputs=64, outputs=10):
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs)
    )


def trained(seed, steps, wrong=0.0, width=64, lr=3e-3):
    """A perceptron that learned digits, its training loss and its accuracy on others; some labels may be wrong."""
    torch.manual_seed(seed)
    model, images, labels = build(width), IMAGES[:TRAINED], CLASSES[:TRAINED].clone()
    draw = np.random.default_rng(0)
    changed = draw.permutation(TRAINED)[: int(wrong * TRAINED)]
    labels[changed] = torch.as_tensor(draw.integers(10, size=len(changed)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        quality = float((model(IMAGES[TRAINED:]).argmax(dim=1) == CLASSES[TRAINED:]).float().mean())
    return model, loss.item(), quality


@pytest.fixture(scope="module")
def digits():
    """Networks that were trained for longer and longer: models, losses and qualities by name."""
    found = {f"steps {steps}": trained(seed, steps) for seed, steps in enumerate(STEPS)}
    return tuple({name: one[i] for name, one in found.items()} for i in range(3))


def broken():
    """A network with a zero layer, and one that holds NaN: by name."""
    found = {"zero": build(), "nan": build()}
    with torch.no_grad():
        found["zero"][2].weight.zero_()
        found["nan"][4].bias[0] = torch.nan
    return found


def test_answers_and_losses_order_networks_by_quality(digits):
    """Inputs without labels and losses give the order of the qualities, by name or in order."""
    models, losses, qualities = digits
    ranking = wwopt.rank(models, inputs=IMAGES[:TRAINED], losses=losses)
    order = sorted(qualities, key=qualities.get, reverse=True)
    assert list(ranking.table.index) == order
    assert ranking.rung == "inputs and loss"
    assert ranking.table["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    assert ranking.table["value"].is_monotonic_decreasing
    assert ranking.table["loss"].to_dict() == pytest.approx(losses)
    assert isinstance(ranking.verdict, Verdict)
    assert ranking.reason == ranking.verdict.reason
    listed = wwopt.rank(models, inputs=IMAGES[:TRAINED], losses=list(losses.values()))
    assert listed.table.equals(ranking.table)


def test_a_broken_network_never_wins(digits):
    """Neither its answers nor the least loss help a network that the diagnosis rules out."""
    models, losses, _ = digits
    candidates = broken() | models
    for given in (losses | {"zero": 0.0, "nan": 0.0}, None):
        ranking = wwopt.rank(candidates, inputs=IMAGES[:TRAINED], losses=given)
        assert set(ranking.table.index[-2:]) == {"zero", "nan"}
        assert ranking.table["status"].tolist() == ["ranked"] * 6 + ["broken"] * 2
        assert ranking.table["vote"][["zero", "nan"]].tolist() == [0, 0]
        assert any("Broken, and ranked behind all others" in warning for warning in ranking.warnings)
    ranking = wwopt.rank(candidates, losses=losses | {"zero": 0.0, "nan": 0.0})
    assert set(ranking.table.index[-2:]) == {"zero", "nan"}


def test_an_order_by_losses_alone_is_named_so(digits):
    """Without inputs the networks that the diagnosis passes stand in the order of their losses."""
    models, losses, _ = digits
    ranking = wwopt.rank(models, losses=losses)
    assert list(ranking.table.index) == sorted(losses, key=losses.get)
    assert (ranking.rung, ranking.metric) == ("weights and loss", "loss")
    assert ranking.table["agreement"].isna().all()


def test_weights_alone_are_the_first_rung(digits):
    """Without inputs and losses no verdict is given."""
    ranking = wwopt.rank(digits[0])
    assert (ranking.rung, ranking.verdict) == ("weights", None)


def test_who_cannot_be_asked_is_named_and_the_rest_is_ranked(digits):
    """A state dict, a network of another input shape and a missing file: three reasons, none of them a rank."""
    models, losses, _ = digits
    others = {"weights": dict(models["steps 4"].state_dict()), "narrow": build(inputs=63), "missing": "/nowhere.pt"}
    ranking = wwopt.rank(models | others, inputs=IMAGES[:TRAINED], losses=losses)
    table = ranking.table
    assert table["status"].tolist() == ["ranked"] * 6 + ["not asked"] * 2 + ["unreadable"]
    assert table["rank"][list(others)].isna().all()
    assert table["agreement"][list(others)].isna().all()
    assert table["note"]["weights"] == "a mapping of tensors cannot be run: give the module to `wwopt.rank`"
    assert "it fails on inputs of shape (1, 64): RuntimeError" in table["note"]["narrow"]
    assert any(warning.startswith("Not asked, which says nothing about them: narrow: ") for warning in ranking.warnings)
    with pytest.raises(
        ValueError, match="None of the candidates can be asked: a, b: a mapping of tensors cannot be run"
    ):
        wwopt.rank({"a": others["weights"], "b": others["weights"]}, inputs=IMAGES)


def test_networks_too_small_for_their_weights_to_be_measured_can_be_asked():
    """Layers under fifty eigenvalues have no score, and answer all the same; the best loss wins nothing by itself."""
    found = {f"steps {steps}": trained(steps, steps, width=24, lr=1e-2) for steps in (3, 10, 20, 40, 60, 80)}
    models, losses = ({name: one[i] for name, one in found.items()} for i in range(2))
    ranking = wwopt.rank(models, inputs=IMAGES[:TRAINED], losses=losses, min_evals=50)
    assert (ranking.table["status"] == "ranked").all()
    assert ranking.table["note"].str.startswith("its weights were not measured").all()
    assert ranking.table.index[-1] == "steps 3"
    assert ranking.table["score"].isna().all()


def test_one_answer_space(digits):
    """Networks of ten and of seven classes cannot be compared, which is said with their names."""
    models = digits[0] | {"seven": build(outputs=7)}
    with pytest.raises(ValueError, match=r"in one shape, got 10 of steps 4, .*; 7 of seven\. Rank each"):
        wwopt.rank(models, inputs=IMAGES)


def test_labels_change_nothing_unless_asked_for(digits):
    """Labels in pairs are ignored, also shuffled ones; with `with_labels` they feed the meter alone."""
    models, losses, _ = digits
    shuffled = CLASSES[torch.randperm(len(CLASSES), generator=torch.Generator().manual_seed(0))]
    plain, paired, mixed = (
        wwopt.rank(models, inputs=inputs, losses=losses) for inputs in (IMAGES, (IMAGES, CLASSES), (IMAGES, shuffled))
    )
    assert plain.table.equals(paired.table)
    assert plain.table.equals(mixed.table)
    assert plain.verdict.contradiction is None
    right, wrong = (
        wwopt.rank(models, inputs=(IMAGES, labels), losses=losses, with_labels=True) for labels in (CLASSES, shuffled)
    )
    assert right.verdict.contradiction < 0.2 < 0.8 < wrong.verdict.contradiction
    assert right.table.equals(wrong.table)
    assert right.table.equals(plain.table)
    assert any("% of the labels" in warning for warning in right.warnings)


def test_few_networks_cannot_tell(digits):
    """Two networks are no vote: this is said, and by what they stand in order instead."""
    models, losses, _ = digits
    two = {name: models[name] for name in ("steps 4", "steps 80")}
    ranking = wwopt.rank(two, inputs=IMAGES, losses={name: losses[name] for name in two})
    assert not ranking.verdict.can_tell
    assert ranking.metric == "loss"
    assert ranking.best == "steps 80"
    assert ranking.ties == ("steps 4",)
    assert any(warning.startswith("The answers cannot tell which is best") for warning in ranking.warnings)


def test_answers_that_somebody_has_collected(digits):
    """Answers can be given instead of asked for, as outputs or as class numbers, and come to the same."""
    models, losses, _ = digits
    inputs = IMAGES[:300]
    with torch.no_grad():
        outputs = {name: model(inputs).numpy() for name, model in models.items()}
    states = {name: dict(model.state_dict()) for name, model in models.items()}
    asked = wwopt.rank(models, inputs=inputs, losses=losses)
    given = wwopt.rank(states, answers=outputs, losses=losses)
    classes = wwopt.rank(states, answers={name: one.argmax(axis=1) for name, one in outputs.items()}, losses=losses)
    assert list(given.table.index) == list(asked.table.index) == list(classes.table.index)
    np.testing.assert_allclose(given.table["agreement"], asked.table["agreement"], atol=1e-9)
    assert given.rung == "inputs and loss"


def test_regression_is_told_by_labels_or_by_shape(digits):
    """Labels of floats make the outputs values; so do outputs that move together; `kind` overrides."""
    from wwopt.ranking.evidence import gather
    from wwopt.sources import expand

    def kind(models, inputs, **options):
        return gather(expand(models), inputs, None, None, **options).kind

    models = {name: digits[0][name] for name in ("steps 4", "steps 80")}
    assert kind(models, IMAGES) == "auto"
    assert kind(models, (IMAGES, CLASSES)) == "classes"
    assert kind(models, (IMAGES, CLASSES.double()[:, None].repeat(1, 10))) == "values"
    assert kind(models, IMAGES, kind="values") == "values"
    autoencoder = {str(i): nn.Sequential(nn.Flatten(), nn.Linear(64, 64)) for i in range(2)}
    assert kind(autoencoder, IMAGES.reshape(-1, 1, 8, 8)) == "values"
    halves = {str(i): nn.Linear(64, 32) for i in range(3)}
    with torch.no_grad():
        for model in halves.values():
            model.weight.abs_()  # all outputs grow with the brightness
    assert kind(halves, IMAGES) == "values"
    assert kind(halves, IMAGES, kind="classes") == "classes"
    assert any("taken for values" in warning for warning in wwopt.rank(halves, inputs=IMAGES, min_evals=20).warnings)


def test_many_classes_are_asked_more_inputs():
    """Eight inputs for each of a hundred classes, where there are as many; an iterator is not read again."""
    from wwopt.ranking.evidence import gather
    from wwopt.sources import expand

    models = expand({str(i): nn.Linear(8, 100) for i in range(2)})
    inputs = torch.randn(2000, 8, generator=torch.Generator().manual_seed(0))
    assert gather(models, inputs, None, None).inputs == 800
    assert gather(models, inputs[:600], None, None).inputs == 600
    assert gather(models, iter(inputs.split(64)), None, None).inputs == 512


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"losses": {"nobody": 0.1}}, "`losses` must be of candidates, which nobody are not; these are"),
        ({"losses": {"steps 4": "low"}}, "`losses` must be numbers, got 'low' of steps 4"),
        ({"losses": [0.1, 0.2]}, "`losses` must have one number for each of 6 candidates, got 2"),
        ({"answers": {"nobody": np.zeros(9)}}, "`answers` must be of candidates"),
        ({"answers": {"steps 4": np.zeros(9), "steps 8": np.zeros(8)}}, "must answer in one shape"),
        ({"answers": {"steps 4": np.zeros(9), "steps 8": np.zeros(9, dtype=int)}}, "of all candidates, or outputs of"),
        ({"answers": {"steps 4": np.array(["a", "b"])}}, "must be class numbers"),
        ({"inputs": IMAGES, "answers": {}}, "cannot both be given"),
        ({"inputs": IMAGES[:1]}, "at least 2 inputs, got 1"),
        ({"inputs": IMAGES, "kind": "labels"}, "`kind` must be one of auto, classes, values"),
    ],
)
def test_bad_evidence_is_one_clear_error(digits, options, message):
    """Before anything long is computed."""
    with pytest.raises(ValueError, match=message):
        wwopt.rank(digits[0], **options)


@pytest.mark.slow
def test_models_of_hugging_face_are_asked_by_name(tmp_path):
    """Tokens with their mask, as modules and as folders; labels among the inputs are not given to the models."""
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=64, num_hidden_layers=1, num_attention_heads=2, intermediate_size=96, num_labels=3
    )
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 40, (256, 10), generator=draw)
    inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "labels": tokens[:, 0] % 3}
    models = {}
    for steps in (0, 1, 5, 10, 20, 40):
        torch.manual_seed(steps)
        model = models[str(steps)] = transformers.BertForSequenceClassification(config)
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
        for _ in range(steps):
            optimizer.zero_grad()
            model(**inputs).loss.backward()
            optimizer.step()
        model.save_pretrained(tmp_path / str(steps))
    ranking = wwopt.rank(models, inputs=inputs)
    folders = wwopt.rank([tmp_path / name for name in models], inputs=inputs)
    assert ranking.best == "40"
    assert ranking.rung == "inputs"
    assert list(folders.table.index[:4]) == list(ranking.table.index[:4])  # the others have learned nothing
    agreement = [one.table["agreement"].loc[["40", "20", "10"]] for one in (folders, ranking)]
    np.testing.assert_allclose(*agreement, atol=0.05)  # as modules they have another score, which weighs the votes
