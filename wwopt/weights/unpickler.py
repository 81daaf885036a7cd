"""Pickles read without running them: whatever they name becomes an inert record, tensors become places in a file."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

__all__ = ["CarriesCode", "Record", "Storage", "StoredTensor", "Unreadable", "unpickle"]


class CarriesCode(Exception):  # noqa: N818  (a finding, not a fault of ours)
    """The pickle asks for a function to be called."""


@dataclass(frozen=True)
class Storage:
    """Memory that tensors share: its element type, its key in the archive and its number of elements."""

    dtype: str
    key: str
    numel: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as it was pickled: where in which storage, offset and strides in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Unreadable:
    """A tensor that is not a plain block of numbers, and why."""

    reason: str


@dataclass(eq=False)
class Record:
    """What an object was pickled with; its class is only a name."""

    class_name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)

    def append(self, item: object) -> None:
        """Keep an item of a list."""
        self.items.append(item)

    def extend(self, items: list[Any]) -> None:
        """Keep the items of a list."""
        self.items.extend(items)

    def __setitem__(self, key: object, value: object) -> None:
        self.items.append((key, value))


def unpickle(stream: io.BufferedIOBase, find_storage: Callable[[tuple[Any, ...]], Storage]) -> object:
    """Read the next pickle of a stream; nothing that it names is imported or called.

    Parameters
    ----------
    stream : binary file
        Read up to the end of the pickle.
    find_storage : callable
        Turns a reference, ``("storage", type, key, location, numel)``, into a `Storage`.

    Raises
    ------
    CarriesCode
        The pickle wants to call a function that does more than build data.
    Exception
        It is damaged; pickles break in as many ways as there are types.
    """
    reader = _Unpickler(stream)
    reader.find_storage = find_storage
    return reader.load()


class _Unpickler(pickle._Unpickler):  # noqa: SLF001  (the one in C takes what memory a damaged pickle asks for)
    find_storage: Callable[[tuple[Any, ...]], Storage]
    stack: list[Any]
    append: Callable[[object], None]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)  # noqa: SLF001

    def find_class(self, module: str, name: str) -> Any:
        """Return our own stand-in, never the thing."""
        if module in ("torch", "torch.storage") and (name in TORCH_NAMES or name.endswith("Storage")):
            return name
        return BUILDERS.get(f"{module}.{name}") or _stand_in(module, name)

    def persistent_load(self, pid: Any) -> Any:
        """Describe the storage that a tensor refers to."""
        if isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module":
            return pid[1]  # before torch 1.6 a class came with its source, which nobody needs
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage"):
            raise pickle.UnpicklingError("a reference to something else than a storage")
        return self.find_storage(pid)

    def load_build(self) -> None:
        """Keep the state of a record; other objects have none that matters."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], Record):
            self.stack[-1].state = state

    def load_setitems(self) -> None:
        """Fill a mapping; keys that could take forever to hash are left out."""
        items = self.pop_mark()
        self._fill(zip(items[::2], items[1::2], strict=True))

    def load_setitem(self) -> None:
        """Fill in one key."""
        value, key = self.stack.pop(), self.stack.pop()
        self._fill([(key, value)])

    def _fill(self, items: Any) -> None:
        for key, value in items:
            if isinstance(key, (str, int, float, bytes, bool)):
                self.stack[-1][key] = value

    def load_empty_set(self) -> None:
        """Read a set as a record: its items are not hashed."""
        self.append(Record("set"))

    def load_additems(self) -> None:
        """Keep the items of a set."""
        items = self.pop_mark()
        self.stack[-1].extend(items)

    def load_frozenset(self) -> None:
        """Read a frozen set as a record."""
        self.append(Record("frozenset", items=self.pop_mark()))

    def refuse(self) -> None:
        """Refuse what no checkpoint holds: memory to be filled from elsewhere, registered extensions."""
        raise pickle.UnpicklingError("an instruction that has no place in a checkpoint")

    for _code, _load in (
        (pickle.BUILD, load_build),
        (pickle.SETITEMS, load_setitems),
        (pickle.SETITEM, load_setitem),
        (pickle.EMPTY_SET, load_empty_set),
        (pickle.ADDITEMS, load_additems),
        (pickle.FROZENSET, load_frozenset),
        (pickle.BYTEARRAY8, refuse),
        (pickle.NEXT_BUFFER, refuse),
        (pickle.READONLY_BUFFER, refuse),
        (pickle.EXT1, refuse),
        (pickle.EXT2, refuse),
        (pickle.EXT4, refuse),
    ):
        dispatch[_code[0]] = _load


