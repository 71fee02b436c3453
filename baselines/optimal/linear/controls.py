"""What a linear dispatch sets, as one vector: powers of units, positions of tap changers, states of banks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .... import physics
from ...errors import RunError, unknown
from ..affine import FloatArray, IntArray
from ..units import Unit

AnyNetwork = physics.Network | physics.Network3
_PHASES = "abc"


@dataclass(frozen=True, eq=False)
class Controls:
    """Columns: active powers, reactive powers (both of all units), tap positions, banks.

    A column is ``scale`` times its value in MW, Mvar, positions or states; ``place`` says where powers go.

    Attributes:
        net: Compiled. units: In the order of the columns.
        least, most: (n,) of the columns. whole: (n,) which are whole numbers. scale: (n,).
        place: (n, n_bus) or (n, n_bus * 3) share of a column's power at each node; a bank: its Mvar at 1 pu.
        load_p, load_q: Loads of the operating point, shapes as `physics.solve` has them.
        v_source_pu: Of all sources; None: as stored.
        taps, banks: Which of the feeder's tap changers and banks are set: rows of their tables.
    """

    net: AnyNetwork
    units: tuple[Unit, ...]
    least: FloatArray
    most: FloatArray
    whole: FloatArray
    scale: FloatArray
    place: FloatArray
    load_p: FloatArray
    load_q: FloatArray
    v_source_pu: float | None
    taps: IntArray
    banks: IntArray

    @property
    def n(self) -> int:
        """Number of columns."""
        return int(self.least.size)

    @property
    def first_tap(self) -> int:
        """Column of the first tap changer."""
        return 2 * len(self.units)

    @property
    def first_bank(self) -> int:
        """Column of the first bank."""
        return self.first_tap + self.taps.size

    @property
    def stored(self) -> FloatArray:
        """(n,) units at nothing, or what is nearest in their boxes; taps and banks as the feeder has them."""
        x = np.clip(np.zeros(self.n), self.least, self.most)
        feeder = self.net.feeder
        x[self.first_tap : self.first_bank] = feeder.regulators.column("tap_pos").to_numpy()[self.taps]
        x[self.first_bank :] = np.asarray(self.net.cap_on, dtype=np.float64)[self.banks]
        return x

    @property
    def nothing(self) -> FloatArray:
        """(n,) as ``stored``, with no power of any unit."""
        x = self.stored
        x[: self.first_tap] = 0.0
        return x

    def solve(self, x: FloatArray, load: FloatArray, extra_q: FloatArray | None = None) -> Any:
        """The AC power flow of rows ``x`` (batch, n) with loads ``load`` (batch,) times as large."""
        net, batch = self.net, x.shape[0]
        shape = (batch, *self.load_p.shape)
        each = load.reshape(-1, *(1,) * self.load_p.ndim)
        n_unit, value = len(self.units), x * self.scale
        p = (value[:, :n_unit] @ self.place[:n_unit]).reshape(shape)
        q = value[:, n_unit : self.first_tap] @ self.place[n_unit : self.first_tap]
        q = (q if extra_q is None else q + extra_q).reshape(shape)
        more: dict[str, Any] = {}
        if isinstance(net, physics.Network3):
            more["p_delta_mw"] = each * net.delta_p_mw
            more["q_delta_mvar"] = each * net.delta_q_mvar
        if self.taps.size:
            more["tap"] = self._ratios(x)
        if self.banks.size:
            on = np.repeat(np.asarray(net.cap_on)[None], batch, axis=0)
            on[:, self.banks] = x[:, self.first_bank :] > 0.5
            more["cap_on"] = on.astype(bool)
        return physics.solve(
            net, each * self.load_p, each * self.load_q, p_inject_mw=p, q_inject_mvar=q,
            v_source_pu=self.v_source_pu, tol=1e-12, **more,
        )  # fmt: skip

    def _ratios(self, x: FloatArray) -> FloatArray:
        step, at = self.tap_steps, self.tap_columns
        whole = np.repeat(np.asarray(self.net.tap, dtype=np.float64)[None], x.shape[0], axis=0)
        whole[:, at] = 1.0 + x[:, self.first_tap : self.first_bank] * step
        return whole

    @property
    def tap_steps(self) -> FloatArray:
        """(n_tap,) of the ratio."""
        return np.asarray(self.net.feeder.regulators.column("tap_step_pu").to_numpy()[self.taps])

    @property
    def tap_columns(self) -> IntArray:
        """(n_tap,) columns of what `physics.solve` takes as ``tap``."""
        if isinstance(self.net, physics.Network3):
            return self.taps
        index, names = self.net.feeder.branch_index, self.net.feeder.regulators.column("branch_id")
        return np.array([index[str(names[int(k)])] for k in self.taps], dtype=np.int64)


def controls_of(
    net: AnyNetwork, units: Sequence[Unit], loads: tuple[FloatArray | None, FloatArray | None],
    v_source_pu: float | None, taps: Sequence[str] | bool, banks: Sequence[str] | bool,
    q_steps_mvar: dict[str, float],
) -> Controls:  # fmt: skip
    """Checked; RunError for what does not exist or has no steps."""
    feeder, units = net.feeder, tuple(units)
    _check_names(units, q_steps_mvar)
    tap_rows = _rows(taps, "tap changer", feeder.regulators.column("reg_id").to_pylist())
    bank_rows = _rows(banks, "bank", feeder.capacitors.column("cap_id").to_pylist())
    least = [u.p_min_mw for u in units] + [u.q_min_mvar for u in units]
    most = [u.p_max_mw for u in units] + [u.q_max_mvar for u in units]
    scale, whole = np.ones(len(least)), np.zeros(len(least), dtype=bool)
    for k, unit in enumerate(units):
        step = q_steps_mvar.get(unit.name)
        if step is not None:
            place = len(units) + k
            scale[place], whole[place] = step, True
            least[place], most[place] = np.ceil(least[place] / step), np.floor(most[place] / step)
    table = feeder.regulators
    tap_least, tap_most = (table.column(name).to_numpy()[tap_rows] for name in ("tap_min", "tap_max"))
    n_more = tap_rows.size + bank_rows.size
    nodes = np.stack([_place(net, unit) for unit in units]) if units else np.zeros((0, net.load_p_mw.size))
    places = np.concatenate([nodes, nodes, np.zeros((tap_rows.size, net.load_p_mw.size)),
                            _bank_places(net, bank_rows)])  # fmt: skip
    found = Controls(
        net, units,
        np.concatenate([least, tap_least, np.zeros(bank_rows.size)]).astype(np.float64),
        np.concatenate([most, tap_most, np.ones(bank_rows.size)]).astype(np.float64),
        np.concatenate([whole, np.ones(n_more, dtype=bool)]), np.concatenate([scale, np.ones(n_more)]),
        places, *_loads(net, loads), v_source_pu, tap_rows, bank_rows,
    )  # fmt: skip
    if not found.n:
        raise RunError("there is nothing to set: give units, taps or banks")
    return found


def _check_names(units: Sequence[Unit], q_steps_mvar: dict[str, float]) -> None:
    names = [unit.name for unit in units]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RunError(f"unit {twice[0]!r} is there twice: give each its own name")
    for name, step in q_steps_mvar.items():
        if name not in names:
            raise unknown("unit of q_steps_mvar", name, names)
        if not (np.isfinite(step) and step > 0.0):
            raise RunError(f"q_steps_mvar[{name!r}] must be greater than 0, got {step!r}")


def _rows(wanted: Sequence[str] | bool, kind: str, known: Sequence[Any]) -> IntArray:
    names = [str(name) for name in known]
    if isinstance(wanted, bool):
        return np.arange(len(names) if wanted else 0)
    for name in wanted:
        if name not in names:
            raise unknown(kind, name, names)
    return np.array(sorted({names.index(name) for name in wanted}), dtype=np.int64)


def _place(net: AnyNetwork, unit: Unit) -> FloatArray:
    """Shares of a unit's power at the nodes; "671" is all phases of a node alike, "671.b" one of them."""
    index = net.feeder.node_index
    bus, dot, phases = unit.bus, "", ""
    if bus not in index:
        bus, dot, phases = unit.bus.rpartition(".")
    if bus not in index or (dot and not isinstance(net, physics.Network3)):
        raise unknown(f"unit {unit.name!r}: bus", unit.bus, index)
    share = np.zeros(net.load_p_mw.shape)
    if not isinstance(net, physics.Network3):
        share[index[bus]] = 1.0
        return share
    there = np.asarray(net.present[index[bus]])
    at = (
        [_PHASES.index(phase) for phase in phases.lower() if phase in _PHASES]
        if dot
        else np.flatnonzero(there)
    )
    if not len(at) or len(at) < len(phases) or not there[at].all():
        have = "".join(np.array(list(_PHASES))[there])
        raise RunError(f"unit {unit.name!r}: bus {unit.bus!r}: node {bus!r} has the phases {have!r}")
    share[index[bus], at] = 1.0 / len(at)
    return share.ravel()


