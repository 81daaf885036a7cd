"""Which layers write into a space and which read it: PyTorch's own blocks, and what nothing can be said of."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import wwopt
from wwopt.alignment.graph import wiring_by_graph
from wwopt.alignment.order import PART, in_network_order
from wwopt.alignment.sequence import spaces_by_order
from wwopt.alignment.spaces import Space
from wwopt.text import split_names
from wwopt.weights import open_weights


def spaces_of(model):
    """Hidden spaces that the graph of a module shows."""
    return list(wiring_by_graph(model).spaces)


def pairs_of(source):
    """Writers and readers of each space that an analysis measured."""
    return wwopt.analyze(source, alignment=True).pairs[["writers", "readers"]].to_numpy().tolist()


def sets_of(source):
    """The same, whatever the order."""
    return {tuple(frozenset(split_names(names)) for names in row) for row in pairs_of(source)}


class Recurrent(nn.Module):
    """Tokens, a recurrent module and a head."""

    def __init__(self, kind=nn.LSTM, **options):
        super().__init__()
        self.embedding = nn.Embedding(96, 60)
        self.rnn = kind(60, 64, batch_first=True, **options)
        self.head = nn.Linear(64 * (2 if options.get("bidirectional") else 1), 10)

    def forward(self, x):
        return self.head(self.rnn(self.embedding(x))[0][:, -1])


def gates(name, kind):
    return [
        name + gate for gate in {nn.LSTM: (".i", ".f", ".g", ".o"), nn.GRU: (".r", ".z", ".n"), nn.RNN: ("",)}[kind]
    ]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_the_state_of_a_recurrent_layer_is_read_by_itself_and_by_the_next(kind):
    """Gates of the input read the layer before; all gates write the state, which its own gates read too."""
    first, state, second, second_state = (
        gates(f"rnn.weight_{part}", kind) for part in ("ih_l0", "hh_l0", "ih_l1", "hh_l1")
    )
    spaces = {frozenset(space.writers): set(space.readers) for space in spaces_of(Recurrent(kind, num_layers=2))}
    assert spaces == {
        frozenset(["embedding"]): set(first),
        frozenset(first + state): {*state, *second},
        frozenset(second + second_state): {*second_state, "head"},
    }


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_recurrent_state_dict_is_matched_like_its_module(kind):
    """Names and shapes tell what the graph tells."""
    model = Recurrent(kind, num_layers=2)
    assert sets_of(model) == sets_of(model.state_dict())


@pytest.mark.parametrize("options", [{"bidirectional": True}, {"proj_size": 32}])
def test_two_directions_and_projections_are_not_matched(options):
    """What is joined from two directions is no one space; nothing is guessed."""
    model = Recurrent(**options)
    model.head = nn.Linear(32 if "proj_size" in options else 128, 10)
    assert [space.readers for space in spaces_of(model)] == [tuple(gates("rnn.weight_ih_l0", nn.LSTM))]
    writers = [writers for writers, readers in pairs_of(model.state_dict()) if "head" in readers]
    assert writers == (["rnn.weight_hr_l0"] if "proj_size" in options else [])


class Encoder(nn.Module):
    """PyTorch's encoder between a table and a head."""

    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(96, 64)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), 2)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(self.encoder(self.emb(x)).mean(1))


def test_the_blocks_of_pytorchs_encoder_are_followed():
    """Its layers are leaves of the graph, and yet every matrix in them is matched."""
    spaces = {frozenset(space.writers): set(space.readers) for space in spaces_of(Encoder())}
    blocks = [f"encoder.layers.{i}" for i in range(2)]
    stream = {"emb", *(f"{block}.{part}" for block in blocks for part in ("self_attn.out_proj", "linear2"))}
    read = {f"{block}.{part}" for block in blocks for part in (*(f"self_attn.in_proj.{q}" for q in "qkv"), "linear1")}
    assert spaces == {
        frozenset(stream): read | {"head"},
        **{frozenset([f"{b}.self_attn.in_proj.v"]): {f"{b}.self_attn.out_proj"} for b in blocks},
        **{frozenset([f"{b}.linear1"]): {f"{b}.linear2"} for b in blocks},
    }
    names = {name for row in pairs_of(Encoder()) for names in row for name in split_names(names)}
    assert names >= set(wwopt.analyze(Encoder()).details["name"])


