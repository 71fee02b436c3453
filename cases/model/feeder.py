"""The feeder: immutable, validated tables that say what a distribution network is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import CaseError, Problem
from ..schema import SCHEMA_VERSION, TABLES, conform
from ..storage.folder import save_folder
from ..validation.feeder import check
from . import edit
from .describe import in_words
from .feeder_tables import FeederTables
from .topology import Topology, analyse

Place = Callable[[str, "int | None"], "tuple[str, int | None]"]


def in_memory(table: str, row: int | None) -> tuple[str, int | None]:
    """Where a value of a table that came from no file stands: the table's name and its row."""
    return table, row


@dataclass(frozen=True, eq=False, repr=False)
class Feeder(FeederTables):
    """A distribution network as nine Arrow tables; see `distgrid.cases.schema` for columns and units.

    A feeder never changes: `with_...` return new, validated feeders. It may be shared between threads and
    sent to other processes. The order of `nodes` and `branches` is the order of every array that physics
    and the environments return.

    Attributes:
        name: short name, also the default of `feeder_id`.
        base_mva: three-phase base of r, x and b.
        feeder_id: id that new rows get.
        nodes, branches, loads, capacitors, regulators, transformers, switches, sources, cap_controls: the
            tables.
        metadata: title, source, licence, notes.
        phases: "balanced" (one line stands for three equal phases) or "per-phase".
        place: maps (table, row) to the file and row named in errors; kept only while the feeder is built.

    Raises:
        CaseError: lists everything that is wrong with the tables.
    """

    place: dataclasses.InitVar[Place | None] = None

    def __post_init__(self, place: Place | None) -> None:
        where = place or in_memory
        put = object.__setattr__
        put(self, "base_mva", float(self.base_mva))
        put(self, "metadata", MappingProxyType({str(k): str(v) for k, v in self.metadata.items()}))
        problems: list[Problem] = []
        for name in TABLES:
            try:
                put(self, name, conform(name, getattr(self, name), where(name, None)[0]))
            except CaseError as error:
                problems += error.problems
        if not problems:
            tables = {name: getattr(self, name) for name in TABLES}
            problems = check(tables, self.base_mva, where, self.phases)
        if problems:
            raise CaseError(problems, f"feeder {self.name!r} is not usable:")
        header = json.dumps(
            {
                "name": self.name,
                "base_mva": self.base_mva,
                "feeder_id": self.feeder_id,
                "metadata": dict(self.metadata),
                "phases": self.phases,
            },
            sort_keys=True,
        )
        for name in TABLES:
            stamp = {
                "distgrid.schema_version": SCHEMA_VERSION,
                "distgrid.table": name,
                "distgrid.feeder": header,
            }
            put(self, name, getattr(self, name).replace_schema_metadata(stamp))

    def __repr__(self) -> str:
        return f"Feeder({self.name!r}, {self.n_nodes} nodes, {self.n_branches} branches)"

    def __reduce__(self) -> tuple[Callable[..., Feeder], tuple[Any, ...]]:
        tables = tuple(getattr(self, name) for name in TABLES)
        return Feeder, (self.name, self.base_mva, self.feeder_id, *tables, dict(self.metadata), self.phases)

    def equals(self, other: Feeder) -> bool:
        """Whether both have the same name, base, metadata and, bit for bit, the same tables."""
        return all(getattr(self, name).equals(getattr(other, name), check_metadata=True) for name in TABLES)

    # -- reading: see also FeederTables --------------------------------------------------------------

    def topology(self) -> Topology:
        """Islands and loops of the present switch state, with ids."""
        return self._topology

    @cached_property
    def _topology(self) -> Topology:
        return analyse(self)

    def describe(self) -> str:
        """What the feeder is, in about ten lines of text."""
        return in_words(self, self.topology())

    def save(self, folder: str | Path, companions: Mapping[str, pa.Table] | None = None) -> Path:
        """Write the tables as Parquet files into `folder`, all or nothing.

        A folder that already holds a feeder is replaced; one that holds anything else is refused.

        Args:
            folder: where to.
            companions: ``{"der_assets": table}`` puts an asset table into the folder, ``{}`` none in the
                place of an earlier one. None: none, and a folder with one is refused.

        Raises:
            CaseError: the folder holds something else.
            OSError: it cannot be written; nothing is left behind.
        """
        return save_folder({name: getattr(self, name) for name in TABLES}, Path(folder), companions)

    # -- changing: each returns a new feeder -----------------------------------------------------------

    def with_switch(self, switch_id: str, closed: bool) -> Feeder:
        """The feeder with one switch (or the branch of that id) closed or open, at both of its ends.

        Closing a branch that was open at one end (`open_ends`) closes that end, too.
        """
        return dataclasses.replace(self, branches=edit.switched(self, switch_id, closed))

    def with_loads(
        self,
        p_mw: Mapping[str, float] | np.ndarray | None = None,
        q_mvar: Mapping[str, float] | np.ndarray | None = None,
    ) -> Feeder:
        """The feeder with other nominal loads.

        Args:
            p_mw: (n_nodes,) total load of each node in MW, or a mapping from node ids (others stay). The
                loads of a node are scaled alike; a node without a load gets one. None: unchanged.
            q_mvar: the same for reactive power in Mvar.
        """
        nodes, loads = edit.loaded(self, p_mw, q_mvar)
        return dataclasses.replace(self, nodes=nodes, loads=loads)

    def with_tap(self, branch_id: str, tap: float | None = None, shift_deg: float | None = None) -> Feeder:
        """The feeder with another off-nominal ratio and phase shift of one branch (None: unchanged).

        Raises:
            ValueError: the feeder is per-phase, where units and regulators hold the taps.
        """
        if self.phases != "balanced":
            raise ValueError(
                f"{self.name} is per-phase: its taps are those of regulators; use with_regulator"
            )
        return dataclasses.replace(self, branches=edit.tapped(self, branch_id, tap, shift_deg))

    def with_regulator(self, reg_id: str, tap_pos: int) -> Feeder:
        """The feeder with another tap position of one regulator."""
        return dataclasses.replace(self, regulators=edit.regulated(self, reg_id, tap_pos))

    def with_capacitor(self, cap_id: str, on: bool) -> Feeder:
        """The feeder with one capacitor bank on or off."""
        return dataclasses.replace(self, capacitors=edit.banked(self, cap_id, on))

    def with_new_regulator(
        self,
        branch_id: str,
        *,
        tap_min: int = -16,
        tap_max: int = 16,
        tap_step_pu: float = 0.00625,
        tap_pos: int = 0,
        reg_id: str | None = None,
    ) -> Feeder:
        """The feeder with a tap changer in one of its branches.

        It multiplies the voltage of the to end by ``1 + tap_pos * tap_step_pu``; the branch keeps its
        impedance. On a balanced feeder it stands at the from end, as all ratios do, of any branch; on a
        per-phase one it is that of the branch's transformer. ``reg_id`` None: ``reg_<branch_id>``.

        Raises:
            CaseError: unknown branch, an id that is taken, a range or step that no regulator can have, a
                per-phase branch that has not exactly one transformer.
        """
        name = f"reg_{branch_id}" if reg_id is None else reg_id
        rows = edit.with_regulator_row(self, branch_id, name, tap_min, tap_max, tap_step_pu, tap_pos)
        return dataclasses.replace(self, regulators=rows)

    def with_new_capacitor(
        self, node_id: str, q_mvar: float, *, phase: str | None = None, on: bool = False,
        cap_id: str | None = None,
    ) -> Feeder:  # fmt: skip
        """The feeder with one more capacitor bank, of ``q_mvar`` at 1 pu in all its phases together.

        ``phase`` None: all phases of the node. ``cap_id`` None: ``cap_<node_id>``.

        Raises:
            CaseError: unknown node or phase, an id that is taken.
        """
        name = f"cap_{node_id}" if cap_id is None else cap_id
        return dataclasses.replace(
            self, capacitors=edit.with_capacitor_row(self, node_id, name, q_mvar, phase, on)
        )

    def with_source(
        self, v_pu: float | None = None, v_deg: float | None = None, source_id: str | None = None
    ) -> Feeder:
        """The feeder with another voltage at one source, or at all of them when no id is given."""
        return dataclasses.replace(self, sources=edit.sourced(self, v_pu, v_deg, source_id))

    def with_feeder_id(self, feeder_id: str) -> Feeder:
        """The feeder with every row marked as part of `feeder_id`."""
        return dataclasses.replace(self, feeder_id=feeder_id, **edit.marked(self, feeder_id))

    def filter(self, feeder_id: str) -> Feeder:
        """Only the rows of one feeder of a model that holds several.

        A node of another feeder that a closed branch of this one ends at (the busbar of a substation) is
        kept with its source, without its loads; open ties to other feeders are left out.

        Raises:
            CaseError: no row has this id.
        """
        return dataclasses.replace(self, feeder_id=feeder_id, **edit.filtered(self, feeder_id))