def _bank_places(net: AnyNetwork, banks: IntArray) -> FloatArray:
    table, found = net.feeder.capacitors, np.zeros((banks.size, *net.load_p_mw.shape))
    for k, row in enumerate(banks):
        bank = table.slice(int(row), 1).to_pylist()[0]
        at = net.feeder.node_index[bank["node_id"]]
        if not isinstance(net, physics.Network3):
            found[k, at] = bank["q_mvar"]
            continue
        if bank["connection"] != "wye":
            raise RunError(f"bank {bank['cap_id']!r} is connected in {bank['connection']}: expected wye")
        phases = [_PHASES.index(phase) for phase in bank["phase"].lower()]
        found[k, at, phases] = bank["q_mvar"] / len(phases)
    return found.reshape(banks.size, net.load_p_mw.size)


def _loads(
    net: AnyNetwork, loads: tuple[FloatArray | None, FloatArray | None]
) -> tuple[FloatArray, FloatArray]:
    found = []
    for name, given, own in zip(("p_mw", "q_mvar"), loads, (net.load_p_mw, net.load_q_mvar), strict=True):
        value = np.asarray(own if given is None else given, dtype=np.float64)
        if value.shape != own.shape or not np.isfinite(value).all():
            raise RunError(
                f"{name} must be finite and of shape {own.shape}, one a bus; got shape {value.shape}"
            )
        found.append(value)
    return found[0], found[1]
