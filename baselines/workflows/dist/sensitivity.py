"""`distgrid dist sensitivities`: how a solved feeder answers to power at each of its buses, as tables."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .... import cases, physics
from ....physics import linear
from ...errors import RunError
from ...jobs.unit_tables import NUMBER, TEXT, schema, table

FloatArray = NDArray[np.float64]
ALL_UP_TO = 600  # conductors (buses, or phases of buses); beyond, the lowest voltages are told
LOWEST = 20  # buses told of larger feeders, where none were named

BUSES = schema(
    ("node_id", TEXT, ""), ("phase", TEXT, ""),  # "ABC" of a balanced feeder
    ("v_pu", NUMBER, "pu"),
    ("dv_dp_pu_per_mw", NUMBER, "pu/MW"), ("dv_dq_pu_per_mvar", NUMBER, "pu/Mvar"),  # its own; null: not told
    ("dloss_dp_mw_per_mw", NUMBER, "MW/MW"), ("dloss_dq_mw_per_mvar", NUMBER, "MW/Mvar"),
    ("marginal_energy_per_mwh", NUMBER, "money/MWh"), ("marginal_losses_per_mwh", NUMBER, "money/MWh"),
    ("marginal_total_per_mwh", NUMBER, "money/MWh"),  # of one more MW consumed here
)  # fmt: skip

VOLTAGES = schema(
    ("node_id", TEXT, ""), ("phase", TEXT, ""), ("at_node", TEXT, ""), ("at_phase", TEXT, ""),
    ("dv_dp_pu_per_mw", NUMBER, "pu/MW"), ("dv_dq_pu_per_mvar", NUMBER, "pu/Mvar"),
)  # fmt: skip

CURRENTS = schema(
    ("branch_id", TEXT, ""), ("phase", TEXT, ""), ("at_node", TEXT, ""), ("at_phase", TEXT, ""),
    ("di_dp_ka_per_mw", NUMBER, "kA/MW"), ("di_dq_ka_per_mvar", NUMBER, "kA/Mvar"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class FeederSensitivities:
    """A feeder's sensitivities. Each number column of the tables carries its unit in the schema."""

    feeder: cases.Feeder
    found: physics.Sensitivities
    sensitivities_buses: pa.Table
    sensitivities_voltages: pa.Table  # of the buses that were asked for, by every bus
    sensitivities_currents: pa.Table
    notes: tuple[str, ...]

    @property
    def tables(self) -> dict[str, pa.Table]:
        """Every table by the name of its file."""
        names = ("sensitivities_buses", "sensitivities_voltages", "sensitivities_currents")
        return {name: getattr(self, name) for name in names}


def feeder_sensitivities(
    feeder: cases.Feeder | str | Path,
    *,
    buses: Sequence[str] = (),
    branches: Sequence[str] = (),
    price_per_mwh: float = 50.0,
) -> FeederSensitivities:
    """Sensitivities of voltages, currents and losses at the nominal loads, and marginal values.

    Args:
        feeder: A feeder, the name of a shipped one, a file or a folder of tables.
        buses: Buses whose voltage is told; none: all of a feeder of up to 600 buses (or phases), of a larger
            one the twenty with the lowest voltage.
        branches: Branches whose current is told; none: all where all buses are told, else none.
        price_per_mwh: Price of energy at the source, in any money.

    Raises:
        ValueError: A bus or branch that does not exist, a meshed per-phase feeder, nominal loads without a
            solution, a price that is no finite number. `distgrid.cases.CaseError` for what is wrong with a
            file.
    """
    if not np.isfinite(price_per_mwh):
        raise RunError(f"the price must be a finite number, got {price_per_mwh}")
    if not isinstance(feeder, cases.Feeder):
        feeder = cases.load(feeder)
    net, notes = _compiled(feeder)
    sol = physics.solve(net)
    if not bool(sol.converged):
        raise RunError(
            f"feeder {feeder.name!r}: the power flow of the nominal loads did not converge, and around what "
            "is no solution nothing has a sensitivity"
        )
    told = tuple(buses) or _told(feeder, np.asarray(sol.v_pu))
    everything = not buses and len(told) == feeder.n_nodes
    found = physics.sensitivities(
        net, sol, None if everything else told, tuple(branches) if branches or not everything else None
    )
    if not buses and not everything:
        notes = (*notes, f"a large feeder: the {len(told)} lowest voltages are told; name others by buses")
    values = linear.marginal_values(sol, price_per_mwh)
    return FeederSensitivities(
        feeder, found, _buses(feeder, sol, found, values),
        _long(feeder, net, VOLTAGES, found.buses, found.v_by_p, found.v_by_q, told_phases(net, found.buses)),
        _long(feeder, net, CURRENTS, found.branches, found.i_by_p, found.i_by_q, None), notes,
    )  # fmt: skip


