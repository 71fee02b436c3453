"""A feeder whose voltages are set: what can be set, what is made small, and the power flow of any setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .... import cases, physics
from ...errors import RunError, unknown
from ..integer_search import Judge
from ..switched import tap_ratios
from ..units import Unit
from .inverters import Inverter, Inverters

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Loads = Mapping[str, FloatArray]

#: Levels of an inverter's reactive power, either way: shares of its capability in steps of 1 / LEVELS.
LEVELS = 20
#: Of a violation below it nothing is said, pu.
KEPT_PU = 1e-9


@dataclass(frozen=True, eq=False)
class Setting:
    """What taps, banks and inverters are set to.

    Attributes:
        tap_pos: (n_regulator,) positions. cap_on: (n_cap,) states.
        q_share: (n_inverter,) reactive power over the capability, -1 to 1, above 0 injects.
    """

    tap_pos: IntArray
    cap_on: BoolArray
    q_share: FloatArray

    def rows(self, at: Any) -> Setting:
        """Some rows of settings that are arrays of rows; None in ``at`` makes a row of one."""
        return Setting(self.tap_pos[at], self.cap_on[at], self.q_share[at])


def stacked(settings: Sequence[Setting]) -> Setting:
    """Settings as rows of arrays."""
    return Setting(
        np.stack([one.tap_pos for one in settings]), np.stack([one.cap_on for one in settings]),
        np.stack([one.q_share for one in settings]),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Moment:
    """An operating point.

    Attributes:
        loads: Arguments of `physics.solve` of one row, without an axis of rows.
        sun: Share of their rated power that the inverters have.
    """

    loads: Loads
    sun: float


@dataclass(frozen=True, eq=False)
class Shown:
    """What power flows of rows say.

    Attributes:
        solution: Of `physics.solve`. v_pu: (rows, judged) voltages that the band judges.
        p_loss_mw, p_head_mw, deviation_pu2: (rows,) losses, power from the sources, the sum of (V - 1)^2.
        violation_pu: (rows,) the sum of what lies outside the band. found: (rows,) whether it is a solution.
    """

    solution: Any
    v_pu: FloatArray
    p_loss_mw: FloatArray
    p_head_mw: FloatArray
    deviation_pu2: FloatArray
    violation_pu: FloatArray
    found: BoolArray


#: What is made small: losses, power from the sources (conservation voltage reduction), distance from 1 pu.
OBJECTIVES: dict[str, Callable[[Shown], FloatArray]] = {
    "loss": lambda shown: shown.p_loss_mw,
    "cvr": lambda shown: shown.p_head_mw,
    "voltage": lambda shown: shown.deviation_pu2,
}


class VoltVarStudy:
    """A feeder, its inverters, an objective and a band.

    Args:
        feeder: Balanced or per phase, with tap changers, banks or inverters.
        inverters: Whose reactive power is set.
        objective: "loss", "cvr" (least power from upstream) or "voltage" (nearest to 1 pu).
        v_band: Least and most voltage, pu. It is judged at the nodes of a balanced feeder that are fed, but
            the sources', and of a per-phase one at those with loads.
        v_source_pu: Of all sources; None: as stored.

    Raises:
        RunError: an unknown objective, a band that is none, nothing to set.
    """

    #: What a setting of inverters is called, and what a share of 1 is: all of the capability.
    inverter_kind: str = "inverter"
    inverter_scale: float = 1.0

    def __init__(
        self, feeder: cases.Feeder, inverters: Sequence[Inverter] = (), *, objective: str = "loss",
        v_band: tuple[float, float] = (0.95, 1.05), v_source_pu: float | None = None,
    ) -> None:  # fmt: skip
        if objective not in OBJECTIVES:
            raise unknown("objective", objective, OBJECTIVES)
        if not 0.0 <= v_band[0] < v_band[1] < np.inf:
            raise RunError(f"the band is {v_band!r}: expected (least, most) in pu with 0 <= least < most")
        self.feeder, self.objective, self.v_band, self.v_source_pu = feeder, objective, v_band, v_source_pu
        self.per_phase = feeder.phases == "per-phase"
        self.net: Any = physics.compile(feeder, keep_loops=True)
        self.inverters = Inverters(self.net, inverters)
        self.reg_ids = [str(name) for name in feeder.column("regulators", "reg_id")]
        self.cap_ids = [str(name) for name in feeder.column("capacitors", "cap_id")]
        if not (self.reg_ids or self.cap_ids or len(self.inverters)):
            raise RunError(f"feeder {feeder.name!r} has neither tap changers, banks nor inverters to set")
        self.step_pu = np.asarray(feeder.column("regulators", "tap_step_pu"), dtype=np.float64)
        self.tap_ends = tuple(
            np.asarray(feeder.column("regulators", name), dtype=np.int64) for name in ("tap_min", "tap_max")
        )
        self.judged = self._judged()
        self._options = {} if v_source_pu is None else {"v_source_pu": v_source_pu}

    @property
    def stored(self) -> Setting:
        """As the feeder's tables have taps and banks, with inverters at unity power factor."""
        column = self.feeder.column
        return Setting(
            np.asarray(column("regulators", "tap_pos"), dtype=np.int64),
            np.asarray(column("capacitors", "status"), dtype=bool), np.zeros(len(self.inverters)),
        )  # fmt: skip

    def nominal(self, load_level: float = 1.0, sun: float = 0.0) -> Moment:
        """The feeder's own loads times a number."""
        net = self.net
        loads = {"p_mw": net.load_p_mw, "q_mvar": net.load_q_mvar}
        if isinstance(net, physics.Network3):
            loads |= {"p_delta_mw": net.delta_p_mw, "q_delta_mvar": net.delta_q_mvar}
        return Moment({name: load_level * part for name, part in loads.items()}, sun)

    @property
    def nominal_mw(self) -> float:
        """Of all loads."""
        return float(np.asarray(self.feeder.column("loads", "p_mw"), dtype=np.float64).sum())

    def load_level(self, loads: Loads) -> FloatArray:
        """(rows,) active loads at 1 pu over the nominal ones."""
        parts = [loads[name] for name in ("p_mw", "p_delta_mw") if name in loads]
        return np.asarray(sum(part.reshape(len(part), -1).sum(axis=1) for part in parts) / self.nominal_mw)

    # -- power flow ------------------------------------------------------------------------------------------

    def flow(
        self, tap_pos: IntArray, cap_on: BoolArray, q_mvar: FloatArray, loads: Loads, sun: FloatArray
    ) -> Shown:
        """Power flows of rows of settings.

        Args:
            tap_pos: (rows, n_regulator).
            cap_on: (rows, n_cap).
            q_mvar: (rows, n_inverter), or (n_inverter,) for all rows.
            loads: Arguments of `physics.solve`, with or without an axis of rows.
            sun: Share of their rated power that inverters feed in, as ``q_mvar`` without its last axis.
        """
        given: dict[str, Any] = {
            **self.set_to(tap_pos, cap_on), **loads, **self._options, **self.injected(q_mvar, sun)
        }  # fmt: skip
        sol = physics.solve(self.net, **given)
        return self.shown(sol)

    def set_to(self, tap_pos: IntArray, cap_on: BoolArray) -> dict[str, Any]:
        """Settings of rows as arguments of `physics.solve`."""
        found: dict[str, Any] = {}
        if self.reg_ids:
            found["tap"] = tap_ratios(self.net, tap_pos)
        if self.cap_ids:
            found["cap_on"] = cap_on
        return found

    def injected(self, q_mvar: FloatArray, sun: FloatArray) -> dict[str, Any]:
        """What inverters feed in, as arguments of `physics.solve`."""
        if not len(self.inverters):
            return {}
        p = np.broadcast_to(np.asarray(sun)[..., None] * self.inverters.p_mw, q_mvar.shape)
        return {
            "p_inject_mw": self.inverters.placed(np.asarray(p)),
            "q_inject_mvar": self.inverters.placed(q_mvar),
        }

    @property
    def options(self) -> dict[str, Any]:
        """Further arguments of every power flow."""
        return dict(self._options)

    def shown(self, sol: Any) -> Shown:
        """What a solution of rows says."""
        v = sol.v_pu[:, self.judged]
        low, high = self.v_band
        outside = (np.maximum(low - v, 0.0) + np.maximum(v - high, 0.0)).sum(axis=-1)
        return Shown(
            sol, v, np.asarray(sol.p_loss_mw), np.asarray(sol.p_slack_mw), ((v - 1.0) ** 2).sum(axis=-1),
            np.where(outside > KEPT_PU, outside, 0.0), np.asarray(sol.converged & ~sol.collapsed),
        )  # fmt: skip

    def _judged(self) -> BoolArray:
        """(n_bus,) or (n_bus, 3) where the band is judged."""
        net, at = self.net, np.zeros(self.net.n_bus, dtype=bool)
        if not self.per_phase:
            at[np.asarray(net.energised, dtype=bool)] = True
            at[[self.feeder.node_index[str(n)] for n in self.feeder.column("sources", "node_id")]] = False
            return at
        at[[self.feeder.node_index[str(n)] for n in self.feeder.column("loads", "node_id")]] = True
        slots = np.asarray(net.topology.ground_slots, dtype=bool).reshape(-1, 3)
        return np.asarray(at[:, None] & net.present & net.energised & slots)

    # -- judging settings ------------------------------------------------------------------------------------

    def choices(self, moments: Sequence[Moment], *, one_share: bool) -> list[IntArray]:
        """Values of each coordinate: taps, banks, and levels of reactive power, of all inverters or of each.

        Where no inverter has any reactive power at any of the moments, their coordinates have one value.
        """
        ends = zip(*(end.tolist() for end in self.tap_ends), strict=True)
        found = [np.arange(low, high + 1) for low, high in ends]
        found += [np.arange(2) for _ in self.cap_ids]
        n = len(self.inverters)
        suns = np.array([[moment.sun] * n for moment in moments]).reshape(len(moments), n)
        able = self.inverters.capability_mvar(suns).max(axis=0, initial=0.0) > 0.0
        for free in [bool(able.any())] * bool(n) if one_share else able.tolist():
            found.append(self.inverter_levels() if free else np.zeros(1, dtype=np.int64))
        return found

    def inverter_levels(self) -> IntArray:
        """Values of an inverter's coordinate: shares of its capability, either way."""
        return np.arange(-LEVELS, LEVELS + 1)

    def relaxed_units(self, sun: float) -> list[Unit] | None:
        """Inverters as setpoints of a dispatch; None where they are none."""
        return self.inverters.dispatched(sun)

    def reactive(self, setting: Setting, loads: Loads, sun: FloatArray) -> FloatArray:
        """(rows, n_inverter) Mvar that rows of settings bring about.

        Args:
            setting: Rows of arrays.
            loads: Arguments of `physics.solve`, with or without an axis of rows.
            sun: (rows,), or one share for all rows.
        """
        shape = (len(setting.q_share), len(self.inverters))
        sky = np.broadcast_to(np.asarray(sun)[..., None], shape)
        return np.asarray(setting.q_share * self.inverters.capability_mvar(sky))

    def coded(self, setting: Setting, *, one_share: bool) -> IntArray:
        """A setting as values of `choices`, reactive power at the nearest level."""
        share = setting.q_share[:1] if one_share else setting.q_share
        levels = np.rint(LEVELS * share).astype(np.int64)
        return np.concatenate([setting.tap_pos, setting.cap_on.astype(np.int64), levels])

    def decoded(self, values: IntArray) -> Setting:
        """Values of `choices`, (k,) or (rows, k), as settings."""
        first = len(self.reg_ids)
        last = first + len(self.cap_ids)
        share = np.broadcast_to(values[..., last:] / LEVELS, (*values.shape[:-1], len(self.inverters)))
        return Setting(values[..., :first], values[..., first:last] == 1, np.asarray(share))

    def judge(self, moments: Sequence[Moment]) -> Judge:
        """Settings that are held over some moments: the sums of violation and objective over them."""

        def judged(values: IntArray) -> tuple[FloatArray, FloatArray]:
            outside, objective = np.zeros(len(values)), np.zeros(len(values))
            for moment in moments:
                shown = self.at(self.decoded(values), moment)
                outside += np.where(shown.found, shown.violation_pu, np.inf)
                objective += np.where(shown.found, OBJECTIVES[self.objective](shown), np.inf)
            return outside, objective

        return judged

    def at(self, setting: Setting, moment: Moment) -> Shown:
        """The power flows of settings, rows of arrays, at one moment."""
        q = self.reactive(setting, moment.loads, np.asarray(moment.sun))
        if (self.reg_ids or self.cap_ids) and (q == q[0]).all():
            q = q[0]  # one row of injections for all rows of settings
        return self.flow(setting.tap_pos, setting.cap_on, q, moment.loads, np.asarray(moment.sun))
