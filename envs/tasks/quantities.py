"""The quantities that tasks are made of: what they are, how they are read, and how large they can get.

One row of `QUANTITIES` says everything about a quantity; terms of the reward, costs, the bound of a step and
the documentation read it there. Some have parameters, as in ``Term("voltage", "voltage_deviation", -0.5,
{"band_pu": 0.03})``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...physics.row_results import OVERLOAD, P_LOSS, P_SLACK, VOLTAGE_VIOLATION, VUF_VIOLATION
from ..kernels import ledger
from ..kernels.terms import ACCOUNT, LEDGER, MEAN_SQUARE, MEASURED
from ..resources.base import check_number
from .hosting_limits import DEVIATION_PU, MOST_LOADING, refused_mw

if TYPE_CHECKING:
    from .base import StepView, WorstCase

FloatArray = NDArray[np.float64]


class Range(NamedTuple):
    """The least and the most that a quantity can be in an interval whose power flow is solved."""

    least: float
    most: float


class KernelSource(NamedTuple):
    """A kind of `kernels.terms`, and its column (of ``measured``, of the ledger), account or parameter."""

    kind: int
    of: int | str


@dataclass(frozen=True)
class Quantity:
    """What an interval is judged by.

    Attributes:
        name: As terms name it.
        unit: Of ``scale * value(view)``.
        meaning: In words, for the documentation.
        value: Of the solved interval, (batch,), before ``scale``; called with the parameters by name.
        bounds: Of what ``value`` returns; called with the parameters by name.
        parameters: Names and defaults.
        scale: A factor that goes into the weight and so costs nothing; called with the parameters.
        source: Where a compiled kernel finds the same value, which spares the call; None: only ``value``
            knows.
    """

    name: str
    unit: str
    meaning: str
    value: Callable[..., FloatArray]
    bounds: Callable[..., Range | tuple[float, float]]
    parameters: Mapping[str, float] = field(default_factory=dict)
    scale: Callable[..., float] | None = None
    source: KernelSource | None = None

    def __post_init__(self) -> None:
        if not self.name or not self.meaning:
            raise ValueError(f"a Quantity has a name and a meaning, got {self.name!r}, {self.meaning!r}")
        for label in ("value", "bounds"):
            if not callable(getattr(self, label)):
                raise TypeError(f"Quantity {self.name}: {label} must be a function")

    def reader(self, given: Mapping[str, float]) -> Callable[[StepView], FloatArray]:
        """``value`` with parameters filled in."""
        filled = {**self.parameters, **given}
        return functools.partial(self.value, **filled) if filled else self.value

    def factor(self, given: Mapping[str, float]) -> float:
        """``scale`` with parameters filled in."""
        return 1.0 if self.scale is None else float(self.scale(**{**self.parameters, **given}))

    def range(self, worst: WorstCase, given: Mapping[str, float]) -> Range:
        """``bounds`` with parameters filled in, times ``scale``."""
        least, most = self.bounds(worst, **{**self.parameters, **given})
        factor = self.factor(given)
        return Range(*sorted((factor * float(least), factor * float(most))))


# -- how values are read -----------------------------------------------------------------------------------


def _mean_square(view: StepView, reference_pu: float, **_: float) -> FloatArray:
    return view.mean_square_pu(reference_pu)


def _per_band(band_pu: float, **_: float) -> float:
    return (1.0 / band_pu) ** 2


def _mean_square_range(worst: WorstCase, reference_pu: float, **_: float) -> Range:
    """Of live nodes: each at the end that is farther from the reference."""
    high = worst.state.v_high_pu[np.isfinite(worst.state.v_high_pu)] - reference_pu
    low = worst.state.v_low_pu - reference_pu
    return Range(0.0, float(np.maximum(high * high, low * low).mean()) if high.size else 0.0)


def _unbalance(view: StepView, limit_pct: float, most: float) -> FloatArray:
    share = np.minimum(view.vuf_pct / limit_pct, most)
    if not share.shape[1]:
        return view.p_loss_mw * 0.0
    squares = np.square(share)
    mean = np.asarray(squares.mean(axis=1))
    if np.isnan(mean).any():  # nodes without voltage have none
        live = np.isfinite(squares)
        mean = np.where(live, squares, 0.0).sum(axis=1) / np.maximum(live.sum(axis=1), 1)
    return mean


def _import_above(view: StepView, limit_mw: float) -> FloatArray:
    return np.maximum(view.p_slack_mw - limit_mw, 0.0)


def _export_above(view: StepView, limit_mw: float) -> FloatArray:
    return np.maximum(-view.p_slack_mw - limit_mw, 0.0)


def _import_square(view: StepView, limit_mw: float) -> FloatArray:
    return np.square(_import_above(view, limit_mw))


def _slack_above(worst: WorstCase, limit_mw: float) -> Range:
    return Range(0.0, max(worst.slack_mw - limit_mw, 0.0))


def _slack_above_square(worst: WorstCase, limit_mw: float) -> Range:
    return Range(0.0, max(worst.slack_mw - limit_mw, 0.0) ** 2)


def _unbalance_range(_: WorstCase, most: float, **__: float) -> Range:
    return Range(0.0, most**2)


def _violation_capped(view: StepView, most_pu: float) -> FloatArray:
    return np.minimum(view.voltage_violation_pu, most_pu)


def _violation_capped_range(worst: WorstCase, most_pu: float) -> Range:
    return Range(0.0, min(worst.voltage_violation_pu, most_pu))


def _vuf_capped(view: StepView, most_pct: float) -> FloatArray:
    return np.minimum(view.vuf_violation_pct, most_pct)


def _vuf_capped_range(worst: WorstCase, most_pct: float) -> Range:
    return Range(0.0, min(worst.vuf_violation_pct, most_pct))


def _account(view: StepView, account: str) -> FloatArray:
    return view.account(account)


def _account_range(worst: WorstCase, account: str) -> Range:
    return Range(0.0, worst.accounts.get(account, 0.0))


def _up_to(path: str) -> Callable[[WorstCase], Range]:
    """From 0 to an attribute of the worst case."""
    return functools.partial(_from_zero, path=path)


def _from_zero(worst: WorstCase, path: str) -> Range:
    return Range(0.0, float(attrgetter(path)(worst)))


def _slack_range(worst: WorstCase) -> Range:
    return Range(-worst.slack_mw, worst.slack_mw)


def _refused_range(worst: WorstCase, **_: float) -> Range:
    return _account_range(worst, "connected_mw")


def _of_account(name: str, unit: str, meaning: str) -> Quantity:
    return Quantity(
        name, unit, meaning, functools.partial(_account, account=name),
        functools.partial(_account_range, account=name), source=KernelSource(ACCOUNT, name),
    )  # fmt: skip


def _entry(view: StepView, column: int) -> FloatArray:
    return view.entries[:, column]


def _of_ledger(
    name: str, unit: str, meaning: str, column: int, bounds: Callable[[WorstCase], Range]
) -> Quantity:
    return Quantity(
        name, unit, meaning, functools.partial(_entry, column=column), bounds,
        source=KernelSource(LEDGER, column),
    )  # fmt: skip


def _energy_usd_range(worst: WorstCase) -> Range:
    most = worst.slack_mw * worst.dt_h * max(abs(price) for price in worst.price_usd_mwh)
    return Range(-most, most)


def _energy_range(worst: WorstCase, path: str) -> Range:
    return Range(0.0, float(attrgetter(path)(worst)) * worst.dt_h)


def _deficit_range(worst: WorstCase) -> Range:
    return Range(0.0, worst.accounts.get("stored_mwh", 0.0) + worst.accounts.get("owed_mwh", 0.0))


def _settled_range(worst: WorstCase) -> Range:
    return Range(0.0, _deficit_range(worst).most * max(0.0, *worst.price_usd_mwh))


def _setpoint_range(worst: WorstCase, power: int) -> Range:
    return Range(0.0, (worst.slack_mw + worst.signal_mw) ** power if worst.signal_mw else 0.0)


def _energy_of(path: str) -> Callable[[WorstCase], Range]:
    return functools.partial(_energy_range, path=path)


#: Every quantity that terms and costs may name, by name.
QUANTITIES: Mapping[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        Quantity("loss_mw", "MW", "active losses of all branches", attrgetter("p_loss_mw"),
                 _up_to("state.p_loss_mw"), source=KernelSource(MEASURED, P_LOSS)),
        Quantity("slack_mw", "MW", "active power taken from the upstream grid; fed back: negative",
                 attrgetter("p_slack_mw"), _slack_range, source=KernelSource(MEASURED, P_SLACK)),
        Quantity("import_above_mw", "MW", "power taken from the upstream grid beyond `limit_mw`",
                 _import_above, _slack_above, {"limit_mw": 0.0}),
        Quantity("import_above_square", "MW^2", "square of the power taken beyond `limit_mw`",
                 _import_square, _slack_above_square,
                 {"limit_mw": 0.0}),
        Quantity("export_above_mw", "MW", "power fed back into the upstream grid beyond `limit_mw`",
                 _export_above, _slack_above, {"limit_mw": 0.0}),
        Quantity("voltage_deviation", "1",
                 "mean over live nodes (phases) of ((V - `reference_pu`) / `band_pu`)^2", _mean_square,
                 _mean_square_range, {"reference_pu": 1.0, "band_pu": 0.05}, _per_band,
                 source=KernelSource(MEAN_SQUARE, "reference_pu")),
        Quantity("voltage_violation_pu", "pu", "sum over nodes (phases) of pu outside the band",
                 attrgetter("voltage_violation_pu"), _up_to("voltage_violation_pu"),
                 source=KernelSource(MEASURED, VOLTAGE_VIOLATION)),
        Quantity("voltage_violation_capped_pu", "pu",
                 "sum over nodes (phases) of pu outside the band, up to `most_pu`", _violation_capped,
                 _violation_capped_range, {"most_pu": 1.0}),
        Quantity("vuf_violation_capped_pct", "%",
                 "sum over nodes with three phases of unbalance above the limit, up to `most_pct`",
                 _vuf_capped, _vuf_capped_range, {"most_pct": 5.0}),
        Quantity("thermal_overload_mva", "MVA", "sum over branches (phases) of MVA above rating",
                 attrgetter("thermal_overload_mva"), _up_to("thermal_overload_mva"),
                 source=KernelSource(MEASURED, OVERLOAD)),
        Quantity("vuf_violation_pct", "%", "sum over nodes with three phases of unbalance above the limit",
                 attrgetter("vuf_violation_pct"), _up_to("vuf_violation_pct"),
                 source=KernelSource(MEASURED, VUF_VIOLATION)),
        Quantity("unbalance_square", "1", "mean over live nodes with three phases of the square of "
                 "|V2| / |V1| over `limit_pct`, up to `most`", _unbalance,
                 _unbalance_range, {"limit_pct": 2.0, "most": 5.0}),
        Quantity("resource_cost", "money", "all that resources charge", attrgetter("resource_cost"),
                 _up_to("resource_cost")),
        Quantity("unserved_mw", "MW", "load without voltage, and load that was shed",
                 attrgetter("unserved_mw"), _up_to("unserved_mw")),
        Quantity("switchings", "1", "tap steps and switchings of banks and switches", attrgetter("switched"),
                 _up_to("switched_per_step"), source=KernelSource(ACCOUNT, "switchings")),
        Quantity("throughput_mwh", "MWh", "energy through storage", attrgetter("throughput_mwh"),
                 _up_to("storage_mwh_per_step"), source=KernelSource(ACCOUNT, "throughput_mwh")),
        Quantity("curtailed_mw", "MW", "available power that was not used", attrgetter("curtailed_mw"),
                 _up_to("curtailable_mw"), source=KernelSource(ACCOUNT, "curtailed_mw")),
        _of_account("connected_mw", "MW", "generation that was newly connected"),
        Quantity("refused_mw", "MW", "generation newly connected in an interval that violates the band of "
                 "voltages, moves one by more than `deviation_pu`, or loads a branch above `most_loading`; "
                 "what the episode opened with counts where it gets worse", refused_mw, _refused_range,
                 {"deviation_pu": DEVIATION_PU, "most_loading": MOST_LOADING}),
        _of_account("shifted_mwh", "MWh", "load moved away from the interval that wanted it"),
        _of_account("undelivered_mwh", "MWh", "energy that cars left without"),
        _of_ledger("energy_cost_usd", "USD", "price times the energy taken from the upstream grid; what is "
                   "fed back earns as much", ledger.ENERGY_USD, _energy_usd_range),
        _of_ledger("imported_mwh", "MWh", "energy taken from the upstream grid", ledger.IMPORTED_MWH,
                   _energy_of("slack_mw")),
        _of_ledger("exported_mwh", "MWh", "energy fed back into the upstream grid", ledger.EXPORTED_MWH,
                   _energy_of("slack_mw")),
        _of_ledger("loss_mwh", "MWh", "active losses of all branches", ledger.LOSS_MWH,
                   _energy_of("state.p_loss_mw")),
        _of_ledger("curtailed_mwh", "MWh", "available energy that was not used", ledger.CURTAILED_MWH,
                   _energy_of("curtailable_mw")),
        _of_ledger("peak_rise_mw", "MW", "by how much power taken from the upstream grid exceeds the most of "
                   "the episode before; over an episode the sum is its peak", ledger.PEAK_RISE_MW,
                   _up_to("slack_mw")),
        _of_ledger("energy_deficit_mwh", "MWh", "in the last interval of an episode: energy that storage "
                   "holds less than at its beginning, and that loads and cars are owed more",
                   ledger.DEFICIT_MWH, _deficit_range),
        _of_ledger("energy_deficit_usd", "USD", "in the last interval of an episode: energy that storage "
                   "holds less than at its beginning, and that loads and cars are owed more, at the highest "
                   "price of the episode", ledger.DEFICIT_USD, _settled_range),
        _of_ledger("energy_surplus_usd", "USD", "in the last interval of an episode: energy that storage "
                   "holds more than at its beginning, and that loads and cars are owed less, at the lowest "
                   "price of the episode", ledger.SURPLUS_USD, _settled_range),
        _of_ledger("setpoint_deviation_mw", "MW", "how far the power taken from the upstream grid is from "
                   "the dispatch signal", ledger.SETPOINT_MW, functools.partial(_setpoint_range, power=1)),
        _of_ledger("setpoint_deviation_square", "MW^2", "square of the distance of the power taken from the "
                   "upstream grid from the dispatch signal", ledger.SETPOINT_MW2,
                   functools.partial(_setpoint_range, power=2)),
    )
}  # fmt: skip


def quantity_of(named: str | Quantity) -> Quantity:
    """The row of a name, or the quantity itself; ValueError for a name that there is not."""
    if isinstance(named, Quantity):
        return named
    if named not in QUANTITIES:
        raise ValueError(f"quantity {named!r} is unknown; expected one of {', '.join(QUANTITIES)}")
    return QUANTITIES[named]


def check_parameters(quantity: Quantity, given: Mapping[str, Any], owner: str) -> dict[str, float]:
    """The parameters as numbers; ValueError for one that the quantity has not, or that is no number."""
    found: dict[str, float] = {}
    for name, value in given.items():
        if name not in quantity.parameters:
            raise ValueError(
                f"{owner}: quantity {quantity.name!r} has no parameter {name!r}; expected "
                + (f"some of {', '.join(quantity.parameters)}" if quantity.parameters else "none")
            )
        check_number(owner, f"parameter {name!r}", value, -np.inf, np.inf)
        found[name] = float(value)
    return found