def _compiled(feeder: cases.Feeder) -> tuple[physics.Network | physics.Network3, tuple[str, ...]]:
    """The network of a feeder, with its loops, and what compilation says of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", physics.IslandWarning)
        try:
            net = physics.compile(feeder, keep_loops=True)
        except ValueError as error:  # what the power flow cannot compile
            raise RunError(str(error)) from error
    return net, tuple(str(warning.message) for warning in caught)


def _told(feeder: cases.Feeder, v_pu: FloatArray) -> tuple[str, ...]:
    """All buses, or those with the lowest voltage, in the feeder's order."""
    names = feeder.column("nodes", "node_id")
    if np.count_nonzero(np.isfinite(v_pu)) <= ALL_UP_TO:
        return tuple(str(name) for name in names)
    lowest = np.nanmin(np.where(np.isfinite(v_pu), v_pu, np.inf).reshape(feeder.n_nodes, -1), axis=1)
    rows = np.sort(np.argsort(lowest, kind="stable")[:LOWEST])
    return tuple(str(names[row]) for row in rows)


def _phases(net: physics.Network | physics.Network3) -> list[tuple[int, ...]]:
    """Index behind a row of each phase."""
    return [(0,), (1,), (2,)] if isinstance(net, physics.Network3) else [()]


def told_phases(net: physics.Network | physics.Network3, names: Sequence[str]) -> NDArray[np.bool_] | None:
    """(m, 3) phases that the named buses have; None: balanced."""
    if not isinstance(net, physics.Network3):
        return None
    return net.present[[net.feeder.node_index[name] for name in names]]


def _letter(feeder: cases.Feeder, node: str, phase: tuple[int, ...]) -> str:
    """A; 1 and "2" of split-phase wires; ABC where phases are one."""
    if not phase:  # balanced
        return "ABC"
    letters = str(feeder.column("nodes", "phase")[feeder.node_index[node]])
    return "12"[phase[0]] if "1" in letters or "2" in letters else "ABC"[phase[0]]


def _places(
    feeder: cases.Feeder, net: physics.Network | physics.Network3
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every bus, or phase of a bus, that exists."""
    for row, name in enumerate(feeder.column("nodes", "node_id")):
        for phase in _phases(net):
            if not isinstance(net, physics.Network3) or net.present[(row, *phase)]:
                yield str(name), phase


def _buses(
    feeder: cases.Feeder, sol: physics.Solution | physics.Solution3, found: physics.Sensitivities,
    values: linear.MarginalValues,
) -> pa.Table:  # fmt: skip
    columns: dict[str, list[object]] = {name: [] for name in BUSES.names}
    told = {name: k for k, name in enumerate(found.buses)}
    for name, phase in _places(feeder, sol.net):
        at = (feeder.node_index[name], *phase)
        own = (told[name], *phase, *at) if name in told else None
        row = (
            name, _letter(feeder, name, phase), sol.v_pu[at], np.nan if own is None else found.v_by_p[own],
            np.nan if own is None else found.v_by_q[own], found.loss_by_p[at], found.loss_by_q[at],
            values.energy[at], values.losses[at], values.total[at],
        )  # fmt: skip
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return table(columns, BUSES)


def _long(
    feeder: cases.Feeder, net: physics.Network | physics.Network3, of: pa.Schema, names: Sequence[str],
    by_p: FloatArray, by_q: FloatArray, present: NDArray[np.bool_] | None,
) -> pa.Table:  # fmt: skip
    """A matrix as rows: what is told, by which bus and phase."""
    at = list(_places(feeder, net))
    index = tuple(np.array([(feeder.node_index[name], *phase) for name, phase in at], dtype=np.int64).T)
    at_nodes = [name for name, _ in at]
    at_phases = [_letter(feeder, name, phase) for name, phase in at]
    columns: list[list[object]] = [[] for _ in range(4)]
    numbers: list[list[FloatArray]] = [[], []]
    for k, name in enumerate(names):
        for phase in _phases(net):
            mine = by_p[(k, *phase)], by_q[(k, *phase)]
            if present is not None and not present[(k, *phase)]:
                continue
            if present is None and phase and not (mine[0].any() or mine[1].any()):
                continue  # a phase that the branch does not have, or that carries nothing
            letter = "ABC"[phase[0]] if phase and present is None else _letter(feeder, name, phase)
            columns[0] += [name] * len(at)
            columns[1] += [letter] * len(at)
            columns[2] += at_nodes
            columns[3] += at_phases
            for into, part in zip(numbers, mine, strict=True):
                into.append(part[index])
    values = [np.concatenate(part) if part else np.zeros(0) for part in numbers]
    return table(dict(zip(of.names, (*columns, *values), strict=True)), of)
