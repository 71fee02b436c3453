"""Dynamic operating envelopes: how much every customer may export and import at a time.

The limits are of net active power at each connection point, `opModExpLimW` and `opModImpLimW` of CSIP-AUS
(Common Smart Inverter Profile - Australia, on IEEE 2030.5). What the ways to find them look
at, and their names, are those of the operating envelopes of Team Nando, University of Melbourne
(github.com/Team-Nando, OE1 to OE4): "ideal" looks at every node by power flows, "asset-critical-voltage" at
the rating of the head and the voltage of one critical customer, "asset-capacity" at the rating of the head
alone. What the simpler ones leave out is replayed, and told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cases.model.topology import branch_ends, spanning_forest
from ..errors import RunError, unknown
from .customers import Customers
from .limits import KINDS, THERMAL
from .search import Bounds, Crossings, first_crossings

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

OPERATING = ("ideal", "asset-critical-voltage", "asset-capacity")
ALLOCATION = ("equal", "maximum")
EXPORT, IMPORT = "export", "import"
#: A power flow that passes a limit by no more keeps it.
KEPT = 1e-6


@dataclass(frozen=True)
class OperatingRules:
    """How envelopes are found.

    Attributes:
        operating: One of `OPERATING`.
        allocation: One of `ALLOCATION`: the same limit for all, or the limit of everybody alone, taken down
            in steps for those at nodes and behind branches that pass a limit.
        import_pf: Power factor, lagging, of what customers import.
        most_export_kw, most_import_kw: What no customer passes anyway (size of plants, of fuses); None: ten
            times the feeder's load.
        step_kw: Of the maximum allocation. tolerance_kw: How close limits are.

    Raises RunError for others.
    """

    operating: str = "ideal"
    allocation: str = "equal"
    import_pf: float = 0.95
    most_export_kw: float | None = None
    most_import_kw: float | None = None
    step_kw: float = 0.5
    tolerance_kw: float = 0.001

    def __post_init__(self) -> None:
        if self.operating not in OPERATING:
            raise unknown("operating envelope", self.operating, OPERATING)
        if self.allocation not in ALLOCATION:
            raise unknown("allocation", self.allocation, ALLOCATION)
        if not 0.0 < self.import_pf <= 1.0:
            raise RunError(f"import power factor is {self.import_pf}: expected more than 0 and at most 1")
        for name in ("most_export_kw", "most_import_kw", "step_kw", "tolerance_kw"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0.0):
                raise RunError(f"{name} is {value}: expected a finite number of kW above 0")


@dataclass(frozen=True, eq=False)
class OperatingEnvelope:
    """Limits of all customers in one direction.

    Attributes:
        direction: "export" or "import".
        limit_mw: (n,) of each customer while all use theirs.
        alone_mw: (n,) of each customer while all others are passive; NaN with "asset-capacity".
        kind, element: What stops it, a word of `limits.KINDS` or "" where nothing does within the sizes
            looked at. alone_kind, alone_element: (n,) the same of each.
        v_low_pu, v_high_pu: Of the power flow in which all use their limits; loading_pct: the highest, NaN
            without ratings.
        excess: Its largest excess over a limit, pu or share of a rating; 0 where all are kept, inf where it
            has no solution.
    """

    direction: str
    limit_mw: FloatArray
    alone_mw: FloatArray
    kind: str
    element: str
    alone_kind: tuple[str, ...]
    alone_element: tuple[str, ...]
    v_low_pu: float
    v_high_pu: float
    loading_pct: float
    excess: float


def operating_envelope(
    customers: Customers, rules: OperatingRules, direction: str = EXPORT
) -> OperatingEnvelope:
    """Limits of all customers at one moment.

    Args:
        customers: With the flows whose limits are kept, and what they take while passive.
        rules: How.
        direction: "export" or "import".

    Raises:
        RunError: another direction, an asset capacity on a feeder whose head has no rating.
    """
    if direction not in (EXPORT, IMPORT):
        raise unknown("direction of an operating envelope", direction, (EXPORT, IMPORT))
    return _Search(customers, rules, direction).found()


class _Search:
    """One direction of one moment."""

    def __init__(self, customers: Customers, rules: OperatingRules, direction: str) -> None:
        self.customers, self.rules, self.direction = customers, rules, direction
        self.flows, self.n = customers.flows, len(customers)
        most = rules.most_export_kw if direction == EXPORT else rules.most_import_kw
        load = float(np.abs(self.flows.feeder.column("loads", "p_mw")).sum())
        self.most = 1e-3 * most if most is not None else max(10.0 * load, 0.1)
        low, high = self.flows.quantities.limits()
        self.bounds = Bounds(low, high)

    # -- power flows ---------------------------------------------------------------------------------------

    def solve(self, active: BoolArray, size_mw: FloatArray) -> tuple[FloatArray, BoolArray, FloatArray]:
        """Quantities, whether solved, and voltages, of rows (rows, n) in which the active use their sizes."""
        sign = 1.0 if self.direction == EXPORT else -1.0
        per_mw = 0.0 if self.direction == EXPORT else np.sqrt(1.0 / self.rules.import_pf**2 - 1.0)
        p = sign * active * size_mw
        parts = []
        for at in np.array_split(np.arange(len(p)), max(1, -(-len(p) // self.flows.rows_at_once))):
            inject = self.customers.powers(p[at]), self.customers.powers(p[at] * per_mw)
            parts.append(self.flows.solve(self.customers.loads(~active[at]), *inject))
        x, found = np.concatenate([s.x for s in parts]), np.concatenate([s.found for s in parts])
        return x, found, np.concatenate([s.v_pu.reshape(len(s.x), -1) for s in parts])

    def crossing(self, active: BoolArray, bounds: Bounds) -> Crossings:
        """The first size of each row of active customers, all of one size, that passes a limit."""
        rows, tol = len(active), 1e-3 * self.rules.tolerance_kw

        def evaluate(at: IntArray, size: FloatArray) -> tuple[FloatArray, BoolArray]:
            x, found, _ = self.solve(active[at], np.repeat(size[:, None], self.n, axis=1))
            return x, found

        nothing, solved = evaluate(np.arange(rows), np.zeros(rows))
        largest = np.where(solved & bounds.kept(np.nan_to_num(nothing, nan=np.inf)), self.most, 0.0)
        first = np.full(rows, 0.02 * self.most)
        found = first_crossings(evaluate, nothing, bounds, largest, first, tol)
        return found

    # -- what is asked for ---------------------------------------------------------------------------------

    def found(self) -> OperatingEnvelope:
        """The envelope, replayed."""
        if self.rules.operating == "asset-capacity":
            limit, said = self._of_the_asset()
            none = ("",) * self.n
            return self._replayed(limit, np.full(self.n, np.nan), said, none, none)
        bounds = self._looked_at()
        alone = self.crossing(np.eye(self.n, dtype=bool), bounds)
        kinds, elements = self._said(alone, bounds)
        together = self.crossing(np.ones((1, self.n), dtype=bool), bounds)
        kind, element = self._said(together, bounds)
        limit = np.full(self.n, together.kept_mw[0])
        if self.rules.allocation == "maximum":
            stepped = self._stepped_down(alone.kept_mw, bounds)
            limit = stepped if stepped.sum() >= limit.sum() else limit
        return self._replayed(limit, alone.kept_mw, (kind[0], element[0]), kinds, elements)

    def _said(self, found: Crossings, bounds: Bounds) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Kind and element of what stops each row."""
        column, above = found.binding(bounds)
        of = self.flows.quantities
        kinds, elements = [], []
        for k, (c, up) in enumerate(zip(column.tolist(), above.tolist(), strict=True)):
            if c >= 0:
                kinds.append(KINDS[int((of.kind_high if up else of.kind_low)[c])])
                elements.append(of.element[c])
            else:
                stopped = np.isfinite(found.passed_mw[k])
                kinds.append("power_flow" if stopped else "")
                elements.append("")
        return tuple(kinds), tuple(elements)

    def _stepped_down(self, start_mw: FloatArray, bounds: Bounds) -> FloatArray:
        """Everybody's own limit, down by a step for those who are answerable, until no limit is passed.

        A voltage is answered for by those at the node, a rating by those behind the branch; what nobody
        answers for, by all.
        """
        size, step = start_mw.copy(), 1e-3 * self.rules.step_kw
        active = np.ones((1, self.n), dtype=bool)
        at = [np.union1d(own, way) for own, way in zip(self._own_columns(), self._ways(), strict=True)]
        while size.max(initial=0.0) > 0.0:
            x, solved, _ = self.solve(active, size[None])
            over = self._excess(x, bounds)[0] if solved[0] else np.full(x.shape[1], np.inf)
            if over.max(initial=0.0) <= KEPT:
                break
            worst = np.array([over[own].max(initial=0.0) > KEPT for own in at]) & (size > 0.0)
            down = worst if worst.any() else size > 0.0
            size = np.where(down, np.maximum(size - step, 0.0), size)
        return size

    def _ways(self) -> list[IntArray]:
        """Columns of the loadings of branches between each customer and its source, on its phases."""
        of, flows = self.flows.quantities, self.flows
        parent = np.asarray(spanning_forest(flows.feeder)[0])
        ends = branch_ends(flows.feeder).tolist()
        between = {frozenset(pair): str(name) for name, pair in zip(flows.branch_ids, ends, strict=True)}
        by_name: dict[str, list[int]] = {}
        for c in np.flatnonzero(of.kind_high == THERMAL).tolist():
            by_name.setdefault(of.element[c], []).append(c)
        found = []
        for k, node in enumerate(self.customers.nodes.tolist()):
            letters, columns = self._letters(k), []
            while parent[node] >= 0:
                name = between[frozenset((node, int(parent[node])))]
                for element in [f"{name}.{letter}" for letter in letters] if letters else [name]:
                    columns += by_name.get(element, [])
                node = int(parent[node])
            found.append(np.array(columns, dtype=np.int64))
        return found

    def _letters(self, customer: int) -> list[str]:
        """Phases that a customer is connected to; none on balanced feeders."""
        if not self.flows.per_phase:
            return []
        legs = np.flatnonzero(self.customers.place[customer]) % 6
        return sorted({"ABC"[k % 3] for k in legs} | {"ABC"[(k + 1) % 3] for k in legs if k > 2})

    def _own_columns(self) -> list[IntArray]:
        """Columns of the voltages at each customer's places."""
        which, found = np.array(self.flows.quantities.element), []
        for k, bus in enumerate(self.customers.buses):
            names = [f"{bus}.{letter}" for letter in self._letters(k)] or [bus]
            found.append(np.flatnonzero(np.isin(which, names)))
        return found

    def _looked_at(self) -> Bounds:
        """Bounds of what is looked at: all, or the head's rating and the critical customer's voltage."""
        if self.rules.operating == "ideal":
            return self.bounds
        keep = np.zeros(self.bounds.low.shape[1], dtype=bool)
        keep[self._head_columns()] = True
        keep[self._own_columns()[self._critical()]] = True
        return Bounds(
            np.where(keep, self.bounds.low, -np.inf), np.where(keep, self.bounds.high, np.inf)
        )  # fmt: skip

    def _critical(self) -> int:
        """The customer whose voltage moves most when all use a kilowatt each."""
        active = np.ones((2, self.n), dtype=bool)
        x, _, _ = self.solve(active, np.repeat([[0.0], [1e-3]], self.n, axis=1))
        moved = [float(np.abs(x[1, own] - x[0, own]).max(initial=0.0)) for own in self._own_columns()]
        return int(np.argmax(moved))

    def _head_columns(self) -> IntArray:
        """Columns of the loadings of branches that leave a source."""
        feeder, of = self.flows.feeder, self.flows.quantities
        sources = set(self.flows.source_ids)
        ends = (feeder.column("branches", "from_node"), feeder.column("branches", "to_node"))
        heads = {
            str(name)
            for name, a, b in zip(feeder.column("branches", "branch_id"), *ends, strict=True)
            if str(a) in sources or str(b) in sources
        }
        named = [name in heads or name.rpartition(".")[0] in heads for name in of.element]
        return np.flatnonzero(np.array(named) & (of.kind_high == THERMAL))

    def _of_the_asset(self) -> tuple[FloatArray, tuple[str, str]]:
        """The rating of the head shared equally, phase by phase, without a power flow and without losses."""
        columns, of = self._head_columns(), self.flows.quantities
        if not columns.size:
            raise RunError(
                f"feeder {self.flows.feeder.name!r}: no branch at the head has a rating that is kept: an "
                "asset capacity needs one"
            )
        pf = 1.0 if self.direction == EXPORT else self.rules.import_pf
        names = [of.element[c] for c in columns]
        ids = {name: k for k, name in enumerate(self.flows.branch_ids)}
        if not self.flows.per_phase:
            room = sum(float(self.flows.net.rating_mva[ids[name]]) * of.high[c] for name, c in
                       zip(names, columns, strict=True))  # fmt: skip
            return np.full(self.n, min(pf * room / self.n, self.most)), ("thermal", names[0])
        split = self.customers.place.reshape(self.n, -1, 6).sum(axis=1)
        on_phase = split[:, :3] + 0.5 * (split[:, 3:] + np.roll(split[:, 3:], 1, axis=1))
        each = on_phase.sum(axis=0)
        best, at = np.inf, ""
        for phase, letter in enumerate("ABC"):
            mine = [(name, c) for name, c in zip(names, columns, strict=True) if name.endswith(f".{letter}")]
            if not mine or each[phase] <= 0.0:
                continue
            rating = np.nanmax(self.flows.net.phase_rating_mva, axis=0)
            room = sum(float(rating[ids[n.rpartition(".")[0]], phase]) * of.high[c] for n, c in mine)
            if pf * room / each[phase] < best:
                best, at = pf * room / each[phase], mine[0][0]
        return np.full(self.n, min(best, self.most)), ("thermal", at)

    @staticmethod
    def _excess(x: FloatArray, bounds: Bounds) -> FloatArray:
        """(rows, columns) beyond bounds, at least 0."""
        return np.nan_to_num(np.maximum(np.maximum(x - bounds.high, bounds.low - x), 0.0), nan=np.inf)

    def _replayed(
        self, limit: FloatArray, alone: FloatArray, said: tuple[str, str], kinds: tuple[str, ...],
        elements: tuple[str, ...],
    ) -> OperatingEnvelope:  # fmt: skip
        x, solved, v = self.solve(np.ones((1, self.n), dtype=bool), limit[None])
        thermal = x[0, self.flows.quantities.kind_high == THERMAL]
        excess: Any = self._excess(x, self.bounds)[0].max(initial=0.0) if solved[0] else np.inf
        return OperatingEnvelope(
            self.direction, limit, alone, *said, kinds, elements, float(np.nanmin(v)), float(np.nanmax(v)),
            100.0 * float(np.nanmax(thermal)) if thermal.size else np.nan,
            float(excess) if excess > KEPT else 0.0,
        )  # fmt: skip
