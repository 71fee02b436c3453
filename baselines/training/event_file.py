"""Curves for TensorBoard, written without it: records of protocol buffers, the same bytes for the same curve.

The format is that of TensorFlow's event files: a record is its length, a masked CRC-32C of it, the bytes and
a masked CRC-32C of these; the bytes are an `Event` (wall_time = 1, step = 2, file_version = 3, summary = 5).
"""

from __future__ import annotations

import functools
import math
import struct

import pyarrow as pa

_SHOWN = ("train_return", "val_return")


def event_file(curve: pa.Table) -> bytes:
    """The scalars of a table `tables.CURVE`: "val_return/seed-0" over steps. Wall times are 0."""
    found = [_record(_field(3, b"brain.Event:2"))]
    for row in curve.to_pylist():
        for name in _SHOWN:
            value = row[name]
            if value is not None and math.isfinite(value):
                found.append(_record(_scalar(f"{name}/seed-{row['seed']}", row["steps"], value)))
    return b"".join(found)


def _scalar(tag: str, step: int, value: float) -> bytes:
    """An event with one number."""
    one = _field(1, tag.encode()) + b"\x15" + struct.pack("<f", value)  # field 2, four bytes
    return b"\x09" + struct.pack("<d", 0.0) + b"\x10" + _varint(step) + _field(5, _field(1, one))


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _record(content: bytes) -> bytes:
    head = struct.pack("<Q", len(content))
    return head + _masked(head) + content + _masked(content)


def _masked(content: bytes) -> bytes:
    crc = crc32c(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def crc32c(content: bytes) -> int:
    """CRC-32C (Castagnoli, RFC 3720) of some bytes."""
    table, crc = _crc_table(), 0xFFFFFFFF
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@functools.cache
def _crc_table() -> tuple[int, ...]:
    found = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        found.append(value)
    return tuple(found)
