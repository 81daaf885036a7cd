"""Wire format of protocol buffers: the fields of a message and where their bytes lie, read without taking memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

__all__ = ["Message"]

VARINT, FIXED_64, LENGTH, FIXED_32 = 0, 1, 2, 5
LONGEST_VARINT = 10  # bytes


@dataclass(frozen=True)
class Message:
    """A message, or another field that has a length, within a buffer.

    Attributes
    ----------
    buffer : mmap or bytes
        What holds it.
    start, stop : int
        Where its bytes begin and end.

    Examples
    --------
    >>> [(number, value) for number, value in Message(bytes([8, 150, 1]), 0, 3).fields()]
    [(1, 150)]
    """

    buffer: mmap | bytes
    start: int
    stop: int

    def fields(self) -> Iterator[tuple[int, int | Message]]:
        """Yield number and value of each field: an integer, the bits of a number of fixed size, or a `Message`.

        Raises
        ------
        ValueError
            A field goes on beyond the end, or has a type that is no longer in use.
        """
        position = self.start
        while position < self.stop:
            key, position = self._varint(position)
            number, kind = key >> 3, key & 7
            if kind == VARINT:
                value, position = self._varint(position)
                yield number, value
                continue
            if kind not in (FIXED_32, FIXED_64, LENGTH):
                raise ValueError(f"a field has the type {kind}, which is not in use")
            size = 4 if kind == FIXED_32 else 8
            if kind == LENGTH:
                size, position = self._varint(position)
            if size > self.stop - position:
                raise ValueError(f"a field of {size} bytes where {self.stop - position} are left")
            field = Message(self.buffer, position, position + size)
            yield number, field if kind == LENGTH else int.from_bytes(field.content(), "little")
            position += size

    def content(self) -> bytes:
        """Copy its bytes."""
        return self.buffer[self.start : self.stop]

    def text(self) -> str:
        """Return it as a text."""
        return self.content().decode("utf-8", "replace")

    def varints(self) -> list[int]:
        """Return the integers of a packed field."""
        position, numbers = self.start, []
        while position < self.stop:
            number, position = self._varint(position)
            numbers.append(number)
        return numbers

    def _varint(self, position: int) -> tuple[int, int]:
        """Read an integer of up to 64 bits, and return the position after it."""
        number = 0
        for place, byte in enumerate(self.buffer[position : min(position + LONGEST_VARINT, self.stop)]):
            number |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return number & (1 << 64) - 1, position + place + 1
        raise ValueError("an integer has no end")