TORCH_NAMES = {
    "float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz",
    "float8_e8m0fnu", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool",
    "complex32", "complex64", "complex128", "strided", "preserve_format", "per_tensor_affine", "per_channel_affine",
}  # fmt: skip
RUNS_CODE = {"builtins", "__builtin__", "os", "posix", "nt", "sys", "subprocess", "importlib", "runpy", "pty", "code"}


def _stand_in(module: str, name: str) -> type[Record]:
    """Make a class whose instances are records; what looks like a function cannot be called through it."""
    is_class = module.partition(".")[0] not in RUNS_CODE and name.rpartition(".")[-1].lstrip("_")[:1].isupper()

    def new(cls: type[Record], *arguments: object, **_: object) -> Record:
        if not is_class:
            raise CarriesCode(f"{module}.{name}")
        record = object.__new__(cls)
        Record.__init__(record, f"{module}.{name}", arguments)
        return record

    return type("StandIn", (Record,), {"__new__": new, "__init__": lambda *_, **__: None})


def _tensor(
    storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> StoredTensor:
    return StoredTensor(storage, offset, tuple(shape), tuple(strides))


def _tensor_of_bytes(storage: Storage, *arguments: Any) -> StoredTensor:
    """Rebuild a tensor of a type without a storage class of its own: it is kept in bytes, and the type named."""
    offset, shape, strides, _, _, dtype = arguments[:6]
    return StoredTensor(Storage(dtype, storage.key, storage.numel), offset, tuple(shape), tuple(strides))


def _first(value: object, *_: object) -> object:
    return value


def _record(name: str) -> Callable[..., Record]:
    return lambda *arguments, **_: Record(name, arguments)


def _unreadable(reason: str) -> Callable[..., Unreadable]:
    return lambda *_: Unreadable(reason)


def _new(cls: type[Record], *_: object) -> Record:
    return cls.__new__(cls)


def _mapping(*arguments: object) -> OrderedDict[object, object]:
    items = arguments[-1] if arguments and isinstance(arguments[-1], (list, dict)) else []
    return OrderedDict(items)


BUILDERS: dict[str, Any] = {
    **dict.fromkeys(("collections.OrderedDict", "collections.defaultdict", "builtins.dict"), _mapping),
    **dict.fromkeys(("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"), _tensor),
    "torch._utils._rebuild_tensor_v3": _tensor_of_bytes,
    **dict.fromkeys(("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"), _first),
    **{f"torch.jit._pickle.build_{kind}list": _first for kind in ("int", "double", "bool", "tensor")},
    "torch.jit._pickle.restore_type_tag": _first,
    "torch._tensor._rebuild_from_type_v2": lambda function, _type, arguments, _state: function(*arguments),
    "torch._utils._rebuild_qtensor": _unreadable("quantized"),
    "torch._utils._rebuild_sparse_tensor": _unreadable("sparse"),
    "torch._utils._rebuild_sparse_csr_tensor": _unreadable("sparse"),
    "torch._utils._rebuild_nested_tensor": _unreadable("nested"),
    "torch._utils._rebuild_meta_tensor_no_storage": _unreadable("on the meta device, without values"),
    "torch._utils._rebuild_device_tensor_from_numpy": _unreadable("of a device that NumPy stands in for"),
    "torch._utils._rebuild_wrapper_subclass": _unreadable("of a wrapper class"),
    **dict.fromkeys(("copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__"), _new),
    **{
        name: _record(name)
        for name in (
            "functools.partial", "_codecs.encode", "torch.device", "torch.serialization._get_layout", "numpy.dtype",
            "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct", "numpy.core.multiarray.scalar",
            "numpy._core.multiarray.scalar", "datetime.datetime", "datetime.date", "datetime.timedelta",
            "collections.deque", "builtins.set", "__builtin__.set", "builtins.frozenset", "builtins.complex",
            "builtins.slice", "builtins.getattr", "builtins.bytearray", "builtins.print",
        )
    },
}  # fmt: skip
