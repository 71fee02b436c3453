"""A feeder as content: what a run that reads it depends on."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa

from ...cases import TABLES


def feeder_sha256(feeder: Any) -> str:
    """Over the Arrow tables of the feeder, names first."""
    digest = hashlib.sha256(f"{feeder.name} {feeder.base_mva!r}".encode())
    for name in TABLES:
        table = getattr(feeder, name)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())
        digest.update(name.encode())
        digest.update(sink.getvalue())
    return digest.hexdigest()
