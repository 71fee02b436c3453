"""Terms of a reward on a per-phase feeder: their values, what is smooth of them, and their hinges.

Smooth terms are told to the adjoint as derivatives by results of the power flow. What counts beyond a limit
only is a hinge for each node, phase or branch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .... import physics
from ....envs.tasks import Term
from ...errors import RunError
from ..affine import FloatArray, IntArray
from .network import PhaseNetwork

_TURN = np.exp(2j * np.pi / 3.0)
_VUF_TOP_PCT = 100.0
_OFF_SQUARE = "setpoint_deviation_square"
Seeds = dict[str, FloatArray]


@dataclass(frozen=True, eq=False)
class Hinges:
    """What counts beyond limits, each alone: weight * max(excess, 0).

    Attributes:
        weight: Of each unit of excess, as a cost.
        excess: (rows, k) in its own unit, below 0 within the limit.
        near: How far below 0 it may yet be reached in a step of the search.
        seeds: Of (rows, k) factors: derivatives of the sum of factor times excess, for `physics.gradient`.
        index: Place among the hinges of `NetworkTerms.hinges`.
    """

    weight: float
    excess: FloatArray
    near: float
    seeds: Callable[[FloatArray], Seeds]
    index: int = 0


@dataclass(frozen=True, eq=False)
class Look:
    """Solved rows as terms see them; ``steps`` are the intervals that they are of."""

    network: PhaseNetwork
    sol: physics.Solution3
    steps: IntArray

    @cached_property
    def v_pu(self) -> FloatArray:
        """(rows, columns of voltages), dead ones NaN; of legs where nothing fixes a voltage to ground."""
        node, place = self.network.places.voltage_at.T
        size = np.asarray(self.sol.v_pu[:, node, place])
        legs = np.flatnonzero(self.network.places.columns.voltage[:, 1] >= 0)
        size[:, legs] = np.abs(self._across(legs)) / np.sqrt(3.0)
        return size

    def _across(self, legs: IntArray) -> NDArray[np.complex128]:
        v = self.sol.v.reshape(len(self.steps), -1)
        first, second = self.network.places.columns.voltage[legs].T
        return np.asarray(v[:, first] - v[:, second])

    @cached_property
    def vuf_pct(self) -> FloatArray:
        """(rows, nodes with three phases)."""
        return np.asarray(self.sol.vuf_pct[:, self.network.places.vuf_at])

    @cached_property
    def above_mva(self) -> FloatArray:
        """(rows, n_branch * 3) MVA above the rating, below 0 within it; -inf without one."""
        loading = self.sol.loading
        above = (loading - 1.0) * np.fmin(*self.network.net.phase_rating_mva)
        return np.where(np.isfinite(above), above, -np.inf).reshape(len(loading), -1)

    @property
    def price_usd_mwh(self) -> FloatArray:
        """(rows,)."""
        return self.network.window.price_usd_mwh[self.steps]

    @property
    def off_mw(self) -> FloatArray:
        """(rows,) by how much the power at the head is above what is asked for."""
        wanted = self.network.window.setpoint_mw
        assert wanted is not None
        return np.asarray(self.sol.p_slack_mw - wanted[self.steps])

    # -- derivatives -----------------------------------------------------------------------------------------

    def by_voltages(self, factor: FloatArray) -> Seeds:
        """Of the sum of factor (rows, columns) times voltage."""
        factor = np.where(np.isfinite(self.v_pu), factor, 0.0)
        slots, shape = self.network.places.columns.voltage, self.sol.v_pu.shape
        size, angle = (np.zeros((len(self.steps), shape[1] * 3)) for _ in range(2))
        ground, legs = (np.flatnonzero(part) for part in (slots[:, 1] < 0, slots[:, 1] >= 0))
        size[:, slots[ground, 0]] = factor[:, ground]
        if not legs.size:
            return {"v_pu": size.reshape(shape)}
        across, v = self._across(legs), self.sol.v.reshape(len(self.steps), -1)
        per = factor[:, legs] / np.where(np.abs(across) > 0.0, np.abs(across), 1.0) / np.sqrt(3.0)
        for end, sign in ((0, 1.0), (1, -1.0)):
            at = slots[legs, end]
            by = np.nan_to_num(sign * per * np.conj(across) * v[:, at])
            for row in range(len(self.steps)):
                np.add.at(size[row], at, by[row].real / np.abs(v[row, at]))
                np.add.at(angle[row], at, -by[row].imag * np.pi / 180.0)
        return {"v_pu": size.reshape(shape), "v_deg": angle.reshape(shape)}

    def by_unbalance(self, factor: FloatArray) -> Seeds:
        """Of the sum of factor (rows, nodes) times unbalance in percent."""
        at = self.network.places.vuf_at
        v = self.sol.v[:, at]
        turns = np.array([1.0, _TURN, _TURN**2])
        sums = [v @ turns, v @ np.conj(turns)]
        first, second = (np.where(np.abs(part) > 1e-12, np.abs(part), np.nan) for part in sums)
        share = 100.0 * np.nan_to_num(factor / first)
        size, angle = np.zeros(v.shape), np.zeros(v.shape)
        # d|a| = Re(conj(a) da) / |a|; a turns with each phase's own voltage
        for of, turn, per in (
            (sums[1], np.conj(turns), share / second),
            (sums[0], turns, -share * np.abs(sums[1]) / first**2),
        ):
            by = np.nan_to_num(per)[..., None] * np.conj(of)[..., None] * turn * v
            size += by.real / np.where(np.abs(v) > 0.0, np.abs(v), 1.0)
            angle += -by.imag * np.pi / 180.0
        seeds = {"v_pu": np.zeros(self.sol.v_pu.shape), "v_deg": np.zeros(self.sol.v_pu.shape)}
        live = np.isfinite(self.vuf_pct)[..., None]
        seeds["v_pu"][:, at], seeds["v_deg"][:, at] = np.where(live, size, 0.0), np.where(live, angle, 0.0)
        return seeds

    def by_flows(self, factor: FloatArray) -> Seeds:
        """Of the sum of factor (rows, n_branch * 3) times apparent power of the larger end."""
        rating = np.fmin(*self.network.net.phase_rating_mva)
        scaled = factor.reshape(self.sol.loading.shape) * np.nan_to_num(rating)
        return {"loading": scaled}


#: Of a term: values (rows,).
Value = Callable[..., FloatArray]


def _mean_square(look: Look, reference_pu: float, band_pu: float) -> FloatArray:
    return np.asarray(np.nanmean((look.v_pu - reference_pu) ** 2, axis=1) / band_pu**2)


def _by_mean_square(look: Look, reference_pu: float, band_pu: float) -> Seeds:
    count = np.isfinite(look.v_pu).sum(axis=1, keepdims=True)
    return look.by_voltages(2.0 * (look.v_pu - reference_pu) / band_pu**2 / count)


def _unbalance(look: Look, limit_pct: float, most: float) -> FloatArray:
    if not look.vuf_pct.shape[1]:
        return np.zeros(len(look.steps))
    return np.asarray(np.nanmean(np.minimum(look.vuf_pct / limit_pct, most) ** 2, axis=1))


def _by_unbalance(look: Look, limit_pct: float, most: float) -> Seeds:
    count = np.maximum(np.isfinite(look.vuf_pct).sum(axis=1, keepdims=True), 1)
    inside = look.vuf_pct < most * limit_pct
    return look.by_unbalance(np.where(inside, 2.0 * look.vuf_pct / limit_pct**2 / count, 0.0))


def _rows(look: Look, factor: float | FloatArray) -> FloatArray:
    return np.broadcast_to(np.asarray(factor, dtype=np.float64), look.steps.shape).copy()


#: Smooth terms: value, and seeds of its derivative.
_SMOOTH: Mapping[str, tuple[Value, Callable[..., Seeds]]] = {
    "loss_mw": (lambda look: look.sol.p_loss_mw, lambda look: {"p_loss_mw": _rows(look, 1.0)}),
    "voltage_deviation": (_mean_square, _by_mean_square),
    "unbalance_square": (_unbalance, _by_unbalance),
    "energy_cost_usd": (
        lambda look: look.network.window.dt_h * look.price_usd_mwh * look.sol.p_slack_mw,
        lambda look: {"p_slack_mw": look.network.window.dt_h * look.price_usd_mwh},
    ),
    _OFF_SQUARE: (lambda look: look.off_mw**2, lambda look: {"p_slack_mw": 2.0 * look.off_mw}),
}  # fmt: skip


def _of_band(look: Look, weight: float) -> Iterator[Hinges]:
    (low, high), margin = look.network.places.v_limits_pu, look.network.margin_pu
    low, high = low + margin, high - margin
    yield Hinges(weight, _finite(low - look.v_pu), 0.02, lambda factor: look.by_voltages(-factor))
    yield Hinges(weight, _finite(look.v_pu - high), 0.02, look.by_voltages)


def _of_unbalance(look: Look, weight: float) -> Iterator[Hinges]:
    most = look.network.places.columns.vuf_max_pct
    excess = np.minimum(look.vuf_pct, _VUF_TOP_PCT) - most
    yield Hinges(weight, _finite(excess), 0.8, look.by_unbalance)


def _of_ratings(look: Look, weight: float) -> Iterator[Hinges]:
    rating = np.nan_to_num(np.fmin(*look.network.net.phase_rating_mva)).max()
    yield Hinges(weight, look.above_mva, 0.2 * float(rating), look.by_flows)


def _of_setpoint(look: Look, weight: float) -> Iterator[Hinges]:
    off = look.off_mw[:, None]
    yield Hinges(weight, off, np.inf, lambda factor: {"p_slack_mw": factor[:, 0]})
    yield Hinges(weight, -off, np.inf, lambda factor: {"p_slack_mw": -factor[:, 0]})


def _finite(excess: FloatArray) -> FloatArray:
    return np.where(np.isfinite(excess), excess, -np.inf)


#: Terms that count beyond limits. Their ceilings, where they have one, are far out.
_HINGED: Mapping[str, Callable[[Look, float], Iterator[Hinges]]] = {
    "voltage_violation_pu": _of_band,
    "voltage_violation_capped_pu": _of_band,
    "vuf_violation_pct": _of_unbalance,
    "vuf_violation_capped_pct": _of_unbalance,
    "thermal_overload_mva": _of_ratings,
    "setpoint_deviation_mw": _of_setpoint,
}
_CEILING = {"voltage_violation_capped_pu": "most_pu", "vuf_violation_capped_pct": "most_pct"}
#: Quantities that power flows decide.
OF_NETWORK = (*_SMOOTH, *_HINGED)


class NetworkTerms:
    """The terms of a task that power flows decide.

    Args:
        terms: Of a reward; others are left out.
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms: list[tuple[str, float, dict[str, Any]]] = []
        for term in terms:
            if term.of.name in OF_NETWORK and term.weight:
                if term.weight > 0.0:
                    raise RunError(f"reward term {term.name!r}: weight {term.weight:g} pays for it")
                given = {**term.of.parameters, **dict(term.parameters)}
                self._terms.append((term.of.name, -term.weight, given))

    def cost(self, look: Look) -> FloatArray:
        """(rows,) minus what the terms bring; inf where a power flow failed."""
        total = np.zeros(len(look.steps))
        with np.errstate(all="ignore"):
            for name, weight, given in self._terms:
                if name in _SMOOTH:
                    total += weight * _SMOOTH[name][0](look, **given)
                    continue
                beyond = sum(np.maximum(h.excess, 0.0).sum(axis=1) for h in _HINGED[name](look, 1.0))
                total += weight * np.minimum(beyond, given.get(_CEILING.get(name, ""), np.inf))
        return np.where(np.asarray(look.sol.converged) & np.isfinite(total), total, np.inf)

    def smooth_seeds(self, look: Look) -> Seeds:
        """Derivatives of the smooth part of the cost by results of the power flow."""
        total: Seeds = {"p_loss_mw": np.zeros(len(look.steps))}
        for name, weight, given in self._terms:
            if name in _SMOOTH:
                for key, seed in _SMOOTH[name][1](look, **given).items():
                    total[key] = total.get(key, 0.0) + weight * seed
        return total

    def hinges(self, look: Look) -> list[Hinges]:
        """All that counts beyond a limit."""
        found = [h for name, weight, _ in self._terms if name in _HINGED for h in _HINGED[name](look, weight)]
        return [replace(h, index=k) for k, h in enumerate(found)]

    def hinges_like(self, look: Look, index: int) -> Hinges:
        """Those of a place, of other rows."""
        return self.hinges(look)[index]

    @property
    def head_curvature(self) -> float:
        """Second derivative of the cost by the power at the head."""
        return 2.0 * sum(weight for name, weight, _ in self._terms if name == _OFF_SQUARE)
