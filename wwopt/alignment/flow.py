"""`Flow`: the spaces that each kind of layer reads, writes and passes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from wwopt.weights import GATES

__all__ = ["GAIN", "NO_WRITERS", "SHARES", "Flow", "Writers", "layers_in"]

Writers = frozenset[str]  # layers whose outputs are added up in a value; with `GAIN`, norms that have scaled it since

NO_WRITERS: Writers = frozenset()
GAIN = "gain of "  # no layer's name has a space
SHARES = "shares of "  # of a softmax: weights of an average, not values
GATES_OF = dict(GATES.values())


@dataclass
class Flow:
    """Record of which layers read the outputs of which, filled by passing values through layers.

    Attributes
    ----------
    edges : list of (str, str)
        Names of a writer and a reader, as in an analysis.
    gains : list of (str, str)
        Names of a layer that scales units one by one, a norm or a depthwise convolution, and of a reader after it.
    folds : list of (str, str)
        Names of a batch norm and of the layer right before it, which nothing else reads.
    products : list of (str, str)
        Names of queries and keys, which are multiplied unit by unit.
    """

    edges: list[tuple[str, str]] = field(default_factory=list)
    gains: list[tuple[str, str]] = field(default_factory=list)
    folds: list[tuple[str, str]] = field(default_factory=list)
    products: list[tuple[str, str]] = field(default_factory=list)

    def through(self, layer: nn.Module, name: str, args: Sequence[Writers], kwargs: Mapping[str, Writers]) -> Writers:
        """Pass values through a layer; returns the writers of its output.

        A layer of unknown kind that has weight matrices passes nothing on, so that its readers are not matched with
        the layers before it.
        """
        for kinds, names, act in KNOWN:
            if isinstance(layer, kinds):
                given = {**dict(zip(names, args, strict=False)), **kwargs}
                return act(self, layer, name, *(given.get(argument, NO_WRITERS) for argument in names))
        if isinstance(layer, NORMS):
            return self.normed(layer, name, NO_WRITERS.union(*args, *kwargs.values()))
        if any(parameter.ndim > 1 for parameter in layer.parameters()):
            return NO_WRITERS
        return NO_WRITERS.union(*args, *kwargs.values())

    def read(self, sources: Writers, *readers: str) -> None:
        """Record that layers read the outputs of others."""
        writers = sorted(layers_in(sources))
        scaled = sorted(token.removeprefix(GAIN) for token in sources if token.startswith(GAIN))
        self.edges += [(writer, reader) for reader in readers for writer in writers]
        self.gains += [(norm, reader) for reader in readers for norm in scaled]

    def normed(self, layer: nn.Module | None, name: str, sources: Writers) -> Writers:
        """Pass a norm, whose gains scale the units; one over features makes earlier gains meaningless."""
        if layer is None:
            return sources
        kept = sources if isinstance(layer, BY_UNIT) else layers_in(sources)
        return kept | {GAIN + name} if getattr(layer, "weight", None) is not None else kept

    def multiply(self, queries: Writers, keys: Writers) -> None:
        """Record that the outputs of two layers are multiplied with each other."""
        first, second = layers_in(queries), layers_in(keys)
        if len(first) == len(second) == 1 and first != second:
            self.products += zip(first, second, strict=True)

    def weighted(self, layer: nn.Module, name: str, sources: Writers) -> Writers:
        """Pass a layer with one matrix; a depthwise convolution keeps channels apart, as a norm does."""
        if getattr(layer, "groups", 1) > 1 and layer.groups == layer.in_channels == layer.out_channels:
            return sources | {GAIN + name}
        self.read(sources, name)
        return frozenset([name])

    def attention(
        self, layer: nn.MultiheadAttention, name: str, query: Writers, key: Writers, value: Writers
    ) -> Writers:
        """Pass attention: its output carries the values; queries and keys only weight them."""
        fused = layer.in_proj_weight is not None
        q, k, v = (f"{name}.in_proj.{part}" if fused else f"{name}.{part}_proj_weight" for part in "qkv")
        self.read(query, q)
        self.read(key, k)
        self.read(value, v)
        self.multiply(frozenset([q]), frozenset([k]))
        return self.weighted(layer.out_proj, f"{name}.out_proj", frozenset([v]))

    def recurrent(self, layer: nn.RNNBase, name: str, sources: Writers) -> Writers:
        """Pass a recurrent layer: gates read the input and write the state, which they read too.

        The outputs of two directions, which are concatenated, are not one space.
        """
        kind = layer.mode.partition("_")[0].lower()  # of "LSTM", "GRU", "RNN_TANH" and "RNN_RELU"
        gates = [f".{gate}" if gate else "" for gate in GATES_OF[kind]]
        for depth in range(layer.num_layers):
            inputs, state = ([f"{name}.weight_{of}_l{depth}{gate}" for gate in gates] for of in ("ih", "hh"))
            self.read(sources, *inputs)
            if layer.bidirectional or layer.proj_size:
                return NO_WRITERS
            sources = frozenset([*inputs, *state])
            self.read(sources, *state)
        return sources

    def encoder_layer(self, layer: nn.TransformerEncoderLayer, name: str, src: Writers) -> Writers:
        """Pass attention and two dense layers, each beside a shortcut and with a norm."""
        src = self._beside(
            layer, name, "norm1", src, lambda x: self.attention(layer.self_attn, f"{name}.self_attn", x, x, x)
        )
        return self._beside(layer, name, "norm2", src, lambda x: self._feed_forward(layer, name, x))

    def decoder_layer(self, layer: nn.TransformerDecoderLayer, name: str, tgt: Writers, memory: Writers) -> Writers:
        """Pass self-attention, attention to the memory and two dense layers, each beside a shortcut and with a norm."""
        own, other = f"{name}.self_attn", f"{name}.multihead_attn"
        tgt = self._beside(layer, name, "norm1", tgt, lambda x: self.attention(layer.self_attn, own, x, x, x))
        tgt = self._beside(
            layer, name, "norm2", tgt, lambda x: self.attention(layer.multihead_attn, other, x, memory, memory)
        )
        return self._beside(layer, name, "norm3", tgt, lambda x: self._feed_forward(layer, name, x))

    def _beside(
        self,
        layer: nn.TransformerEncoderLayer | nn.TransformerDecoderLayer,
        name: str,
        norm: str,
        x: Writers,
        act: Callable[[Writers], Writers],
    ) -> Writers:
        """Pass a shortcut around a step, with a norm before the step or after the sum."""
        gain, path = getattr(layer, norm), f"{name}.{norm}"
        if layer.norm_first:
            return x | act(self.normed(gain, path, x))
        return self.normed(gain, path, x | act(x))

    def _feed_forward(
        self, layer: nn.TransformerEncoderLayer | nn.TransformerDecoderLayer, name: str, sources: Writers
    ) -> Writers:
        return self.weighted(layer.linear2, f"{name}.linear2", self.weighted(layer.linear1, f"{name}.linear1", sources))

    def encoder(self, layer: nn.TransformerEncoder, name: str, src: Writers) -> Writers:
        """Pass one layer after the other."""
        for index, block in enumerate(layer.layers):
            src = self.through(block, f"{name}.layers.{index}", [src], {})
        return self.normed(layer.norm, f"{name}.norm", src)

    def decoder(self, layer: nn.TransformerDecoder, name: str, tgt: Writers, memory: Writers) -> Writers:
        """Pass one layer after the other, all with the same memory."""
        for index, block in enumerate(layer.layers):
            tgt = self.through(block, f"{name}.layers.{index}", [tgt, memory], {})
        return self.normed(layer.norm, f"{name}.norm", tgt)

    def transformer(self, layer: nn.Transformer, name: str, src: Writers, tgt: Writers) -> Writers:
        """Pass the encoder, then the decoder."""
        memory = self.through(layer.encoder, f"{name}.encoder", [src], {})
        return self.through(layer.decoder, f"{name}.decoder", [tgt, memory], {})


def layers_in(sources: Writers) -> Writers:
    """Layers among the sources of a value, without norms and other marks."""
    return frozenset(name for name in sources if not name.startswith((GAIN, SHARES)))


BY_UNIT = (nn.modules.batchnorm._NormBase,)  # noqa: SLF001
NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase, nn.LocalResponseNorm)  # noqa: SLF001
DENSE = (nn.Linear, nn.Embedding, nn.EmbeddingBag, nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
KNOWN: tuple[tuple[type | tuple[type, ...], tuple[str, ...], Callable[..., Writers]], ...] = (
    ((*DENSE, *TRANSPOSED), ("input",), Flow.weighted),
    (nn.MultiheadAttention, ("query", "key", "value"), Flow.attention),
    (nn.RNNBase, ("input",), Flow.recurrent),
    (nn.TransformerEncoderLayer, ("src",), Flow.encoder_layer),
    (nn.TransformerDecoderLayer, ("tgt", "memory"), Flow.decoder_layer),
    (nn.TransformerEncoder, ("src",), Flow.encoder),
    (nn.TransformerDecoder, ("tgt", "memory"), Flow.decoder),
    (nn.Transformer, ("src", "tgt"), Flow.transformer),
)
