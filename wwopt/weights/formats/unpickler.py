"""Unpickler that runs no code: every name becomes an inert stub, every tensor a view of bytes in the file."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from wwopt.weights.formats.pickle_stubs import KEYS, Record, Storage, new_record, stub

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["unpickle"]


class _Stream(Protocol):
    """Binary stream that a pickle is read from."""

    def read(self, count: int, /) -> bytes: ...
    def readline(self) -> bytes: ...


def unpickle(stream: _Stream, find_storage: Callable[[tuple[Any, ...]], Storage]) -> object:
    """Read the next pickle of a stream; no name in it is imported, no code in it called.

    Parameters
    ----------
    stream : binary file
        Read up to the end of the pickle.
    find_storage : callable
        Turns a reference, ``("storage", type, key, location, numel)``, into a `Storage`.

    Raises
    ------
    CarriesCode
        The pickle calls a function that does more than assemble data.
    Exception
        It is damaged, which may raise anything.
    """
    reader = _Unpickler(stream)
    reader.find_storage = find_storage
    return reader.load()


class _Unpickler(pickle._Unpickler):  # noqa: SLF001  (the one in C takes what memory a damaged pickle asks for)
    find_storage: Callable[[tuple[Any, ...]], Storage]
    stack: list[Any]
    append: Callable[[object], None]
    read: Callable[[int], bytes]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)  # noqa: SLF001

    def find_class(self, module: str, name: str) -> Any:
        """Return the stub of a name; the original is not imported."""
        return stub(module, name)

    def persistent_load(self, pid: Any) -> Any:
        """Return the storage that a tensor refers to."""
        if isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module":
            return pid[1]  # before torch 1.6 a class came with its source code
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage"):
            raise pickle.UnpicklingError("a reference to something else than a storage")
        return self.find_storage(pid)

    def load_build(self) -> None:
        """Keep the state of a record; that of other objects is dropped."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], Record):
            self.stack[-1].state = state

    def load_newobj(self) -> None:
        """Make the record of an instance; the class may have any name, since this opcode calls no function."""
        self.stack.pop()
        self.stack[-1] = new_record(self.stack[-1])

    def load_newobj_ex(self) -> None:
        """Make the record of an instance that was given keywords."""
        self.stack.pop()
        self.load_newobj()

    def load_dict(self) -> None:
        """Build a mapping, with the same restriction of its keys as `load_setitems`."""
        items = self.pop_mark()
        self.append({})
        self._fill(zip(items[::2], items[1::2], strict=True))

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
            if isinstance(key, KEYS):
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

    def load_bytearray8(self) -> None:
        """Read bytes; the original would allocate whatever memory the file asks for."""
        self.append(self.read(int.from_bytes(self.read(8), "little")))

    def refuse(self) -> None:
        """Refuse opcodes that no checkpoint holds: out-of-band buffers and registered extensions."""
        raise pickle.UnpicklingError("an opcode that no checkpoint uses")

    for _code, _load in (
        (pickle.BUILD, load_build),
        (pickle.NEWOBJ, load_newobj),
        (pickle.NEWOBJ_EX, load_newobj_ex),
        (pickle.DICT, load_dict),
        (pickle.SETITEMS, load_setitems),
        (pickle.SETITEM, load_setitem),
        (pickle.EMPTY_SET, load_empty_set),
        (pickle.ADDITEMS, load_additems),
        (pickle.FROZENSET, load_frozenset),
        (pickle.BYTEARRAY8, load_bytearray8),
        (pickle.NEXT_BUFFER, refuse),
        (pickle.READONLY_BUFFER, refuse),
        (pickle.EXT1, refuse),
        (pickle.EXT2, refuse),
        (pickle.EXT4, refuse),
    ):
        dispatch[_code[0]] = _load
