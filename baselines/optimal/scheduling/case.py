"""What a schedule is asked for: a feeder, its assets, loads and prices of every step, limits and orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .... import physics
from ....cases.model.topology import branch_ends, spanning_forest
from ...errors import RunError, unknown
from ..affine import FloatArray, IntArray
from ..branch_flow import NetworkLimits
from ..phase_dispatch import PhaseUnit, grounded, shares_of
from ..verdict import KEPT
from .assets import Asset, check_energy

_POWERS = ("p_", "q_")  # how the names of powers begin
HEAD = "head"  # the substation: all sources together


@dataclass(frozen=True, eq=False)
class PowerCap:
    """Limits of active power away from the substation, at a branch or at all sources together.

    Attributes:
        element: `HEAD`, or a branch id.
        import_mw: (steps,) most power away from the substation; inf: any. Below 0 it orders an export.
        export_mw: (steps,) most power towards it; inf: any. Below 0 it orders an import.
    """

    element: str
    import_mw: FloatArray
    export_mw: FloatArray


def steps_between(from_h: float, to_h: float, steps: int, dt_h: float) -> slice:
    """Steps of a day that overlap with what lies between two hours of it."""
    return slice(int(np.floor(from_h / dt_h + 1e-9)), min(int(np.ceil(to_h / dt_h - 1e-9)), steps))


class Excess(NamedTuple):
    """A limit that is exceeded."""

    kind: str  # import, export, v_max, v_min, thermal
    element: str
    step: int
    limit: float
    unit: str
    excess: float

    def __str__(self) -> str:
        return f"{self.kind} at {self.element} by {self.excess:.4g} {self.unit} in step {self.step}"


class OverLimitsError(RunError):
    """No schedule keeps all limits.

    Attributes:
        excess: What must give way at the least where all give way together as little as they can, the largest
            first.
    """

    def __init__(self, excess: Sequence[Excess]) -> None:
        self.excess = tuple(excess)
        super().__init__(f"no schedule keeps the limits: {told(self.excess)}")

    def __reduce__(self) -> tuple[type[OverLimitsError], tuple[tuple[Excess, ...]]]:
        return type(self), (self.excess,)


def told(excess: Sequence[Excess]) -> str:
    """The largest excess in words, and how many more there are."""
    if not excess:
        return "the loads are beyond the feeder"
    more = f", the largest of {len(excess)} excesses" if len(excess) > 1 else ""
    return f"{excess[0]}{more}"


@dataclass(frozen=True, eq=False)
class ScheduleCase:
    """A feeder with assets over some steps.

    Attributes:
        net: Compiled, balanced or per phase.
        assets: At least one.
        loads: Arguments of `physics.solve`, each (steps, ...); taps and banks may be among them.
        price_usd_mwh: (steps,) of energy at the head, bought and sold.
        dt_h: Hours of a step.
        limits: Band and ratings; its import and export are for `caps` to say.
        caps: Limits of power at branches and at the head.
        v_source_pu: Of all sources; None: as stored.

    Raises:
        RunError: unknown buses, branches or phases, arrays of other lengths, an asset that cannot keep its
            own limits.
    """

    net: physics.Network | physics.Network3
    assets: tuple[Asset, ...]
    loads: dict[str, Any]
    price_usd_mwh: FloatArray
    dt_h: float
    limits: NetworkLimits = field(default_factory=NetworkLimits)
    caps: tuple[PowerCap, ...] = ()
    v_source_pu: float | None = None

    def __post_init__(self) -> None:
        if not self.assets:
            raise RunError("a schedule needs at least one asset")
        steps, names = self.steps, [asset.name for asset in self.assets]
        if not (np.isfinite(self.price_usd_mwh).all() and steps):
            raise RunError("price_usd_mwh must be finite numbers, one a step")
        for asset in self.assets:
            if asset.bus not in self.net.feeder.node_index:
                raise unknown(f"asset {asset.name!r}: bus", asset.bus, self.net.feeder.node_index)
            if asset.steps != steps:
                raise RunError(f"asset {asset.name!r} has {asset.steps} steps, prices have {steps}")
            if names.count(asset.name) > 1:
                raise RunError(f"asset {asset.name!r} is there twice: give each its own name")
        branches = dict.fromkeys(self.branch_ids)
        for cap in self.caps:
            if cap.element != HEAD and cap.element not in branches:
                raise unknown("branch", cap.element, branches)
        check_energy(self.assets, self.dt_h)

    @property
    def steps(self) -> int:
        """How many."""
        return int(np.size(self.price_usd_mwh))

    @property
    def per_phase(self) -> bool:
        """Whether the feeder is."""
        return isinstance(self.net, physics.Network3)

    @property
    def branch_ids(self) -> list[str]:
        """Of the feeder."""
        return [str(name) for name in self.net.feeder.column("branches", "branch_id")]

    def window(self, first: int, stop: int, **changes: Any) -> ScheduleCase:
        """Some of the steps; ``changes``: of attributes, assets among them."""
        part = slice(first, stop)
        caps = tuple(
            replace(cap, import_mw=cap.import_mw[part], export_mw=cap.export_mw[part]) for cap in self.caps
        )
        told_ = {
            "loads": {name: value[part] for name, value in self.loads.items()},
            "price_usd_mwh": self.price_usd_mwh[part], "caps": caps,
        }  # fmt: skip
        return replace(self, **{**told_, **changes})

    # -- power flow --------------------------------------------------------------------------------------

    def shares(self) -> FloatArray:
        """(n_assets, size) what of an asset is fed in at each bus, or bus and phase."""
        index = self.net.feeder.node_index
        at = [index[asset.bus] for asset in self.assets]
        if isinstance(self.net, physics.Network3):
            units = [PhaseUnit(asset.name, asset.bus, phase=asset.phase) for asset in self.assets]
            return shares_of(at, units, grounded(self.net))
        share = np.zeros((len(at), self.net.n_bus))
        share[np.arange(len(at)), at] = 1.0
        return share

    def solve(self, p_mw: FloatArray, q_mvar: FloatArray) -> Any:
        """The AC power flow of every step, `physics.Solution` or `Solution3`."""
        shape = (self.steps, self.net.n_bus, 3) if self.per_phase else (self.steps, self.net.n_bus)
        source: dict[str, Any] = {} if self.v_source_pu is None else {"v_source_pu": self.v_source_pu}
        share = self.shares()
        return physics.solve(
            self.net, **self.loads, **source, p_inject_mw=(p_mw @ share).reshape(shape),
            q_inject_mvar=(q_mvar @ share).reshape(shape), tol=1e-11,
        )  # fmt: skip

    def sent_mw(self, sol: Any) -> FloatArray:
        """(steps, n_branch) power of a solution into each branch at its end nearer to the substation."""
        sent = [np.asarray(part) for part in (sol.p_from_mw, sol.p_to_mw)]
        if self.per_phase:
            sent = [np.nansum(part, axis=-1) for part in sent]
        return np.where(self.forward(), *sent)

    def forward(self) -> NDArray[np.bool_]:
        """(n_branch,) whether the from end of each branch is the one nearer to the substation."""
        depth = np.asarray(spanning_forest(self.net.feeder)[1])[branch_ends(self.net.feeder)]
        return np.asarray(depth[:, 0] <= depth[:, 1])

    # -- what a solution exceeds -------------------------------------------------------------------------

    def exceeded(self, sol: Any) -> list[Excess]:
        """Everything beyond a limit by more than rounding, the largest first."""
        found = [*self._caps_exceeded(sol), *self._band_exceeded(sol), *self._ratings_exceeded(sol)]
        scale = {"MW": 1.0, "MVA": 1.0, "pu": 10.0}
        return sorted(found, key=lambda one: (-one.excess * scale[one.unit], one.step, one.element))

    def _caps_exceeded(self, sol: Any) -> list[Excess]:
        found, ids = [], self.branch_ids
        for cap in self.caps:
            if cap.element == HEAD:
                p = np.asarray(sol.p_slack_mw)
            else:
                p = self.sent_mw(sol)[:, ids.index(cap.element)]
            for kind, value, most in (("import", p, cap.import_mw), ("export", -p, cap.export_mw)):
                for t in np.flatnonzero(value - most > KEPT).tolist():
                    by = float(value[t] - most[t])
                    found.append(Excess(kind, cap.element, t, float(most[t]), "MW", by))
        return found

    def _band_exceeded(self, sol: Any) -> list[Excess]:
        if self.limits.v_band is None:
            return []
        low, high = self.limits.v_band
        v = np.asarray(sol.v_pu).copy()
        sources = [self.net.feeder.node_index[str(n)] for n in self.net.feeder.column("sources", "node_id")]
        v[:, sources] = np.nan
        names = [str(n) for n in self.net.feeder.column("nodes", "node_id")]
        found = []
        for kind, over, limit in (("v_max", v - high, high), ("v_min", low - v, low)):
            for place in np.argwhere(np.nan_to_num(over, nan=-1.0) > KEPT):
                where = names[place[1]] + ("." + "ABC"[place[2]] if self.per_phase else "")
                found.append(Excess(kind, where, int(place[0]), limit, "pu", float(over[tuple(place)])))
        return found

    def _ratings_exceeded(self, sol: Any) -> list[Excess]:
        if self.limits.thermal_margin is None:
            return []
        share = 1.0 - self.limits.thermal_margin
        ends = [np.abs(np.asarray(p) + 1j * np.asarray(q)) for p, q in (
            (sol.p_from_mw, sol.q_from_mvar), (sol.p_to_mw, sol.q_to_mvar)
        )]  # fmt: skip
        if isinstance(self.net, physics.Network3):
            ratings = [np.asarray(one) for one in self.net.phase_rating_mva]
        else:
            ratings = [self.net.rating_mva] * 2
        ids, found = self.branch_ids, []
        over = np.maximum(*(np.nan_to_num(s - share * r, nan=-1.0, posinf=-1.0, neginf=-1.0)
                            for s, r in zip(ends, ratings, strict=True)))  # fmt: skip
        for place in np.argwhere(over > KEPT):
            where = ids[place[1]] + ("." + "ABC"[place[2]] if self.per_phase else "")
            limit = share * float(ratings[0][tuple(place[1:])])
            found.append(Excess("thermal", where, int(place[0]), limit, "MVA", float(over[tuple(place)])))
        return found


def times(loads: Mapping[str, Any], factor: FloatArray) -> dict[str, Any]:
    """Arguments of `physics.solve` with their powers times a factor, (steps,) or (steps, n_bus)."""

    def shaped(value: Any) -> FloatArray:
        return factor.reshape(*factor.shape, *(1,) * (np.ndim(value) - factor.ndim))

    return {
        name: value * shaped(value) if name.startswith(_POWERS) else value for name, value in loads.items()
    }


def gathered(caps: Sequence[PowerCap]) -> tuple[PowerCap, ...]:
    """One cap for each element: the tightest of all."""
    found: dict[str, PowerCap] = {}
    for cap in caps:
        have = found.get(cap.element)
        found[cap.element] = cap if have is None else PowerCap(
            cap.element, np.minimum(have.import_mw, cap.import_mw),
            np.minimum(have.export_mw, cap.export_mw),
        )  # fmt: skip
    return tuple(found.values())


def places(case: ScheduleCase) -> IntArray:
    """(n_assets,) bus rows."""
    return np.array([case.net.feeder.node_index[asset.bus] for asset in case.assets], dtype=np.int64)
