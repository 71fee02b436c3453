"""What a planner may know of a program's next intervals: its limits, what is available, what it owes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels.inverter_functions import FunctionTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Session(NamedTuple):
    """One stay of a car: intervals of the window in which it is there, and what it needs."""

    unit: int  # of the program
    first: int  # interval of the window, 0 where it is there already
    stop: int  # first interval without it; the window's length where it stays longer
    energy_mwh: float  # that it needs in its battery from ``first`` on
    taken_mwh: float = 0.0  # that it has taken since it came, and may give back
    eta_charge: float = 1.0  # MWh in its battery for each that the station draws
    eta_discharge: float = 1.0  # MWh that the station gives for each out of its battery
    stays: bool = False  # beyond the window


@dataclass(frozen=True)
class Storage:
    """Energy that units can keep; all (n_units,)."""

    stored_mwh: Floats  # at the beginning of the interval that is decided next
    min_mwh: Floats
    max_mwh: Floats
    eta_charge: Floats
    eta_discharge: Floats
    ramp_mw_per_h: Floats  # inf: none
    standing_loss_per_h: Floats  # share of what is stored that is lost in an hour at rest
    wear_cost_per_mwh: Floats  # money for a MWh at the terminals


@dataclass(frozen=True)
class Positions:
    """Where units stand that move in whole steps; all (n_units,)."""

    now: Floats
    low: Floats
    high: Floats
    max_steps: Floats  # in one interval, inf: any number
    steps_left: Floats  # until the day ends, inf: any number


@dataclass(frozen=True)
class Rooms:
    """Buildings that heat pumps warm; (n_units,) where nothing else is said.

    The temperature T of a room follows capacity dT/dt = heat_loss (outdoor - T) + cop * power drawn + gains.
    """

    indoor_c: Floats  # at the beginning of the interval that is decided next
    outdoor_c: Floats  # (horizon,)
    cop: Floats  # (horizon, n_units) heat over electricity
    capacity_mwh_per_k: Floats
    heat_loss_mw_per_k: Floats
    gains_mw: Floats
    t_min_c: Floats  # below and above, each kelvin hour has a price
    t_max_c: Floats
    t_cut_c: Floats  # the pump does not heat beyond
    discomfort_cost_per_kh: Floats


@dataclass(frozen=True)
class Flexibility:
    """Load that may be curtailed, or shifted and returned; (n_units,) where nothing else is said."""

    owed_mwh: Floats  # at the beginning of the interval that is decided next
    shift_mw: Floats  # most that is taken away to be returned
    return_mw: Floats  # most that is returned
    curtail_mw: Floats
    share: Floats  # of the load present that may be taken away at all
    closes: NDArray[np.bool_]  # (horizon, n_units) whether nothing may be owed when the interval ends
    window: Ints  # intervals of a window
    rolling: NDArray[np.bool_]  # a window opens with the first energy taken; ``closes``: of the open one
    shift_cost_per_mwh: Floats
    curtail_cost_per_mwh: Floats
    #: Of each unit, groups of columns of the load; it can lose their number times the least of each group.
    columns: tuple[tuple[Ints, ...], ...]


@dataclass(frozen=True)
class Commitment:
    """Generators that are started and stopped; all (n_units,)."""

    on: NDArray[np.bool_]  # at the beginning of the interval that is decided next
    since: Floats  # intervals for which it has been so
    p_mw: Floats  # power of the interval before
    p_min_mw: Floats  # while on
    p_max_mw: Floats
    q_min_mvar: Floats
    ramp_mw: Floats  # in one interval, inf: none
    min_up: Floats  # intervals
    min_down: Floats
    cost_per_h: Floats  # while on
    cost_per_mwh: Floats
    cost_per_mw2h: Floats
    start_cost: Floats


@dataclass(frozen=True)
class WorkQueue:
    """Work that servers may do later."""

    waiting_mwh: Floats  # (slots, n_units) by the intervals that it has left after the one decided next
    arriving_mwh: Floats  # (horizon, n_units) in each interval
    depth: Ints  # (n_units,) intervals within which what arrives must be done
    room_mw: Floats  # (horizon, n_units) most power for it
    base_mw: Floats  # (horizon, n_units) of servers that idle and of work that cannot wait
    pue: Floats  # (horizon, n_units) power drawn over that of servers
    cost_per_mwh: Floats  # (n_units,) of work that is dropped


@dataclass(frozen=True)
class Links:
    """Soft open points: units 2 k and 2 k + 1 are the ends of link k; all (n_links,).

    The powers of both ends and ``loss`` times their apparent powers add up to 0.
    """

    s_mva: Floats
    loss: Floats


@dataclass(frozen=True)
class Functions:
    """Inverters that answer to voltage by functions of their own."""

    table: FunctionTable
    cease_pu: Floats  # (n_units,) nothing flows from that voltage on, inf: never


@dataclass(frozen=True)
class Outlook:
    """The intervals of a window as one program sees them.

    Attributes:
        units: names.
        p_min_mw, p_max_mw: (horizon, n_units) bounds of the active power, positive when injecting.
        s_mva, q_max_mvar: (n_units,) bounds of the apparent and of the reactive power.
        available_mw: (horizon, n_units) power that sun or wind offers; None: the program has no such source.
        storage: energy and its limits; None: no storage.
        sessions: stays of cars, by unit and time.
        positions: of devices that move; None: it injects.
        rooms: that heat pumps warm; None: it has none.
        flexibility: of flexible loads; commitment: of generators; work: of data centers; links: of soft open
            points; functions: of inverters that follow their own; None: of others.
    """

    units: tuple[str, ...]
    p_min_mw: Floats
    p_max_mw: Floats
    s_mva: Floats
    q_max_mvar: Floats
    available_mw: Floats | None = None
    storage: Storage | None = None
    sessions: tuple[Session, ...] = ()
    positions: Positions | None = None
    rooms: Rooms | None = None
    flexibility: Flexibility | None = None
    commitment: Commitment | None = None
    work: WorkQueue | None = None
    links: Links | None = None
    functions: Functions | None = None


def held(values: Floats, horizon: int) -> Floats:
    """(horizon, n_units) of numbers that hold in every interval."""
    return np.repeat(values[None], horizon, axis=0)
