"""What the pages of a Parquet file claim to hold, read from their headers before anything is decoded.

A file of a few kilobytes can claim billions of rows, or pages that decompress to gigabytes, and a reader
allocates what is claimed. The footer can be looked at through Arrow; the headers of the pages, which it need
not agree with, are read here: Thrift structures in the compact protocol (parquet-format, PageHeader).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Types of the compact protocol.
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_DEEPEST = 16
_UNCOMPRESSED, _COMPRESSED = 2, 3  # fields of PageHeader


class PageError(ValueError):
    """The bytes at this place are no page header."""


@dataclass(slots=True)
class ThriftReader:
    """The bytes of Thrift structures, from `at` on and before `end`."""

    data: bytes
    at: int
    end: int

    def byte(self) -> int:
        """The next byte."""
        if self.at >= self.end:
            raise PageError("a page header is cut off")
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        """The next whole number >= 0."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise PageError("a number in a page header is too long")

    def signed(self) -> int:
        """The next whole number."""
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def forward(self, count: int) -> None:
        """Pass over some bytes."""
        if count < 0 or count > self.end - self.at:
            raise PageError("a page is cut off")
        self.at += count

    def struct(self, depth: int = 0) -> dict[int, int]:
        """The whole numbers of a structure by field; whatever else it holds is passed over."""
        if depth > _DEEPEST:
            raise PageError("a page header is nested too deeply")
        found: dict[int, int] = {}
        field = 0
        while head := self.byte():
            field = field + (head >> 4) if head >> 4 else self.signed()
            if head & 0x0F in (_I16, _I32, _I64):
                found[field] = self.signed()
            else:
                self.skip(head & 0x0F, depth)
        return found

    def fields(self) -> Iterator[tuple[int, int]]:
        """The fields of a structure, as number and type; whoever asks reads or skips the value of each."""
        field = 0
        while head := self.byte():
            field = field + (head >> 4) if head >> 4 else self.signed()
            yield field, head & 0x0F

    def items(self, wanted: int) -> Iterator[int]:
        """The places of a list, whose values of type `wanted` whoever asks has to read."""
        head = self.byte()
        count = self.varint() if head >> 4 == 15 else head >> 4
        if count and head & 0x0F != wanted:
            raise PageError(f"a list holds values of type {head & 0x0F}, not {wanted}")
        if count > self.end - self.at:  # each takes a byte at least
            raise PageError("a list is longer than the file")
        yield from range(count)

    def text(self) -> str:
        """The next text."""
        size = self.varint()
        start = self.at
        self.forward(size)
        return self.data[start : self.at].decode(errors="replace")

    def skip(self, kind: int, depth: int = 0, in_list: bool = False) -> None:
        """Pass over a value of this type."""
        if kind in (_TRUE, _FALSE):
            self.forward(int(in_list))
        elif kind == _BYTE:
            self.forward(1)
        elif kind in (_I16, _I32, _I64):
            self.varint()
        elif kind == _DOUBLE:
            self.forward(8)
        elif kind == _BINARY:
            self.forward(self.varint())
        elif kind in (_LIST, _SET):
            head = self.byte()
            count = self.varint() if head >> 4 == 15 else head >> 4
            for _ in range(min(count, self.end - self.at + 1)):  # each takes a byte or runs into the end
                self.skip(head & 0x0F, depth + 1, in_list=True)
        elif kind == _STRUCT:
            self.struct(depth + 1)
        else:
            raise PageError(f"a page header holds a field of the unknown type {kind}")


def largest_claim(data: bytes, start: int, length: int) -> int:
    """Bytes that the largest page of a column chunk claims to take when decompressed.

    Args:
        data: the whole file.
        start: where the chunk begins.
        length: its bytes.

    Raises:
        PageError: the chunk is not a row of pages.
    """
    if start < 0 or length < 0 or start + length > len(data):
        raise PageError("a column lies outside the file")
    reader = ThriftReader(data, start, start + length)
    largest = 0
    while reader.at < reader.end:
        header = reader.struct()
        if _UNCOMPRESSED not in header or _COMPRESSED not in header:
            raise PageError("a page has no size")
        largest = max(largest, header[_UNCOMPRESSED])
        reader.forward(header[_COMPRESSED])
    return largest
