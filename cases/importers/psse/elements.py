"""What the records of a RAW file say, in the words of the field and in pu on the system's base."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from ...errors import CaseError, Problem
from .records import RawFile, Record

_CARRY = ("two-terminal DC", "VSC DC", "multi-terminal DC", "FACTS")
ISOLATED = 4


@dataclass(frozen=True)
class Bus:
    """One bus."""

    record: Record
    number: int
    name: str
    kv: float
    kind: int
    vm_pu: float
    va_deg: float
    v_min: float
    v_max: float
    area: str


@dataclass(frozen=True)
class Draw:
    """A load (constant power, current and admittance at 1 pu), MVA consumed."""

    record: Record
    bus: int
    name: str
    s: complex
    i: complex
    y: complex


@dataclass(frozen=True)
class Shunt:
    """A shunt, MVA at 1 pu consumed."""

    record: Record
    bus: int
    name: str
    mva: complex
    switched: bool


@dataclass(frozen=True)
class Unit:
    """A generator in service."""

    record: Record
    bus: int
    name: str
    p_mw: float
    q_mvar: float
    q_max: float | None
    q_min: float | None
    v_pu: float


@dataclass(frozen=True)
class Joint:
    """A branch, switch or transformer of two windings: z between ideal ratios t1 and t2 at its ends."""

    record: Record
    ends: tuple[int, int]
    name: str
    kind: str
    z: complex
    b: float
    y_ends: tuple[complex, complex]
    t1: float
    t2: float
    shift_deg: float
    closed: bool
    rating_mva: float | None


_T = TypeVar("_T")


def _present(found: Iterable[_T | None]) -> list[_T]:
    """Those that are in service."""
    return [one for one in found if one is not None]


class Elements:
    """All elements of a file that a power flow sees."""

    def __init__(self, raw: RawFile) -> None:
        self.raw, self.version, self.base = raw, raw.version, raw.base_mva
        self._refuse()
        self._areas = {r.text(0): r.text(4).strip() or r.text(0) for r in raw.of("area")}
        self.buses = {bus.number: bus for bus in map(self._bus, raw.of("bus"))}
        self.on = {number for number, bus in self.buses.items() if bus.kind != ISOLATED}
        self.loads = _present(map(self._load, raw.of("load")))
        self.units = _present(map(self._unit, raw.of("generator")))
        self.shunts = _present(map(self._fixed, raw.of("fixed shunt")))
        self.shunts += _present(map(self._switched, raw.of("switched shunt")))
        if self.version == 30:
            self.shunts += [
                Shunt(
                    r,
                    r.whole(0, "I"),
                    f"bus{r.text(0)}",
                    complex(r.number(4, "GL", 0), -r.number(5, "BL", 0)),
                    False,
                )
                for r in raw.of("bus")
                if r.whole(0, "I") in self.on and (r.number(4, "GL", 0) or r.number(5, "BL", 0))
            ]
        self.joints = _present(map(self._branch, raw.of("branch")))
        self.joints += _present(map(self._switch, raw.of("system switching device")))
        self.joints += _present(map(self._transformer, raw.of("transformer")))

    def _refuse(self) -> None:
        """What carries power and is not read."""
        problems = [
            r.problem("", r.text(0), f"no {name} in service") for name in _CARRY for r in self.raw.of(name)
        ]
        problems += [
            r.problem("K", r.text(2), "0: transformers of three windings are not read")
            for r in self.raw.of("transformer")
            if r.text(2, "0") != "0"
        ]
        kinds = [r.text(3) for r in self.raw.of("bus")]
        if "3" not in kinds:
            expected = "at least one swing bus (IDE 3), which feeds the network"
            problems.append(Problem(self.raw.file, None, "bus IDE", "", expected))
        if problems:
            raise CaseError(problems)

    def _place(self, record: Record, at: int, name: str) -> int:
        """Number of a bus that the file has."""
        number = abs(record.whole(at, name))
        if number not in self.buses:
            raise CaseError([record.problem(name, str(number), "the number of a bus")])
        return number

    def _bus(self, r: Record) -> Bus:
        at = (8, 9) if self.version == 30 else (7, 8)
        low, high = (r.number(k, n, d) for k, n, d in ((10, "NVLO", 0.9), (9, "NVHI", 1.1)))
        if self.version < 33 or not 0 < low < high:
            low, high = 0.9, 1.1
        kind, kv = r.whole(3, "IDE", 1), r.number(2, "BASKV", 0.0)
        if kind not in (1, 2, 3, ISOLATED):
            raise CaseError([r.problem("IDE", str(kind), "1, 2, 3 or 4")])
        if kv <= 0:
            raise CaseError([r.problem("BASKV", f"{kv:g}", "kV > 0")])
        v, angle = r.number(at[0], "VM", 1.0), r.number(at[1], "VA", 0.0)
        area = r.text(6 if self.version == 30 else 4)
        return Bus(r, r.whole(0, "I"), r.text(1), kv, kind, v, angle, low, high, self._areas.get(area, area))

    def _load(self, r: Record) -> Draw | None:
        bus = self._place(r, 0, "I")
        if bus not in self.on or not r.whole(2, "STATUS", 1):
            return None
        p, q, ip, iq, yp, yq = (
            r.number(k, n, 0.0) for k, n in enumerate(("PL", "QL", "IP", "IQ", "YP", "YQ"), 5)
        )
        return Draw(r, bus, f"load{bus}.{r.text(1, '1')}", complex(p, q), complex(ip, iq), complex(yp, -yq))

    def _unit(self, r: Record) -> Unit | None:
        bus, status = self._place(r, 0, "I"), 15 if self.version >= 35 else 14
        if bus not in self.on or not r.whole(status, "STAT", 1):
            return None
        p, q = r.number(2, "PG", 0.0), r.number(3, "QG", 0.0)
        high, low = r.limit(4, "QT"), r.limit(5, "QB")
        return Unit(r, bus, f"gen{bus}.{r.text(1, '1')}", p, q, high, low, r.number(6, "VS", 1.0))

    def _fixed(self, r: Record) -> Shunt | None:
        bus = self._place(r, 0, "I")
        if bus not in self.on or not r.whole(2, "STATUS", 1):
            return None
        mva = complex(r.number(3, "GL", 0.0), -r.number(4, "BL", 0.0))
        return Shunt(r, bus, f"shunt{bus}.{r.text(1, '1')}", mva, False)

    def _switched(self, r: Record) -> Shunt | None:
        bus = self._place(r, 0, "I")
        status, at = {30: (None, 7), 31: (None, 7)}.get(
            self.version, (3, 9) if self.version < 35 else (4, 11)
        )
        if bus not in self.on or (status is not None and not r.whole(status, "STAT", 1)):
            return None
        q, name = r.number(at, "BINIT", 0.0), r.text(1, "1") if self.version >= 35 else "s"
        return Shunt(r, bus, f"bank{bus}.{name}", complex(0.0, -q), True) if q else None

    def _ends(self, r: Record) -> tuple[int, int] | None:
        ends = self._place(r, 0, "I"), self._place(r, 1, "J")
        return ends if all(bus in self.on for bus in ends) else None

    def _rating(self, r: Record, at: int) -> float | None:
        value = r.number(at, "RATE", 0.0)
        return value if 0 < value < 1e5 else None

    def _branch(self, r: Record) -> Joint | None:
        ends = self._ends(r)
        if ends is None:
            return None
        rate, g, status = (6, 9, 13) if self.version < 34 else (7, 19, 23)
        gi, bi, gj, bj = (r.number(g + k, n, 0.0) for k, n in enumerate(("GI", "BI", "GJ", "BJ")))
        z = complex(r.number(3, "R", 0.0), r.number(4, "X"))
        name = f"{ends[0]}-{ends[1]}.{r.text(2, '1')}"
        return Joint(r, ends, name, "switch" if z == 0 else "line", z, r.number(5, "B", 0.0),
                     (complex(gi, bi), complex(gj, bj)), 1.0, 1.0, 0.0, bool(r.whole(status, "ST", 1)),
                     self._rating(r, rate))  # fmt: skip

    def _switch(self, r: Record) -> Joint | None:
        ends = self._ends(r)
        if ends is None:
            return None
        z, name = complex(0.0, r.number(3, "X", 0.0)), f"{ends[0]}-{ends[1]}.{r.text(2, '1')}"
        if abs(z) <= 1e-4:  # PSS/E's own threshold below which a line has no impedance
            z = 0j
        return Joint(r, ends, name, "switch", z, 0.0, (0j, 0j), 1.0, 1.0, 0.0, bool(r.whole(16, "STATUS", 1)),
                     self._rating(r, 4))  # fmt: skip

    def _transformer(self, r: Record) -> Joint | None:
        ends = self._ends(r)
        if ends is None:
            return None
        parts: list[list[str]] = [[]]
        for field in r.fields:
            if field == "|":
                parts.append([])
            else:
                parts[-1].append(field)
        one, two, first, second = (
            Record(r.file, "transformer", r.line + k, tuple(p)) for k, p in enumerate(parts)
        )
        cw, cz, cm = (one.whole(k, n, 1) for k, n in ((4, "CW"), (5, "CZ"), (6, "CM")))
        kv = tuple(self.buses[bus].kv for bus in ends)
        nominal = tuple(
            line.number(1, "NOMV", 0.0) or own for line, own in zip((first, second), kv, strict=True)
        )
        size = two.number(2, "SBASE1-2", self.base) or self.base
        t1, t2 = (
            self._ratio(line, cw, own, plate)
            for line, own, plate in zip((first, second), kv, nominal, strict=True)
        )
        z = self._impedance(two, cz, size, nominal[0] / kv[0])
        name = f"{ends[0]}-{ends[1]}.{one.text(3, '1')}"
        y, angle = self._magnetising(one, cm, size, nominal[0] / kv[0]), first.number(2, "ANG1", 0.0)
        closed = bool(one.whole(11, "STAT", 1))
        return Joint(
            r, ends, name, "transformer", z, 0.0, (y, 0j), t1, t2, angle, closed, self._rating(first, 3)
        )

    def _ratio(self, line: Record, cw: int, kv: float, nominal: float) -> float:
        turns = line.number(0, "WINDV", 1.0)
        ratio = {1: turns, 2: turns / kv, 3: turns * nominal / kv}.get(cw)
        if ratio is None or not ratio > 0:
            raise CaseError(
                [line.problem("WINDV, CW", f"{turns:g}, {cw}", "a ratio above 0, and CW of 1, 2 or 3")]
            )
        return ratio

    def _impedance(self, line: Record, cz: int, size: float, turns: float) -> complex:
        r, x = line.number(0, "R1-2", 0.0), line.number(1, "X1-2")
        own = self.base / size * turns**2  # from the transformer's base to the system's
        if cz == 1:
            return complex(r, x)
        if cz == 2:
            return complex(r, x) * own
        if cz == 3:
            loss = r / (1e6 * size)
            return complex(loss, math.sqrt(max(x * x - loss * loss, 0.0))) * own
        raise CaseError([line.problem("CZ", str(cz), "1, 2 or 3")])

    def _magnetising(self, one: Record, cm: int, size: float, turns: float) -> complex:
        g, b = one.number(7, "MAG1", 0.0), one.number(8, "MAG2", 0.0)
        if cm == 1:
            return complex(g, b)
        if cm == 2:
            own = size / self.base / turns**2
            loss = g / (1e6 * size)
            return complex(loss, -math.sqrt(max(b * b - loss * loss, 0.0))) * own
        raise CaseError([one.problem("CM", str(cm), "1 or 2")])
