"""The formats that feeders are written in: how each is written, and what its file calls the nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import CaseError, Problem
from ..importers.quiet import quiet
from ..model.edit import nearest
from ..model.feeder import Feeder
from .cim_files import mrid, write_cim
from .matpower_file import bus_numbers, matpower_text
from .opendss.script import bus_names, opendss_text
from .pandapower_net import to_pandapower


@dataclass(frozen=True)
class Exporter:
    """One format.

    Attributes:
        name: what `--to` calls it; that of the importer which reads the file back.
        suffix: of its files.
        write: writes the feeder into a file; CaseError where the format cannot hold it. The third argument is
            its solution, (n_nodes,) complex in pu, for formats that hold one.
        node_names: what an import of the file calls each node.
    """

    name: str
    suffix: str
    write: Callable[[Feeder, Path, np.ndarray], None]
    node_names: Callable[[Feeder], list[str]]


def _matpower(feeder: Feeder, file: Path, _v: np.ndarray) -> None:
    file.write_text(matpower_text(feeder), encoding="utf-8")


def _matpower_names(feeder: Feeder) -> list[str]:
    return [str(number) for number in bus_numbers(feeder).values()]


def _opendss(feeder: Feeder, file: Path, _v: np.ndarray) -> None:
    file.write_text(opendss_text(feeder), encoding="utf-8")


def _pandapower(feeder: Feeder, file: Path, _v: np.ndarray) -> None:
    net = to_pandapower(feeder)
    with quiet():
        import pandapower as pp

        file.write_text(pp.to_json(net), encoding="utf-8")


def _mrids(feeder: Feeder) -> list[str]:
    return [mrid("nodes", str(node)) for node in feeder.column("nodes", "node_id")]


def _same_names(feeder: Feeder) -> list[str]:
    return [str(node) for node in feeder.column("nodes", "node_id")]


EXPORTERS: tuple[Exporter, ...] = (
    Exporter("matpower", ".m", _matpower, _matpower_names),
    Exporter("opendss", ".dss", _opendss, bus_names),
    Exporter("pandapower", ".json", _pandapower, _same_names),
    Exporter("cim", ".zip", write_cim, _mrids),
)


def exporter(name: str) -> Exporter:
    """The exporter of this name.

    Raises:
        CaseError: there is none.
    """
    for one in EXPORTERS:
        if one.name == name:
            return one
    names = [one.name for one in EXPORTERS]
    raise CaseError(
        [Problem("export", None, "to", repr(name), f"{', '.join(names)}; {nearest(name, names)}")]
    )