def test_the_blocks_of_pytorchs_decoder_read_the_memory():
    """Keys and values of the second attention read what the encoder wrote."""

    class Translator(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb, self.head = nn.Embedding(96, 64), nn.Linear(64, 10)
            self.body = nn.Transformer(64, 4, 1, 1, 128, batch_first=True)

        def forward(self, x):
            return self.head(self.body(self.emb(x), self.emb(x)))

    edges = {(writer, reader) for space in spaces_of(Translator()) for writer in space.writers
             for reader in space.readers}  # fmt: skip
    memory = "body.encoder.layers.0.linear2"
    assert (memory, "body.decoder.layers.0.multihead_attn.in_proj.v") in edges
    assert ("body.decoder.layers.0.multihead_attn.in_proj.v", "body.decoder.layers.0.multihead_attn.out_proj") in edges
    assert ("body.decoder.layers.0.linear2", "head") in edges


@pytest.mark.parametrize("options", [{}, {"kdim": 48, "vdim": 48}])
def test_attention_in_a_module_of_its_own_passes_on_its_values(options):
    """Fused or not."""

    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.other, self.last = (
                nn.Linear(30, 64),
                nn.Linear(30, options.get("kdim", 64)),
                nn.Linear(64, 9),
            )
            self.attention = nn.MultiheadAttention(64, 4, batch_first=True, **options)

        def forward(self, x):
            other = self.other(x)
            return self.last(self.attention(self.first(x), key=other, value=other, need_weights=False)[0])

    values = "attention.v_proj_weight" if options else "attention.in_proj.v"
    spaces = {space.writers: space.readers for space in spaces_of(Attending())}
    assert spaces[values,] == ("attention.out_proj",)
    assert spaces["attention.out_proj",] == ("last",)
    assert values in spaces["other",]
    assert spaces["first",] == ("attention.q_proj_weight" if options else "attention.in_proj.q",)


def test_depthwise_convolutions_pass_on():
    """They keep channels apart, as a norm does."""
    model = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Conv2d(64, 64, 3, groups=64), nn.Conv2d(64, 96, 1))
    assert spaces_of(model) == [Space(("0",), ("2",))]


class Joined(nn.Module):
    """Two layers side by side, or a token before a sequence."""

    def __init__(self, *, token=False):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 64)) if token else None
        self.first, self.second, self.third = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64 if token else 128, 64)

    def forward(self, x):
        a = self.first(x)
        joined = (
            torch.cat([a, self.second(a)], -1) if self.token is None else torch.cat([self.token, self.second(a)], 1)
        )
        return self.third(joined)


def test_what_is_put_side_by_side_is_no_one_space():
    """A class token before a sequence is another matter."""
    assert spaces_of(Joined()) == [Space(("first",), ("second",))]
    assert spaces_of(Joined(token=True)) == [Space(("first",), ("second",)), Space(("second",), ("third",))]


class Functional(nn.Module):
    """A layer whose weights go into a function."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(64, 64), nn.Linear(64, 64)
        self.between = nn.Parameter(torch.randn(64, 64))

    def forward(self, x):
        return self.last(nn.functional.linear(self.first(x), self.between))


@pytest.mark.parametrize(
    "model",
    [
        Functional(),
        nn.Sequential(nn.Linear(64, 64), nn.GRUCell(64, 64), nn.Linear(64, 64)),
    ],
    ids=["functional", "cell"],
)
def test_nothing_is_matched_across_weights_that_are_not_known(model):
    """Better no pair than layers that are no neighbours."""
    assert spaces_of(model) == []


def test_order_matches_nothing_across_a_layer_of_unknown_kind():
    layers = [("a", "dense", 64, 64), ("b", "bilinear", 0, 0), ("c", "dense", 64, 64)]
    assert spaces_by_order(layers) == []


def test_order_matches_convolutions_of_equal_channels_only():
    """A convolution cannot read flattened maps; joined ones are no one space."""
    layers = [("a", "conv2d", 32, 3), ("b", "conv2d", 32, 96), ("c", "dense", 10, 288)]
    assert spaces_by_order(layers) == [Space(("b",), ("c",))]


def reading(basis, outputs, rng):
    """Weights, shape (outputs, width), that read the directions of a basis."""
    return torch.as_tensor(rng.normal(size=(outputs, basis.shape[1])) @ basis.T, dtype=torch.float32)


def test_flattened_tables_and_maps_are_read_in_their_own_order():
    """Flattened tokens have their features together, flattened maps their places."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(64, 8)))[0]

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.dense = nn.Embedding(200, 64), nn.Linear(5 * 64, 9)

        def forward(self, x):
            return self.dense(self.table(x).flatten(1))

    tokens, maps = Tokens(), nn.Sequential(nn.Conv2d(40, 64, 1), nn.Flatten(), nn.Linear(64 * 5, 9))
    places = [reading(basis, 9, rng) for _ in range(5)]
    with torch.no_grad():
        tokens.table.weight.copy_(reading(basis, 200, rng))
        tokens.dense.weight.copy_(torch.cat(places, 1))
        maps[0].weight.copy_(reading(basis, 40, rng).T[:, :, None, None])
        maps[2].weight.copy_(torch.stack(places, 2).reshape(9, -1))
    for model in (tokens, maps):
        assert wwopt.analyze(model, alignment=True).pairs["alignment"].tolist() == [pytest.approx(1, abs=0.05)]


