"""Hosting capacity: for each candidate site the largest plant that no limit forbids, at all moments asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cases import Feeder
from ..errors import RunError, unknown
from .controlled_flows import ControlledFlows, HeldFlows, controls_at_rest
from .fleet import POSITIONS, ConnectedFleet, no_fleet
from .flows import Arguments, BalancedFlows, Flows, Shown
from .limits import HostingLimits, JudgedBounds, Quantities
from .moments import Moments, operating_point
from .plants import Plant, solve_with
from .scan import ActingControls, scanned_crossings
from .search import Crossings, first_crossings
from .siting import Sites, each_bus

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: What regulators and switched banks do: see `HostingStudy`.
CONTROLS = ("band-floating", "frozen", "floating")
_NONE = -1


@dataclass(frozen=True)
class Settings:
    """How a study is done.

    Attributes:
        limits: What must hold.
        plant: What asks for connection.
        controls: On feeders with regulators or switched banks. "band-floating": the voltage band, ratings,
            reverse flow and unbalance with controls at rest after they have acted, the deviation before they
            act; "frozen": all with taps and banks as stored; "floating": all after they have acted.
        v_source_pu: Voltage of the sources; None: as stored.
        max_mw: Nothing larger is tried; None: ten times the feeder's nominal load.
        tol_mw: How close the largest feasible and the smallest infeasible size come.
    """

    limits: HostingLimits = field(default_factory=HostingLimits)
    plant: Plant = field(default_factory=lambda: Plant.named("solar"))
    controls: str = "band-floating"
    v_source_pu: float | None = None
    max_mw: float | None = None
    tol_mw: float = 1e-4

    def __post_init__(self) -> None:
        if self.controls not in CONTROLS:
            raise unknown("way with controls", self.controls, CONTROLS)
        if self.max_mw is not None and not 0.0 < self.max_mw < np.inf:
            raise RunError(f"the largest size is {self.max_mw} MW: expected a finite number above 0")
        if not 1e-6 <= self.tol_mw <= 1.0:
            raise RunError(f"the tolerance is {1e3 * self.tol_mw} kW: expected 0.001 to 1000 kW")
        if self.v_source_pu is not None and not 0.5 <= self.v_source_pu <= 1.5:
            raise RunError(f"the source voltage is {self.v_source_pu}: expected pu from 0.5 to 1.5")


@dataclass(frozen=True, eq=False)
class Capacities:
    """What was found, candidate by candidate.

    Attributes:
        sites: The candidates.
        max_mw: (candidates,) the largest plant that keeps every limit at every moment.
        passed_mw: (candidates,) the next size that was looked at, which passes one; inf: none was found.
        kind: (candidates,) the limit that it passes, a place in `KINDS`; -1: none.
        element: (candidates,) node, branch or source where; "" where none.
        base: (candidates,) the base that decides, see `HostingStudy`.
        step: (candidates,) its interval; -1: the operating point.
        power_flows: (candidates,) how many were solved.
        at_step_mw: (candidates, moments) the largest plant of each moment; inf where nothing flows.
        at_step_kind: (candidates, moments).
        at_step_element: (candidates, moments) columns of ``names``, -1: none.
        names: Elements.
    """

    sites: Sites
    max_mw: FloatArray
    passed_mw: FloatArray
    kind: IntArray
    element: tuple[str, ...]
    base: IntArray
    step: IntArray
    power_flows: IntArray
    at_step_mw: FloatArray
    at_step_kind: IntArray
    at_step_element: IntArray
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Judge:
    """One power flow of every row with the limits that are read off it."""

    flows: Flows
    bounds: JudgedBounds  # of every base, of a plant that stands nowhere
    base: FloatArray  # (bases, columns)
    held: Flows | None = None  # the same with controls held, where they act in `flows`

    @property
    def scanned(self) -> bool:
        """Whether controls act, so that sizes far apart say little of those between."""
        return self.held is not None

    @property
    def quantities(self) -> Quantities:
        """Its columns."""
        return self.flows.quantities


class HostingStudy:
    """A feeder whose hosting capacity is asked for.

    Bases are what a feeder is without the plant: each moment, with a connected fleet at rest or on its way to
    help. A row of the search is a candidate on a base, with the plant injecting or drawing.

    Args:
        feeder: Balanced or per phase.
        settings: How.
        moments: When; None: the nominal loads.
        fleet: What is connected already, in places of `flows`; None: nothing.
    """

    def __init__(
        self, feeder: Feeder, settings: Settings | None = None, moments: Moments | None = None,
        fleet: ConnectedFleet | None = None,
    ) -> None:  # fmt: skip
        self.feeder, self.settings = feeder, settings or Settings()
        if not self.settings.limits.any:
            raise RunError("nothing is limited: leave a voltage band, a deviation or ratings to keep")
        self.flows = flows_of(feeder, self.settings)
        self.moments = operating_point(self.flows) if moments is None else moments
        self.fleet = no_fleet(self.flows) if fleet is None else fleet
        signs = self.settings.plant.kind.signs
        positions = POSITIONS if self.fleet.flexible else (0.0,)
        self.ways = [(sign, position) for sign in signs for position in positions]
        self.part = self.settings.plant.kind.profile
        self.max_mw = self.settings.max_mw or default_max_mw(feeder)
        self.controls: Arguments = {}
        self.judges = self._judges()

    # -- bases -----------------------------------------------------------------------------------------------

    @property
    def n_bases(self) -> int:
        """Moments times ways of plant and fleet; the ways of a moment stand side by side."""
        return len(self.moments) * len(self.ways)

    def fixed(self, bases: IntArray) -> tuple[FloatArray, FloatArray]:
        """What the fleet injects on bases, P and Q."""
        of_way = np.array([self.fleet.at(position, sign) for sign, position in self.ways])
        return of_way[bases % len(self.ways)], self.fleet.q_mvar[None]

    def arguments(self, bases: IntArray) -> Arguments:
        """Loads, and the controls where they rest without the plant."""
        loads = self.moments.rows(bases // len(self.ways))
        return loads | {name: value[bases] for name, value in self.controls.items()}

    def _judges(self) -> list[Judge]:
        limits, feeder, settings = self.settings.limits, self.feeder, self.settings
        if not acts(feeder) or settings.controls == "frozen":
            return [self._judge(self.flows)]
        bases = np.arange(self.n_bases)
        p, q = self.fixed(bases)
        assert isinstance(self.flows, HeldFlows)
        self.controls = controls_at_rest(self.flows, self.arguments(bases), p, np.broadcast_to(q, p.shape))
        source = settings.v_source_pu
        if settings.controls == "floating":
            return [self._judge(ControlledFlows(feeder, limits, source), HeldFlows(feeder, limits, source))]
        judges = []
        if limits.voltage_deviation is not None:
            moved = HostingLimits((0.0, np.inf), limits.voltage_deviation, None)
            judges.append(self._judge(HeldFlows(feeder, moved, source)))
        rest = replace(limits, voltage_deviation=None)
        if rest.any:
            acting, held = ControlledFlows(feeder, rest, source), HeldFlows(feeder, rest, source)
            judges.append(self._judge(acting, held))
        return judges

    def _judge(self, flows: Flows, held: Flows | None = None) -> Judge:
        bases, shown = np.arange(self.n_bases), []
        for part in _parts(bases, flows.rows_at_once):
            p, q = self.fixed(part)
            shown.append(flows.solve(self.arguments(part), p, np.array(np.broadcast_to(q, p.shape))))
        x, found = np.concatenate([s.x for s in shown]), np.concatenate([s.found for s in shown])
        if not found.all():
            at = int(np.flatnonzero(~found)[0]) // len(self.ways)
            step = int(self.moments.step[at])
            when = "at its operating point" if step < 0 else f"in interval {step}"
            raise RunError(
                f"feeder {self.feeder.name!r} has no usable power flow without the plant {when}: its load is "
                "more than it can carry, or its controls find no rest"
            )
        return Judge(flows, flows.quantities.against(x), x, held)

    # -- search ----------------------------------------------------------------------------------------------

    def capacities(
        self, sites: Sites | None = None, bracket_mw: tuple[float, float] | None = None
    ) -> Capacities:
        """The largest plant of each candidate.

        Args:
            sites: None: every bus for itself.
            bracket_mw: A size that is feasible at all of them and one that is not, where known: at most
                ceil(log2(range / tolerance)) + 4 power flows a candidate and base then. Where controls act
                sizes are scanned all the same.
        """
        sites = each_bus(self.flows) if sites is None else sites
        n, per = len(sites), self.n_bases
        rows = np.arange(n * per)
        limit = np.full(rows.size, self.max_mw)
        part = self.part_of(rows % per)
        limit[part == 0.0] = 0.0
        found = _Found(rows.size)
        for k, judge in enumerate(self.judges):
            for some in _parts(rows, judge.flows.rows_at_once):
                self._search(judge, k, sites, some, limit, found, bracket_mw)
        kept = np.where(part == 0.0, np.inf, found.kept)
        return self._worst(sites, kept.reshape(n, len(self.moments), len(self.ways)), found)

    def part_of(self, bases: IntArray) -> FloatArray:
        """What of a plant's rating flows on bases: 1 injected in full, -1 drawn in full."""
        signs = np.array([sign for sign, _ in self.ways], dtype=np.float64)
        return self.moments.part[self.part][bases // len(self.ways)] * signs[bases % len(self.ways)]

    def evaluate(
        self, judge: Judge, sites: Sites, rows: IntArray, size_mw: FloatArray, held: Arguments | None = None
    ) -> Shown:
        """Power flows of rows (candidate times bases plus base) with plants of these sizes.

        ``held``: where controls stay, which act else.
        """
        bases = rows % self.n_bases
        flows = judge.flows if held is None or judge.held is None else judge.held
        return solve_with(
            flows.solve, self.arguments(bases) | (held or {}), self.fixed(bases), self.settings.plant,
            sites.share[rows // self.n_bases], size_mw, self.part_of(bases),
        )  # fmt: skip

    def bounds_of(self, judge: Judge, sites: Sites, rows: IntArray) -> JudgedBounds:
        """What rows (candidate times bases plus base) must keep: one row where all have the same."""
        bases = rows % self.n_bases
        if judge.quantities.by_site:
            stands = sites.stands(len(self.flows.node_ids))[rows // self.n_bases]
            return judge.quantities.against(judge.base[bases], stands)
        return judge.bounds if self.n_bases == 1 else judge.bounds.of(bases)

    def _search(
        self, judge: Judge, which: int, sites: Sites, rows: IntArray, limit: FloatArray, found: _Found,
        bracket_mw: tuple[float, float] | None,
    ) -> None:  # fmt: skip
        bases = rows % self.n_bases
        judged = self.bounds_of(judge, sites, rows)
        bounds = judged.bounds
        base = judge.base if self.n_bases == 1 else judge.base[bases]

        def evaluate(at: IntArray, size: FloatArray) -> tuple[FloatArray, BoolArray]:
            shown = self.evaluate(judge, sites, rows[at], size)
            return shown.x, shown.found

        largest = np.minimum(limit[rows], found.kept[rows])
        if judge.scanned:
            acting = ActingControls(
                lambda at, size: self.evaluate(judge, sites, rows[at], size),
                lambda at, size, held: self.evaluate(judge, sites, rows[at], size, held),
            )
            run = scanned_crossings(acting, base, bounds, largest, self.settings.tol_mw)
        else:
            first = np.minimum(np.full(rows.size, self.max_mw / 256.0), largest)
            known = None
            if bracket_mw is not None:
                known = (np.full(rows.size, bracket_mw[0]), np.full(rows.size, bracket_mw[1]))
            run = first_crossings(evaluate, base, bounds, largest, first, self.settings.tol_mw, known)
        column, above = run.binding(bounds)
        kind = judged.kind(np.arange(rows.size), column, above)
        found.take(rows, run, which, kind, column)

    def _worst(self, sites: Sites, kept: FloatArray, found: _Found) -> Capacities:
        """Of ways: the fleet helps, the worse of injecting and drawing counts; of moments: the worst."""
        n, moments, ways = kept.shape
        signs = np.array([sign for sign, _ in self.ways])
        best = []
        for sign in dict.fromkeys(signs.tolist()):
            at = np.flatnonzero(signs == sign)
            best.append(at[kept[:, :, at].argmax(axis=2)])
        of_sign = np.stack(best, axis=2)  # (n, moments, signs) ways
        sizes = np.take_along_axis(kept, of_sign, axis=2)
        way = np.take_along_axis(of_sign, sizes.argmin(axis=2)[:, :, None], axis=2)[:, :, 0]
        rows = (np.arange(n)[:, None] * moments + np.arange(moments)) * ways + way
        at_step = sizes.min(axis=2)
        worst = at_step.argmin(axis=1)
        decides = rows[np.arange(n), worst]
        names, first = self.names
        column = np.where(found.column < 0, _NONE, found.column + first[found.judge])
        most = at_step.min(axis=1)
        free = np.isinf(most)
        kind = np.where(free, _NONE, found.kind[decides])
        return Capacities(
            sites, np.where(free, self.max_mw, most), np.where(free, np.inf, found.passed[decides]), kind,
            tuple(names[c] if c >= 0 and k >= 0 else "" for c, k in zip(column[decides], kind, strict=True)),
            decides % self.n_bases, self.moments.step[worst], found.flows.reshape(n, -1).sum(axis=1), at_step,
            np.where(np.isinf(at_step), _NONE, found.kind[rows]),
            np.where(np.isinf(at_step), _NONE, column[rows]), names,
        )  # fmt: skip

    @property
    def names(self) -> tuple[tuple[str, ...], IntArray]:
        """Elements of all judges, and where those of each begin."""
        each = [judge.quantities.element for judge in self.judges]
        first = np.cumsum([0, *(len(e) for e in each[:-1])])
        return tuple(name for e in each for name in e), first


class _Found:
    """What the judges have found of rows so far."""

    def __init__(self, n: int) -> None:
        self.kept, self.passed = np.full(n, np.inf), np.full(n, np.inf)
        self.kind, self.column = np.full(n, _NONE), np.full(n, _NONE)
        self.judge, self.flows = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)

    def take(self, rows: IntArray, run: Crossings, judge: int, kind: IntArray, column: IntArray) -> None:
        """What one judge says of rows; it was asked up to what those before have kept."""
        passes = np.isfinite(run.passed_mw)
        at = rows[passes]
        self.passed[at], self.kind[at] = run.passed_mw[passes], kind[passes]
        self.column[at], self.judge[at] = column[passes], judge
        self.kept[rows] = run.kept_mw
        self.flows[rows] += run.power_flows


def flows_of(feeder: Feeder, settings: Settings) -> Flows:
    """The feeder with taps and banks held. RunError where it is meshed."""
    if feeder.phases == "balanced":
        _refuse_loops(feeder, [loop[0] for loop in feeder.topology().meshes])
        return BalancedFlows(feeder, settings.limits, settings.v_source_pu)
    flows = HeldFlows(feeder, settings.limits, settings.v_source_pu)
    _refuse_loops(feeder, feeder.column("branches", "branch_id")[flows.net.topology.closing].tolist())
    return flows


def _refuse_loops(feeder: Feeder, closing: Sequence[str]) -> None:
    if closing:
        raise RunError(
            f"feeder {feeder.name!r} is meshed: loops are closed by {', '.join(map(repr, closing[:8]))}; "
            "hosting capacity needs a radial feeder: open one branch of each loop"
        )


def acts(feeder: Feeder) -> bool:
    """Whether any control of the feeder's tables acts by itself in a power flow."""
    return feeder.phases == "per-phase" and bool(feeder.regulators.num_rows or feeder.cap_controls.num_rows)


def default_max_mw(feeder: Feeder) -> float:
    """Ten times the apparent power of the nominal loads, at least 1 MW."""
    p, q = (np.asarray(feeder.column("loads", name), dtype=np.float64) for name in ("p_mw", "q_mvar"))
    return float(max(1.0, 10.0 * np.hypot(p, q).sum()))


def _parts(rows: IntArray, size: int) -> list[IntArray]:
    return [rows[first : first + size] for first in range(0, rows.size, size)]


def hosting_capacity(
    feeder: Feeder, *, limits: HostingLimits | None = None, plant: Plant | str = "solar",
    sites: Sites | None = None, load_scale: float = 1.0, **settings: Any,
) -> Capacities:  # fmt: skip
    """Hosting capacity at one operating point, of every bus where no sites are given.

    Args:
        feeder: Balanced or per phase.
        limits: What must hold.
        plant: Kind, or plant with inverter functions.
        sites: Candidates, see `siting`.
        load_scale: Of all nominal loads.
        **settings: Fields of `Settings`.
    """
    chosen = Settings(
        limits or HostingLimits(), Plant.named(plant) if isinstance(plant, str) else plant, **settings
    )
    moments = operating_point(flows_of(feeder, chosen), load_scale)
    return HostingStudy(feeder, chosen, moments).capacities(sites)
