"""A model with single phases as a feeder: through a script, by the importer of such scripts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from ....errors import CaseError, Problem
from ....model.feeder import Feeder
from ...reading import EngineVoltages, Reading
from ..documents import Item
from .network import Names
from .script import script_of

#: Reads the text of a script; the name of its file stands in messages.
ReadScript = Callable[[str, str], Reading]


def read(items: dict[str, Item], path: Path, feeder_id: str | None, read_script: ReadScript) -> Reading:
    """The feeder of a model, with mRIDs as ids, and how OpenDSS solves its script.

    Raises:
        CaseError: an object is wrong or cannot be written, or OpenDSS is not installed.
    """
    script = script_of(items, str(path))
    with _in_words_of(script.names, str(path)):
        reading = read_script(script.text, f"{path.stem}.dss")
    feeder = _renamed(reading.feeder, script.names, feeder_id or path.stem, path)

    def engine() -> EngineVoltages:
        assert reading.engine is not None
        with _in_words_of(script.names, str(path)):
            found = reading.engine()
        return dataclasses.replace(found, engine=f"{found.engine} on the script that the model becomes")

    names = script.names
    assets = tuple({key: _text(value, names) for key, value in row.items()} for row in reading.assets)
    approximated = names.restored(reading.approximated)
    return Reading(feeder, engine, script.counts, script.left_out, approximated=approximated, assets=assets)


def _renamed(feeder: Feeder, names: Names, mark: str, path: Path) -> Feeder:
    """The feeder with the ids of the model, where its rows have names of the script."""
    tables = {
        field.name: _with_ids(getattr(feeder, field.name), names)
        for field in dataclasses.fields(feeder)
        if isinstance(getattr(feeder, field.name), pa.Table)
    }
    metadata = {key: names.restored(value) for key, value in feeder.metadata.items()}
    metadata |= {"source": f"CIM model {path.name}"}
    renamed = dataclasses.replace(feeder, **tables, metadata=metadata, name=path.stem)
    return renamed.with_feeder_id(mark)


def _with_ids(table: pa.Table, names: Names) -> pa.Table:
    for k, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            values = [_text(value, names) for value in table.column(k).to_pylist()]
            table = table.set_column(k, field, pa.array(values, field.type))
    return table


def _text(value: Any, names: Names) -> Any:
    return names.restored(value) if isinstance(value, str) else value


@contextmanager
def _in_words_of(names: Names, file: str) -> Iterator[None]:
    """Errors in the words of the model."""
    try:
        yield
    except CaseError as error:
        said = (
            [names.restored(text) for text in (one.field, one.value, one.expected)] for one in error.problems
        )
        raise CaseError([Problem(file, None, *texts) for texts in said]) from error
    except RuntimeError as error:
        raise type(error)(names.restored(str(error))) from error