def test_transposed_convolutions_write_and_read():
    """Their weights have a row for each input."""
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.normal(size=(64, 8)))[0]
    model = nn.Sequential(nn.ConvTranspose2d(50, 64, 1), nn.ReLU(), nn.ConvTranspose2d(64, 70, 1))
    with torch.no_grad():
        model[0].weight.copy_(reading(basis, 50, rng)[:, :, None, None])
        model[2].weight.copy_(reading(basis, 70, rng).T[:, :, None, None])
    assert wwopt.analyze(model, alignment=True).pairs["alignment"].tolist() == [pytest.approx(1, abs=0.05)]


class Fused(nn.Module):
    """Queries, keys and values in one layer, as timm and nanoGPT have them."""

    def __init__(self):
        super().__init__()
        self.first, self.qkv, self.proj = nn.Linear(30, 64), nn.Linear(64, 192), nn.Linear(64, 64)

    def forward(self, x):
        q, k, v = self.qkv(self.first(x)).chunk(3, -1)
        return self.proj(nn.functional.scaled_dot_product_attention(q, k, v))


@pytest.mark.parametrize("wrap", [lambda model: model, nn.DataParallel], ids=["bare", "wrapped"])
def test_of_a_fused_layer_all_parts_read_and_the_values_write(wrap):
    """An analysis names the parts; the module's graph knows only the whole. A wrapper changes nothing."""
    assert pairs_of(wrap(Fused())) == [["first", "qkv.q + qkv.k + qkv.v"], ["qkv.v", "proj"]]


def test_a_state_dict_of_a_transformer_is_matched_as_its_graph_would_be():
    """Tables are added up, queries and keys read beside the values, tables of relative places belong to none."""
    layers = [
        ("words", "embedding", 64, 200),
        ("places", "embedding", 64, 40),
        ("q_proj", "dense", 64, 64),
        ("k_proj", "dense", 64, 64),
        ("v_proj", "dense", 64, 64),
        ("relative_bias", "embedding", 4, 32),
        ("o_proj", "dense", 64, 64),
        ("conv", "conv1d", 64, 1),
        ("fc1", "dense", 128, 64),
    ]
    assert spaces_by_order(layers) == [
        Space(("words", "places"), ("q_proj", "k_proj", "v_proj")),
        Space(("v_proj",), ("o_proj",)),
        Space(("o_proj",), ("fc1",)),
    ]


@pytest.mark.parametrize("turned", [True, False], ids=["GPT-2", "nanoGPT"])
def test_the_layers_of_gpt2_are_read_the_other_way_round(turned):
    """Its dense layers are stored with a row for each input, nanoGPT's of the same names are not."""
    rng = np.random.default_rng(2)
    basis = np.linalg.qr(rng.normal(size=(256, 64)))[0]
    up, down = rng.normal(size=(64, 64)) @ basis.T, rng.normal(size=(64, 64)) @ basis.T
    state = {"h.0.mlp.c_fc.weight": up if turned else up.T, "h.0.mlp.c_proj.weight": down.T if turned else down}
    pairs = wwopt.analyze(state, alignment=True).pairs
    assert pairs["width"].tolist() == [256]
    assert pairs["alignment"].tolist() == [pytest.approx(1, abs=0.1)]


class Plain(nn.Module):
    """A decoder with names of its own, in an order of its own."""

    def __init__(self):
        super().__init__()
        self.tokens, self.head = nn.Embedding(90, 64), nn.Linear(64, 90)
        names = {
            "query": (64, 64),
            "key": (64, 64),
            "value": (64, 64),
            "out": (64, 64),
            "up": (64, 128),
            "down": (128, 64),
        }
        self.blocks = nn.ModuleList(
            nn.ModuleDict({name: nn.Linear(*size) for name, size in names.items()}) for _ in range(11)
        )


