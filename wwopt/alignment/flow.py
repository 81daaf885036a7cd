"""What layers do with the spaces that they are given: which they read, which they write, what they pass on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from wwopt.weights.matrices.fused import GATES

__all__ = ["NOWHERE", "Flow", "Writers"]

Writers = frozenset[str]  # layers whose outputs are added up in a value

NOWHERE: Writers = frozenset()
GATES_OF = dict(GATES.values())


@dataclass
class Flow:
    """Follow values through layers and note who reads whom.

    Attributes
    ----------
    edges : list of (str, str)
        A layer that writes into a space and one that reads it, by their names in an analysis.
    """

    edges: list[tuple[str, str]] = field(default_factory=list)

    def through(self, layer: nn.Module, name: str, args: Sequence[Writers], kwargs: Mapping[str, Writers]) -> Writers:
        """Pass values through a layer that is not looked into; gives the writers of what comes out.

        A layer with weight matrices of its own that is not known passes nothing on: whoever reads it is not matched
        with what stands before it.
        """
        for kinds, names, act in KNOWN:
            if isinstance(layer, kinds):
                given = {**dict(zip(names, args, strict=False)), **kwargs}
                return act(self, layer, name, *(given.get(argument, NOWHERE) for argument in names))
        if any(parameter.ndim > 1 for parameter in layer.parameters()) and not isinstance(layer, NORMS):
            return NOWHERE
        return NOWHERE.union(*args, *kwargs.values())

    def read(self, sources: Writers, *readers: str) -> None:
        """Note that layers read what others wrote."""
        self.edges += [(writer, reader) for reader in readers for writer in sorted(sources)]

    def weighted(self, layer: nn.Module, name: str, sources: Writers) -> Writers:
        """Read with a matrix and write with it; a depthwise convolution keeps channels apart, as a norm does."""
        if getattr(layer, "groups", 1) > 1 and layer.groups == layer.in_channels == layer.out_channels:
            return sources
        self.read(sources, name)
        return frozenset([name])

    def attention(
        self, layer: nn.MultiheadAttention, name: str, query: Writers, key: Writers, value: Writers
    ) -> Writers:
        """Attention passes on its values; queries and keys only weight them."""
        fused = layer.in_proj_weight is not None
        q, k, v = (f"{name}.in_proj.{part}" if fused else f"{name}.{part}_proj_weight" for part in "qkv")
        self.read(query, q)
        self.read(key, k)
        self.read(value, v)
        return self.weighted(layer.out_proj, f"{name}.out_proj", frozenset([v]))

    def recurrent(self, layer: nn.RNNBase, name: str, sources: Writers) -> Writers:
        """Gates read the input and the state that they wrote before; two directions joined are no one space."""
        kind = layer.mode.partition("_")[0].lower()  # of "LSTM", "GRU", "RNN_TANH" and "RNN_RELU"
        gates = [f".{gate}" if gate else "" for gate in GATES_OF[kind]]
        for depth in range(layer.num_layers):
            inputs, state = ([f"{name}.weight_{of}_l{depth}{gate}" for gate in gates] for of in ("ih", "hh"))
            self.read(sources, *inputs)
            if layer.bidirectional or layer.proj_size:
                return NOWHERE
            sources = frozenset([*inputs, *state])
            self.read(sources, *state)
        return sources

    def encoder_layer(self, layer: nn.TransformerEncoderLayer, name: str, src: Writers) -> Writers:
        """Attention and two dense layers, each beside a shortcut."""
        src |= self.attention(layer.self_attn, f"{name}.self_attn", src, src, src)
        return src | self._feed_forward(layer, name, src)

    def decoder_layer(self, layer: nn.TransformerDecoderLayer, name: str, tgt: Writers, memory: Writers) -> Writers:
        """Attention to itself, attention to the memory and two dense layers, each beside a shortcut."""
        tgt |= self.attention(layer.self_attn, f"{name}.self_attn", tgt, tgt, tgt)
        tgt |= self.attention(layer.multihead_attn, f"{name}.multihead_attn", tgt, memory, memory)
        return tgt | self._feed_forward(layer, name, tgt)

    def _feed_forward(
        self, layer: nn.TransformerEncoderLayer | nn.TransformerDecoderLayer, name: str, sources: Writers
    ) -> Writers:
        return self.weighted(layer.linear2, f"{name}.linear2", self.weighted(layer.linear1, f"{name}.linear1", sources))

    def encoder(self, layer: nn.TransformerEncoder, name: str, src: Writers) -> Writers:
        """One layer after the other."""
        for index, block in enumerate(layer.layers):
            src = self.through(block, f"{name}.layers.{index}", [src], {})
        return src

    def decoder(self, layer: nn.TransformerDecoder, name: str, tgt: Writers, memory: Writers) -> Writers:
        """One layer after the other, all with the same memory."""
        for index, block in enumerate(layer.layers):
            tgt = self.through(block, f"{name}.layers.{index}", [tgt, memory], {})
        return tgt

    def transformer(self, layer: nn.Transformer, name: str, src: Writers, tgt: Writers) -> Writers:
        """Encode, then decode."""
        memory = self.through(layer.encoder, f"{name}.encoder", [src], {})
        return self.through(layer.decoder, f"{name}.decoder", [tgt, memory], {})


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
