"""Stubs for the names in a pickle: inert records, and functions that only assemble data."""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "KEYS",
    "CarriesCode",
    "QuantizedTensor",
    "Record",
    "Storage",
    "StoredTensor",
    "Unreadable",
    "new_record",
    "stub",
]


class CarriesCode(Exception):  # noqa: N818  (a finding, not a fault of ours)
    """The pickle calls a function that does more than assemble data."""


@dataclass(frozen=True)
class Storage:
    """Memory of one tensor or several: element type, key in the archive, number of elements."""

    dtype: str
    key: str
    numel: int


@dataclass(frozen=True)
class StoredTensor:
    """Tensor as it was pickled: a view of a storage, offset and strides in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class QuantizedTensor:
    """Tensor of integers with a scale and a zero point, or one of each for every index of an axis."""

    codes: StoredTensor
    scale: float | StoredTensor
    zero: int | StoredTensor
    axis: int | None


@dataclass(frozen=True)
class Unreadable:
    """Tensor whose values cannot be read, and the reason."""

    reason: str


@dataclass(eq=False)
class Record:
    """Inert stand-in for a pickled object: the name of its class, and the data that it was pickled with."""

    class_name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)

    def __call__(self, *_: object, **__: object) -> None:
        """Refuse to be called: the result of a function could be a function."""
        raise CarriesCode(self.class_name)

    def append(self, item: object) -> None:
        """Keep an item, as of a list."""
        self.items.append(item)

    def extend(self, items: list[Any]) -> None:
        """Keep items, as of a list."""
        self.items.extend(items)

    def __setitem__(self, key: object, value: object) -> None:
        self.items.append((key, value))


TORCH_NAMES = {
    "float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz",
    "float8_e8m0fnu", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool",
    "complex32", "complex64", "complex128", "strided", "preserve_format", "per_tensor_affine", "per_channel_affine",
    "per_channel_affine_float_qparams",
}  # fmt: skip
OTHER_DTYPES = re.compile(r"(float|u?int|qu?int|bits)\d\w*")  # of torch: a tensor of one that is not known is skipped
SCHEMES = {"per_tensor_affine": 3, "per_channel_affine": 4, "per_channel_affine_float_qparams": 4}  # and lengths
KEYS = (str, int, float, bytes, bool)  # types of a mapping's keys; others could take forever to hash


class _Stub(Record):
    """Base of the classes that stand for what a pickle names; one with the name of a function cannot be called."""

    module: ClassVar[str]
    name: ClassVar[str]

    def __new__(cls, *arguments: object, **_: object) -> Any:
        """Make a record of the arguments; the name of a class begins with a capital letter."""
        if not cls.name.rpartition(".")[-1].lstrip("_")[:1].isupper():
            raise CarriesCode(f"{cls.module}.{cls.name}")
        return new_record(cls, *arguments)

    def __init__(self, *_: object, **__: object) -> None:
        pass


def stub(module: str, name: str) -> Any:
    """Return the stub of ``module.name``: its name, a function that assembles data, or a class of records.

    Nothing is imported, and whatever is returned is inert: there is no list of dangerous names.

    Examples
    --------
    >>> stub("torch", "float32")
    'float32'
    >>> stub("subprocess", "Popen")(["rm", "-r", "/"]).class_name
    'subprocess.Popen'
    """
    if module in ("torch", "torch.storage") and (
        name in TORCH_NAMES or name.endswith("Storage") or OTHER_DTYPES.fullmatch(name)
    ):
        return name
    known = BUILDERS.get(f"{module}.{name}")
    if known is None and (module == CLOUDPICKLE or name.startswith("__pyx_unpickle_")):
        return _record(f"{module}.{name}")
    return known or _class(module, name)


def _class(module: str, name: str) -> type[_Stub]:
    return type("Stub", (_Stub,), {"module": module, "name": name})


def new_record(cls: object, *arguments: object) -> Any:
    """Make the record of an instance of ``cls``, a stub; its name may begin with a small letter."""
    if cls is _mapping:
        return OrderedDict()
    if not (isinstance(cls, type) and issubclass(cls, _Stub)):
        raise pickle.UnpicklingError("an instance of something that is no class")
    record = object.__new__(cls)
    Record.__init__(record, f"{cls.module}.{cls.name}", arguments)
    return record


def _tensor(
    storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> StoredTensor:
    if not isinstance(storage, Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return StoredTensor(storage, offset, tuple(shape), tuple(strides))


def _tensor_of_bytes(storage: Storage, *arguments: Any) -> StoredTensor:
    """Rebuild a tensor whose type has no storage class of its own: the storage holds bytes, and the type is named."""
    offset, shape, strides, _, _, dtype = arguments[:6]
    if not isinstance(dtype, str):
        raise pickle.UnpicklingError("a tensor without a type")
    return _tensor(Storage(dtype, storage.key, storage.numel), offset, shape, strides)


def _quantized(storage: Storage, *arguments: Any) -> QuantizedTensor | Unreadable:
    """Rebuild a quantised tensor: its codes, and by which scheme they stand for numbers."""
    offset, shape, strides, scheme = arguments[:4]
    codes = _tensor(storage, offset, shape, strides)
    if not isinstance(scheme, tuple) or scheme[0] not in SCHEMES or len(scheme) != SCHEMES[scheme[0]]:
        return Unreadable("quantized by a scheme that is not known")
    _, scale, zero, axis = (*scheme, None)[:4]
    known = isinstance(scale, (int, float)) and isinstance(zero, int) if axis is None else type(axis) is int
    return QuantizedTensor(codes, scale, zero, axis) if known else Unreadable("quantized without a scale")


def _first(value: object, *_: object) -> object:
    return value


def _record(name: str) -> Callable[..., Record]:
    return lambda *arguments, **_: Record(name, arguments)


def _unreadable(reason: str) -> Callable[..., Unreadable]:
    return lambda *_: Unreadable(reason)


def _mapping(*arguments: object) -> OrderedDict[object, object]:
    items = arguments[-1] if arguments and isinstance(arguments[-1], (list, dict)) else []
    pairs = items.items() if isinstance(items, dict) else [pair for pair in items if isinstance(pair, (list, tuple))]
    return OrderedDict((pair[0], pair[1]) for pair in pairs if len(pair) == 2 and isinstance(pair[0], KEYS))


CLOUDPICKLE = "cloudpickle.cloudpickle"  # writes classes and functions into the file; they are never built
CHANGE_CLASSES = tuple(f"{CLOUDPICKLE}._{kind}_setstate" for kind in ("class", "function"))
INERT_BUILTINS = (
    "set", "frozenset", "complex", "slice", "range", "bytes", "bytearray", "getattr", "print",
    "object", "property", "classmethod", "staticmethod",
)  # fmt: skip
BUILDERS: dict[str, Any] = {
    **dict.fromkeys(("collections.OrderedDict", "collections.defaultdict", "builtins.dict"), _mapping),
    **dict.fromkeys(("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"), _tensor),
    "torch._utils._rebuild_tensor_v3": _tensor_of_bytes,
    **dict.fromkeys(("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"), _first),
    **{f"torch.jit._pickle.build_{kind}list": _first for kind in ("int", "double", "bool", "tensor")},
    "torch.jit._pickle.restore_type_tag": _first,
    "torch._tensor._rebuild_from_type_v2": lambda function, _type, arguments, _state: function(*arguments),
    "torch._utils._rebuild_qtensor": _quantized,
    "torch._utils._rebuild_sparse_tensor": _unreadable("sparse"),
    "torch._utils._rebuild_sparse_csr_tensor": _unreadable("sparse"),
    "torch._utils._rebuild_nested_tensor": _unreadable("nested"),
    "torch._utils._rebuild_meta_tensor_no_storage": _unreadable("on the meta device, without values"),
    "torch._utils._rebuild_device_tensor_from_numpy": _unreadable("of a device that NumPy stands in for"),
    "torch._utils._rebuild_wrapper_subclass": _unreadable("of a wrapper class"),
    "torch.nn.parameter.UninitializedParameter": _unreadable("not initialised yet"),
    **dict.fromkeys(("copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__"), new_record),
    f"{CLOUDPICKLE}._make_skeleton_class": lambda _type, name, *_: _class("__main__", name),
    f"{CLOUDPICKLE}._make_skeleton_enum": lambda _bases, name, *_: _class("__main__", name),
    f"{CLOUDPICKLE}._builtin_type": lambda name: _class("types", name),
    **dict.fromkeys(CHANGE_CLASSES, _first),
    **{
        name: _record(name)
        for name in (
            "functools.partial", "_codecs.encode", "torch.device", "torch.serialization._get_layout", "numpy.dtype",
            "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct", "numpy.core.multiarray.scalar",
            "numpy._core.multiarray.scalar", "datetime.datetime", "datetime.date", "datetime.timedelta",
            "collections.deque",
            *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in INERT_BUILTINS),
            "operator.itemgetter", "operator.attrgetter", "re._compile", "types.MethodType",
            "numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer",
            *(f"numpy.random._pickle.__{kind}_ctor" for kind in ("bit_generator", "generator", "randomstate")),
        )
    },
}  # fmt: skip