def in_alphabet(state):
    """A state dict as safetensors gives it back."""
    return {name: state[name] for name in sorted(state)}


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(*(layer for _ in range(7) for layer in (nn.Linear(64, 64), nn.ReLU())), nn.Linear(64, 10)),
        Recurrent(num_layers=2),
        Encoder(),
        Plain(),
    ],
    ids=["chain", "recurrent", "encoder", "plain"],
)
def test_files_in_the_order_of_the_alphabet_are_matched_like_others(model):
    """Safetensors sorts names, so that ".10." stands before ".2." and "down" before "query"."""
    state = model.state_dict()
    if isinstance(model, Plain):  # its head stands before its blocks
        state = {name: state[name] for name in sorted(state, key=lambda name: "head" in name)}
    expected = sets_of(state)
    assert sets_of(in_alphabet(state)) == expected
    assert len(expected) >= 3


@pytest.mark.parametrize(
    ("family", "sizes"),
    [
        ("Bert", {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}),
        ("GPT2", {"n_embd": 64, "n_layer": 2, "n_head": 4}),
        ("Llama", {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}),
        ("DistilBert", {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128}),
    ],
)
def test_real_checkpoints_are_matched_in_either_order(family, sizes):
    """The names of Hugging Face's models, sorted and as the module gives them."""
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, f"{family}Config")(vocab_size=100, **sizes)
    state = getattr(transformers, f"{family}Model")(config).state_dict()
    expected = sets_of(state)
    assert sets_of(in_alphabet(state)) == expected
    assert len(expected) >= 6


@pytest.mark.parametrize(
    "names",
    [
        ["conv1", "conv2", "fc1", "fc2", "fc3"],
        ["fc1", "fc2", "out"],
        ["hidden1", "hidden2", "output"],
        ["dense", "dense_1", "dense_2"],
        ["layers.0", "layers.2", "layers.10"],
        ["features.0", "features.11", "classifier.0", "classifier.3"],
        ["conv1", "layer1.0.conv1", "layer1.0.conv2", "fc"],
        ["patch_embed.proj", "blocks.0.attn.qkv", "blocks.0.attn.proj", "blocks.0.mlp.fc1", "blocks.0.mlp.fc2", "head"],
        ["tok_embeddings", "layers.0.attention.wq", "layers.0.attention.wo", "layers.0.feed_forward.w1", "output"],
        ["emb", "rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.weight_ih_l1", "rnn.weight_hh_l1", "head"],
    ],
    ids=lambda names: names[0],
)
def test_names_tell_the_order_of_a_sorted_file(names):
    """Usual names, as they come back sorted, also those that were sorted all along."""
    state = {f"{name}.weight" if "weight_" not in name else name: torch.ones(9, 5) for name in sorted(names)}
    matrices = open_weights(state).matrices
    assert list(dict.fromkeys(PART.sub("", matrix.name) for matrix in in_network_order(matrices))) == names


def test_an_order_that_is_not_the_alphabets_is_kept():
    """It is the module's own."""
    matrices = open_weights({f"{name}.weight": torch.ones(9, 5) for name in ("head", "conv", "emb")}).matrices
    assert in_network_order(matrices) == list(matrices)


def test_a_norm_over_channels_and_places_is_folded_into_the_layer_that_reads_them_flattened():
    """Its gains and that layer's columns may be exchanged, as no answer changes; other layers are left as they are."""
    torch.manual_seed(0)
    gained = nn.Sequential(nn.Conv2d(8, 64, 3), nn.LayerNorm([64, 2, 2]), nn.Flatten(), nn.Linear(256, 80))
    nn.init.uniform_(gained[1].weight, 0.1, 3.0)
    folded = copy.deepcopy(gained)
    with torch.no_grad():
        folded[3].weight *= gained[1].weight.flatten()
        folded[1].weight.fill_(1.0)
    images = torch.randn(5, 8, 4, 4)
    torch.testing.assert_close(folded(images), gained(images))
    found, expected = (wwopt.analyze(net).details.set_index("name") for net in (gained, folded))
    assert found["stable_rank"]["3"] != pytest.approx(expected["stable_rank"]["3"], rel=1e-3)
    columns = ["invariant_alpha", "invariant_stable_rank", "invariant_sides"]
    for name in ("0", "3"):
        assert found.loc[name, columns].tolist() == pytest.approx(expected.loc[name, columns].tolist(), rel=1e-5)
    unread = nn.Sequential(nn.Conv2d(8, 64, 3), nn.LayerNorm([64, 2, 2]), nn.Conv2d(64, 80, 1))
    assert wwopt.analyze(unread).details["invariant_sides"].tolist() == [1, 1]
