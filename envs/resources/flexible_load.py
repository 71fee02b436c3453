"""Flexible load: the part of a bus's load that is curtailed at a price, or shifted and returned in time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...cases.profiles.calendar import HOURS_PER_DAY
from ..kernels.flexible_load import Flexible, FlexibleAccounts, flexible_advance
from .action_columns import action_columns
from .base import (
    BindContext,
    Entry,
    Exogenous,
    Floats,
    Ints,
    Resource,
    ResourceSpec,
    bus_id,
    check_number,
    check_phase,
)
from .outlook import Flexibility, Outlook, held

if TYPE_CHECKING:
    from ...cases import Feeder
    from .present_load import PresentLoad

_ROUND = 1e-9  # by which a number of intervals may miss a whole one
_LONGEST_H = 168.0


@dataclass(frozen=True)
class FlexibleLoad(ResourceSpec):
    """The part of the load at a bus that may be curtailed, or shifted and returned.

    Action shift (where `shift_mw` is above 0): +1 takes away `shift_mw` of the load, -1 returns `return_mw`
    of what is owed, 0 does neither, linear between. Every MWh taken away is returned before its window
    closes, none is lost or gained: a request is cut so that the rest of the window can return what is owed,
    and what it can only just return is returned, whatever is asked. Windows are those of `window_h` hours
    from midnight on, or open with the first MWh taken away and close `return_h` hours later.

    Action curtail (where `curtail_mw` is above 0): -1 nothing (the neutral action), +1 `curtail_mw`, linear
    between. What is curtailed is not returned. It is the account `load_curtailed_mw`, charged at
    `curtail_cost_per_mwh` (the cost `curtailment`) and nowhere else: it is no `unserved_mw`, which tasks
    charge at a price of their own.

    Both together take away no more than `share` of the load present, that of the bus (at rated voltage) in
    the interval that is decided; on "ABC" of a per-phase feeder each phase gives alike, so that the least
    load of the three counts. Delivered power is positive for what is taken away, negative for what is
    returned, and moves Q along at `power_factor`. Observed: `owed_mwh`, taken away and not returned yet, and
    `return_h`, the hours until nothing may be owed (rolling windows: 0 while none is open). What an episode
    leaves owed is the account `owed_mwh` of its last interval: tasks settle it.

    The model is that of Zerrahn and Schill, "On the representation of demand-side management in power system
    models", Energy 84 (2015) 840: load that is shifted is made up for in full within a time, load that is
    curtailed is not.

    - `bus`: node id. `curtail_mw`, `shift_mw`: most of each, MW; one of them is above 0.
    - `curtail_cost_per_mwh`: USD for each MWh curtailed; above 0, as load that is shed for nothing would be a
      gift. `shift_cost_per_mwh`: USD for each MWh taken away to be returned, the cost `discomfort`.
    - `window_h` or `return_h`: one of them where `shift_mw` is above 0. `window_h` divides the day.
    - `return_mw`: most power of returning (default `shift_mw`).
    - `share`: of the load present, above 0 to 1. `power_factor`: of what is moved, lagging.

    Raises ValueError for values that cannot be.
    """

    kind: ClassVar[str] = "flexible_load"

    bus: str | int
    curtail_mw: float = 0.0
    shift_mw: float = 0.0
    curtail_cost_per_mwh: float | None = None
    shift_cost_per_mwh: float = 0.0
    window_h: float | None = None
    return_h: float | None = None
    return_mw: float | None = None
    share: float = 1.0
    power_factor: float = 1.0
    phase: str = "ABC"
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "bus", bus_id(self.bus))
        who = f"FlexibleLoad at bus {self.bus}"
        check_number(who, "curtail_mw", self.curtail_mw, 0.0, math.inf)
        check_number(who, "shift_mw", self.shift_mw, 0.0, math.inf)
        if self.curtail_mw == self.shift_mw == 0.0:
            raise ValueError(f"{who}: curtail_mw and shift_mw are both 0; one must be greater than 0")
        if self.curtail_mw > 0.0:
            if self.curtail_cost_per_mwh is None:
                raise ValueError(f"{who}: curtail_cost_per_mwh must be greater than 0, got None")
            check_number(who, "curtail_cost_per_mwh", self.curtail_cost_per_mwh, 0.0, math.inf, open_low=True)
        check_number(who, "shift_cost_per_mwh", self.shift_cost_per_mwh, 0.0, math.inf)
        if self.return_mw is not None:
            check_number(who, "return_mw", self.return_mw, 0.0, math.inf, open_low=True)
        check_number(who, "share", self.share, 0.0, 1.0, open_low=True)
        check_number(who, "power_factor", self.power_factor, 0.0, 1.0, open_low=True)
        self._check_windows(who)
        check_phase(who, self.phase)

    def _check_windows(self, who: str) -> None:
        given = [name for name in ("window_h", "return_h") if getattr(self, name) is not None]
        if self.shift_mw == 0.0:
            if given:
                raise ValueError(f"{who}: {given[0]} is for load that is shifted, but shift_mw is 0")
            return
        if len(given) != 1:
            raise ValueError(
                f"{who}: give one of window_h and return_h, got "
                + ("both" if given else "neither: the window in which load is returned would never close")
            )
        check_number(who, given[0], self.hours, 0.0, _LONGEST_H, open_low=True)
        if self.window_h is not None:
            number = HOURS_PER_DAY / self.window_h
            if abs(number - round(number)) > _ROUND or self.window_h > HOURS_PER_DAY:
                raise ValueError(
                    f"{who}: window_h must divide the {HOURS_PER_DAY:g} hours of a day, got {self.window_h!r}"
                )

    @property
    def hours(self) -> float:
        """Length of a window; 0 where nothing is shifted."""
        return self.window_h or self.return_h or 0.0

    @property
    def rated_return_mw(self) -> float:
        """Most power of returning."""
        return self.shift_mw if self.return_mw is None else self.return_mw

    @property
    def most_owed_mwh(self) -> float:
        """What can be owed at most: taken away and returned at full power the window is just long enough."""
        together = self.shift_mw + self.rated_return_mw
        return self.hours * self.shift_mw * self.rated_return_mw / together if self.shift_mw else 0.0

    @property
    def rated_s_mva(self) -> float:
        """Apparent power that is never exceeded, MVA."""
        back = self.rated_return_mw if self.shift_mw else 0.0
        return max(self.shift_mw + self.curtail_mw, back) / self.power_factor

    @staticmethod
    def program(specs: Sequence[FlexibleLoad]) -> FlexibleLoadProgram:
        """All `specs` as one array program."""
        return FlexibleLoadProgram(specs)


class FlexibleLoadProgram(Resource):
    """Flexible loads as columns; `owed_mwh` (batch, n_units) is what they still have to return."""

    kind: ClassVar[str] = "flexible_load"
    uses_voltage: ClassVar[bool] = False
    uses_load: ClassVar[bool] = True
    writes: ClassVar[tuple[str, ...]] = FlexibleAccounts._fields

    owed_mwh: Floats
    left: Floats  # (batch, n_units) intervals left of the window that is open; 0: nothing is owed

    def __init__(self, specs: Sequence[FlexibleLoad]) -> None:
        super().__init__(
            [s.bus for s in specs],
            s_mva=[s.rated_s_mva for s in specs],
            phases=[s.phase for s in specs],
            names=[s.name for s in specs],
        )
        self._specs = tuple(specs)
        self.rated_p_mw = np.array([s.shift_mw + s.curtail_mw for s in specs])
        self.q_max_mvar = np.zeros(len(specs))
        self._most_owed_mwh = np.array([s.most_owed_mwh for s in specs])
        self.unit_actions = tuple(
            tuple(q for q, most in (("shift", s.shift_mw), ("curtail", s.curtail_mw)) if most > 0.0)
            for s in specs
        )
        if any(s.shift_mw for s in specs):
            self.unit_observations = tuple(
                (
                    Entry(
                        "owed_mwh", "MWh", 0.0, s.most_owed_mwh or s.curtail_mw,
                        "load taken away that is still to be returned, now",
                    ),
                    Entry(
                        "return_h", "h", 0.0, s.hours or HOURS_PER_DAY, "hours until nothing may be owed, now"
                    ),
                )
                for s in specs
            )  # fmt: skip

    @property
    def neutral_action(self) -> Floats:
        """Nothing is shifted (0), nothing curtailed (-1)."""
        return np.array([0.0 if q == "shift" else -1.0 for qs in self.unit_actions for q in qs])

    def locate(self, feeder: Feeder) -> None:
        """ValueError where the shares of several units at one bus are more than the load there."""
        taken: dict[tuple[str, str], float] = {}
        for spec, bus, phase in zip(self._specs, self.buses, self.phases, strict=True):
            parts = (phase,) if phase != "ABC" else ("A", "B", "C", "AB", "BC", "CA")
            for part in parts if feeder.phases == "per-phase" else ("ABC",):
                total = taken[bus, part] = taken.get((bus, part), 0.0) + spec.share
                if total > 1.0 + _ROUND:
                    raise ValueError(
                        f"FlexibleLoad at bus {bus}: the shares of the units on phase {part} there add up to "
                        f"{total:g}; expected 1 at most"
                    )

    def bind(self, ctx: BindContext) -> None:
        """Allocate; ValueError for a bus without load, or a window of less than two whole intervals."""
        super().bind(ctx)
        assert ctx.load is not None
        self._load: PresentLoad = ctx.load
        for name, columns in zip(self.names, self._load.columns, strict=True):
            if not columns:
                k = self.names.index(name)
                raise ValueError(
                    f"{name}: bus {self.buses[k]} of feeder {ctx.feeder.name} has no load on phase "
                    f"{self.phases[k]}"
                )
        specs = self._specs
        self._steps_per_day = round(HOURS_PER_DAY / ctx.dt_h)
        windows = [self._intervals(s, name, ctx.dt_h) for s, name in zip(specs, self.names, strict=True)]
        shift, curtail = action_columns(self.unit_actions, ("shift", "curtail"))
        self._flex = Flexible(
            shift,
            curtail,
            np.array([s.shift_mw for s in specs], dtype=np.float64),
            np.array([s.rated_return_mw for s in specs], dtype=np.float64),
            np.array([s.curtail_mw for s in specs], dtype=np.float64),
            np.array([s.share for s in specs], dtype=np.float64),
            np.array(windows, dtype=np.int64),
            np.array([s.window_h is None for s in specs]),
            np.array([math.sqrt(1.0 - s.power_factor**2) / s.power_factor for s in specs]),
            np.array([s.shift_cost_per_mwh for s in specs], dtype=np.float64),
            np.array([s.curtail_cost_per_mwh or 0.0 for s in specs], dtype=np.float64),
        )
        most = self._flex.shift_mw * self._flex.shift_price + self._flex.curtail_mw * self._flex.curtail_price
        self.max_cost_per_step = float(most.sum() * ctx.dt_h)
        self.owed_mwh = np.zeros((ctx.batch, self.n_units))
        self.left = np.zeros((ctx.batch, self.n_units))

    @staticmethod
    def _intervals(spec: FlexibleLoad, name: str, dt_h: float) -> int:
        """Intervals of a window."""
        if not spec.shift_mw:
            return 1
        label = "return_h" if spec.window_h is None else "window_h"
        steps = math.floor(spec.hours / dt_h + _ROUND)
        if steps < 2:
            raise ValueError(
                f"{name}: {label} must be two intervals of {dt_h:g} h or more, one to take load away and one "
                f"to return it, got {spec.hours:g}"
            )
        if spec.window_h is not None and abs(spec.window_h / dt_h - steps) > _ROUND:
            raise ValueError(
                f"{name}: window_h must be a whole number of intervals of {dt_h:g} h, got {spec.window_h:g}"
            )
        return steps

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """Nothing is owed; see `Resource.reset`."""
        super().reset(rows, rngs)
        self.owed_mwh[rows] = 0.0
        self.left[rows] = 0.0

    def advance(self, action: Floats, exo: Exogenous) -> None:
        """One interval; see `flexible_advance`."""
        flexible_advance(
            self._flex, FlexibleAccounts(**self.accounts), action, exo.t_index, exo.load_mw, self.owed_mwh,
            self.left, self.current_p_mw, self.current_q_mvar, self._steps_per_day, exo.dt_h,
        )  # fmt: skip

    def observe(self, t_index: Ints, out: Floats) -> None:
        """What is owed, and the hours until nothing may be."""
        if out.shape[1]:
            n = self.n_units
            out[:, :n] = self.owed_mwh
            out[:, n:] = self._left(t_index[:, None], self.left) * (HOURS_PER_DAY / self._steps_per_day)

    def _left(self, t_index: Ints, of_open: Floats) -> Floats:
        """Intervals until the window closes, the one of `t_index` included; rolling: of the open one."""
        window = self._flex.window
        return np.where(self._flex.rolling, of_open, window - t_index % self._steps_per_day % window)

    def most_of(self, account: str, dt_h: float) -> float:
        """See `Resource.most_of`."""
        flex = self._flex
        bounds = {
            "shifted_mwh": flex.shift_mw * dt_h,
            "owed_mwh": self._most_owed_mwh,
            "load_curtailed_mw": flex.curtail_mw,
            "discomfort_cost": flex.shift_mw * flex.shift_price * dt_h,
            "curtailment_cost": flex.curtail_mw * flex.curtail_price * dt_h,
        }
        return float(bounds[account].sum()) if account in bounds else 0.0

    def outlook(self, t_index: Ints, row: int, now: int, sun: Floats | None = None) -> Outlook:
        """What may be taken away and returned, what is owed, and when nothing may be; loads are the window's.

        Power is bounded by ratings: `Flexibility.columns` tells which loads bound it, too.
        """
        flex, ahead = self._flex, (t_index[0] - now) + np.arange(t_index.size)[:, None]
        left = self._left(t_index[:, None], self.left[row] - ahead)
        return Outlook(
            self.names, held(np.where(flex.col_shift >= 0, -flex.return_mw, 0.0), t_index.size),
            held(self.rated_p_mw, t_index.size), self.s_mva, self.q_max_mvar,
            flexibility=Flexibility(
                self.owed_mwh[row].copy(), flex.shift_mw, flex.return_mw, flex.curtail_mw, flex.share,
                left == 1, flex.window, flex.rolling, flex.shift_price, flex.curtail_price,
                self._load.columns,
            ),
        )  # fmt: skip

    def state(self) -> dict[str, Floats]:
        """Live arrays; see `Resource.state`."""
        return {**super().state(), "owed": self.owed_mwh, "left": self.left}
