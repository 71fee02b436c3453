"""The voltage and power functions of IEEE Std 1547-2018 as settings: curves, and which an inverter runs.

Powers are shares of the inverter's ratings, positive when injecting; voltages in pu. The ranges are those of
the standard's tables 8 (volt-var), 9 (watt-var) and 10 (volt-watt); category A is for few DER on a stiff
feeder, B for many with output that varies.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..kernels.inverter_functions import (
    NONE,
    POWER_FACTOR,
    UNITY,
    VOLT_VAR,
    WATT_VAR,
    FunctionTable,
    inverter_response,
)
from .base import check_choice, check_number
from .settings import settings_of

Floats = NDArray[np.float64]

_CATEGORIES = ("A", "B")
#: Capability that the standard asks for: injected, absorbed (section 5.2), shares of the apparent power.
_CAPABILITY = {"A": (0.44, 0.25), "B": (0.44, 0.44)}
_FULL_FROM, _NONE_BELOW = 0.2, 0.05  # shares of the rated power
_EPS = 1e-9  # of decimal fractions


def _points(owner: str, label: str, values: Any, n: int) -> tuple[float, ...]:
    if isinstance(values, str) or not np.iterable(values) or len(tuple(values)) != n:
        raise ValueError(f"{owner}: {label} must be {n} numbers, got {values!r}")
    points = tuple(values)
    for k, value in enumerate(points, start=1):
        check_number(owner, f"{label}[{k}]", value, -math.inf, math.inf)
    return tuple(float(value) for value in points)


def _check_range(owner: str, label: str, value: float, low: float, high: float) -> None:
    if not low - _EPS <= value <= high + _EPS:
        raise ValueError(
            f"{owner}: {label} must be in [{low:g}, {high:g}] (IEEE Std 1547-2018), got {value:g}"
        )


def _check_order(owner: str, label: str, values: Sequence[float], falling: bool = False) -> None:
    if any((b > a) if falling else (b < a) for a, b in itertools.pairwise(values)):
        wanted = "never rise" if falling else "be in ascending order"
        raise ValueError(f"{owner}: {label} must {wanted}, got {tuple(values)}")


@dataclass(frozen=True)
class VoltVarCurve:
    """Reactive power from the voltage: four points, straight lines between them, constant beyond.

    Attributes:
        v_pu: V1 <= V2 <= V3 <= V4.
        q: Q1 >= Q2 >= Q3 >= Q4, shares of the rated apparent power; above 0 injects.
        v_ref_pu: What the ranges of V1..V4 are counted from.

    Raises ValueError for points out of order, and for those outside the ranges of the standard's table 8.
    """

    v_pu: tuple[float, ...] = (0.92, 0.98, 1.02, 1.08)
    q: tuple[float, ...] = (0.44, 0.0, 0.0, -0.44)
    v_ref_pu: float = 1.0

    def __post_init__(self) -> None:
        who = "VoltVarCurve"
        v, q = _points(who, "v_pu", self.v_pu, 4), _points(who, "q", self.q, 4)
        object.__setattr__(self, "v_pu", v)
        object.__setattr__(self, "q", q)
        check_number(who, "v_ref_pu", self.v_ref_pu, 0.95, 1.05)
        _check_order(who, "v_pu", v)
        _check_order(who, "q", q, falling=True)
        ref = self.v_ref_pu
        _check_range(who, "v_pu[2]", v[1], ref - 0.03, ref)
        _check_range(who, "v_pu[3]", v[2], ref, ref + 0.03)
        _check_range(who, "v_pu[1]", v[0], ref - 0.18, v[1] - 0.02)
        _check_range(who, "v_pu[4]", v[3], v[2] + 0.02, ref + 0.18)
        _check_range(who, "q[1]", q[0], 0.0, 1.0)
        _check_range(who, "q[4]", q[3], -1.0, 0.0)

    @classmethod
    def category_a(cls, v_ref_pu: float = 1.0) -> VoltVarCurve:
        """Default of category A: 0.25 at 0.1 pu from the reference, no dead band."""
        v = tuple(v_ref_pu + step for step in (-0.10, 0.0, 0.0, 0.10))
        return cls(v, (0.25, 0.0, 0.0, -0.25), v_ref_pu)

    @classmethod
    def category_b(cls, v_ref_pu: float = 1.0) -> VoltVarCurve:
        """Default of category B: 0.44 at 0.08 pu from the reference, dead band of 0.02 pu to each side."""
        v = tuple(v_ref_pu + step for step in (-0.08, -0.02, 0.02, 0.08))
        return cls(v, (0.44, 0.0, 0.0, -0.44), v_ref_pu)


@dataclass(frozen=True)
class VoltWattCurve:
    """The most active power at a high voltage: P1 up to V1, P2 from V2 on, a straight line between.

    Attributes:
        v_pu: V1 in [1.05, 1.09], V2 from V1 + 0.01 to 1.10.
        p: P1, P2, shares of the rated power, P1 >= P2.

    The defaults are those of both categories. Raises ValueError outside the ranges of table 10.
    """

    v_pu: tuple[float, ...] = (1.06, 1.10)
    p: tuple[float, ...] = (1.0, 0.0)

    def __post_init__(self) -> None:
        who = "VoltWattCurve"
        v, p = _points(who, "v_pu", self.v_pu, 2), _points(who, "p", self.p, 2)
        object.__setattr__(self, "v_pu", v)
        object.__setattr__(self, "p", p)
        _check_order(who, "v_pu", v)
        _check_order(who, "p", p, falling=True)
        _check_range(who, "v_pu[1]", v[0], 1.05, 1.09)
        _check_range(who, "v_pu[2]", v[1], v[0] + 0.01, 1.10)
        for k, value in enumerate(p, start=1):
            _check_range(who, f"p[{k}]", value, 0.0, 1.0)


@dataclass(frozen=True)
class WattVarCurve:
    """Reactive power from the active power: three points, straight lines between them, constant beyond.

    Attributes:
        p: P1 < P2 < P3, shares of the rated power, 0.1 or more apart; P2 in [0.4, 0.8].
        q: Q1, Q2, Q3, shares of the rated apparent power; below 0 absorbs.

    Raises ValueError outside the ranges of table 9.
    """

    p: tuple[float, ...] = (0.2, 0.5, 1.0)
    q: tuple[float, ...] = (0.0, 0.0, -0.44)

    def __post_init__(self) -> None:
        who = "WattVarCurve"
        p, q = _points(who, "p", self.p, 3), _points(who, "q", self.q, 3)
        object.__setattr__(self, "p", p)
        object.__setattr__(self, "q", q)
        _check_order(who, "p", p)
        _check_range(who, "p[2]", p[1], 0.4, 0.8)
        _check_range(who, "p[1]", p[0], 0.0, p[1] - 0.1)
        _check_range(who, "p[3]", p[2], p[1] + 0.1, 1.0)
        for k, value in enumerate(q, start=1):
            _check_range(who, f"q[{k}]", value, -1.0, 1.0)

    @classmethod
    def category_a(cls) -> WattVarCurve:
        """Default of category A: absorbs 0.25 at full power."""
        return cls(q=(0.0, 0.0, -0.25))

    @classmethod
    def category_b(cls) -> WattVarCurve:
        """Default of category B: absorbs 0.44 at full power."""
        return cls(q=(0.0, 0.0, -0.44))


@dataclass(frozen=True)
class InverterFunctions:
    """Which functions an inverter runs by itself, and what it is capable of.

    At most one of `volt_var`, `watt_var` and `power_factor` rules the reactive power; without any the power
    factor is 1. `volt_watt` limits the active power and goes with each of them.

    Reactive power is limited by the capability of the category: 0.44 of the apparent power injected; 0.25 (A)
    or 0.44 (B) absorbed. Below a fifth of the rated power it shrinks in proportion, and below a twentieth
    there is none (`low_power="reduced"`, all that the standard asks for; "full" keeps it down to no power at
    all). At `cease_above_pu` and above nothing flows any more (momentary cessation), for the rest of the
    interval: the standard has an inverter wait for minutes before it enters service again.

    `InverterFunctions.named("volt-var+volt-watt-b")` are the standard's defaults.

    Raises ValueError for values that cannot be.
    """

    volt_var: VoltVarCurve | None = None
    volt_watt: VoltWattCurve | None = None
    watt_var: WattVarCurve | None = None
    power_factor: float | None = None
    excitation: str = "absorbing"  # of a constant power factor
    category: str = "B"
    low_power: str = "reduced"
    q_injected: float | None = None  # capability, share of the apparent power; None: that of the category
    q_absorbed: float | None = None
    cease_above_pu: float | None = 1.10

    def __post_init__(self) -> None:
        who = "InverterFunctions"
        for name, kind in _CURVES.items():
            object.__setattr__(self, name, settings_of(who, name, kind, getattr(self, name)))
        ruling = [n for n in ("volt_var", "watt_var", "power_factor") if getattr(self, n) is not None]
        if len(ruling) > 1:
            raise ValueError(f"{who}: {' and '.join(ruling)} both rule the reactive power; choose one")
        check_choice(who, "category", self.category, _CATEGORIES)
        check_choice(who, "excitation", self.excitation, ("absorbing", "injecting"))
        check_choice(who, "low_power", self.low_power, ("reduced", "full"))
        if self.power_factor is not None:
            check_number(who, "power_factor", self.power_factor, 0.0, 1.0, open_low=True)
        for label in ("q_injected", "q_absorbed"):
            if getattr(self, label) is not None:
                check_number(who, label, getattr(self, label), 0.0, 1.0)
        if self.cease_above_pu is not None:
            check_number(who, "cease_above_pu", self.cease_above_pu, 1.0, 1.2, open_low=True)

    @classmethod
    def named(cls, name: str) -> InverterFunctions:
        """The defaults of a category: functions joined by "+", then the category, as "volt-var-b".

        Functions are "volt-var", "watt-var", "volt-watt" and "unity". ValueError for other names.
        """
        listed, _, category = str(name).lower().rpartition("-")
        functions = tuple(listed.split("+"))
        wrong = [one for one in functions if one not in _FUNCTIONS]
        if wrong or category.upper() not in _CATEGORIES or len(set(functions)) < len(functions):
            raise ValueError(
                f"inverter functions {name!r} are unknown; expected {', '.join(_FUNCTIONS)}, several joined "
                "by '+', and '-a' or '-b' at the end, as in 'volt-var+volt-watt-b'"
            )
        chosen: dict[str, Any] = {"category": category.upper()}
        of = f"category_{category}"
        if "volt-var" in functions:
            chosen["volt_var"] = getattr(VoltVarCurve, of)()
        if "watt-var" in functions:
            chosen["watt_var"] = getattr(WattVarCurve, of)()
        if "volt-watt" in functions:
            chosen["volt_watt"] = VoltWattCurve()
        return cls(**chosen)

    @property
    def q_range(self) -> tuple[float, float]:
        """Capability, injected and absorbed, shares of the apparent power, both at least 0."""
        injected, absorbed = _CAPABILITY[self.category]
        return (
            injected if self.q_injected is None else self.q_injected,
            absorbed if self.q_absorbed is None else self.q_absorbed,
        )

    def response(
        self,
        v_pu: ArrayLike,
        p_available_mw: ArrayLike,
        *,
        p_mw: float = 1.0,
        s_mva: float | None = None,
        priority: str = "reactive",
    ) -> tuple[Floats, Floats]:
        """What an inverter gives where the voltage of its terminals is held: P and Q, MW and MVAr.

        Args:
            v_pu: voltages; any shape, and together with `p_available_mw` broadcast.
            p_available_mw: what could flow, MW.
            p_mw: rated power.
            s_mva: apparent power (default `p_mw`).
            priority: which of P and Q is kept at the circle of apparent power, "reactive" or "active".
        """
        table = function_table([self], [p_mw], [p_mw if s_mva is None else s_mva], [priority == "reactive"])
        v, offered = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (v_pu, p_available_mw)))
        columns = [np.ascontiguousarray(x).reshape(-1, 1) for x in (v, offered)]
        ceased = (columns[0] >= _limit(self)).astype(np.float64)
        p, q = np.zeros_like(ceased), np.zeros_like(ceased)
        inverter_response(table, *columns, ceased, p, q)
        return p.reshape(v.shape), q.reshape(v.shape)


_CURVES: dict[str, type[Any]] = {
    "volt_var": VoltVarCurve,
    "volt_watt": VoltWattCurve,
    "watt_var": WattVarCurve,
}
_FUNCTIONS = ("volt-var", "watt-var", "volt-watt", "unity")


def functions_of(owner: str, given: Any) -> InverterFunctions | None:
    """Functions as people give them: the settings, their fields, or a name; None: none."""
    if isinstance(given, str):
        try:
            return InverterFunctions.named(given)
        except ValueError as error:
            raise ValueError(f"{owner}: {error}") from None
    return settings_of(owner, "functions", InverterFunctions, given)


def _limit(functions: InverterFunctions | None) -> float:
    """Voltage of momentary cessation, pu; infinite where there is none."""
    if functions is None or functions.cease_above_pu is None:
        return math.inf
    return float(functions.cease_above_pu)


def cease_limits(units: Sequence[InverterFunctions | None]) -> Floats:
    """(units,) voltage of momentary cessation, pu; infinite where there is none."""
    return np.array([_limit(functions) for functions in units])


def function_table(
    units: Sequence[InverterFunctions | None],
    p_mw: Sequence[float] | Floats,
    s_mva: Sequence[float] | Floats,
    reactive_first: Sequence[bool] | NDArray[np.bool_],
) -> FunctionTable:
    """The settings of several inverters as kernels read them; None: a unit without functions."""
    off = InverterFunctions(volt_var=VoltVarCurve(), cease_above_pu=None)
    rows = [
        (
            _mode(f), (f or off).volt_var or VoltVarCurve(), (f or off).volt_watt,
            (f or off).watt_var or WattVarCurve(), _q_per_p(f or off), *(f or off).q_range,
            (f or off).low_power == "reduced",
        )
        for f in units
    ]  # fmt: skip
    mode, volt_var, volt_watt, watt_var, q_per_p, injected, absorbed, reduced = zip(*rows, strict=True)
    low = np.array(reduced, dtype=np.float64)
    return FunctionTable(
        mode=np.array(mode, dtype=np.int64),
        volt_var_v_pu=np.array([c.v_pu for c in volt_var]),
        volt_var_q=np.array([c.q for c in volt_var]),
        volt_watt_v_pu=np.array([(math.inf, math.inf) if c is None else c.v_pu for c in volt_watt]),
        volt_watt_p=np.array([(1.0, 0.0) if c is None else c.p for c in volt_watt]),
        watt_var_p=np.array([c.p for c in watt_var]),
        watt_var_q=np.array([c.q for c in watt_var]),
        q_per_p=np.array(q_per_p, dtype=np.float64),
        q_injected=np.array(injected, dtype=np.float64),
        q_absorbed=np.array(absorbed, dtype=np.float64),
        p_full=_FULL_FROM * low,
        p_none=_NONE_BELOW * low,
        rated_p_mw=np.array(p_mw, dtype=np.float64),
        rated_s_mva=np.array(s_mva, dtype=np.float64),
        reactive_first=np.array(reactive_first, dtype=np.bool_),
    )


def _mode(functions: InverterFunctions | None) -> int:
    if functions is None:
        return NONE
    if functions.volt_var is not None:
        return VOLT_VAR
    if functions.watt_var is not None:
        return WATT_VAR
    return UNITY if functions.power_factor is None else POWER_FACTOR


def _q_per_p(functions: InverterFunctions) -> float:
    """MVAr for each MW of a constant power factor."""
    if functions.power_factor is None:
        return 0.0
    slope = math.tan(math.acos(functions.power_factor))
    return slope if functions.excitation == "injecting" else -slope
