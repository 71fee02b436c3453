"""The one transition that every face of the environment shows: a batch of independent feeders, one step.

Timeline of a step: at decision time *t* the observation shows the grid state solved at the end of interval
*t - 1*, and what the level of observation knows of interval *t*; the action acts during interval *t*; the
reward is for interval *t*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cases import Feeder
from ...cases.profiles import Profiles
from ...physics import Network, Network3
from ...physics.solved_grid import PowerFlow, SolvedGrid
from ..kernels.info_table import CLOCKS, PLAN
from ..kernels.rows import tick_rows
from ..resources import Fleet
from ..resources.row_states import check_rows, put_rows, rows_of
from ..tasks import StepView, Task, WorstCase
from ..tasks.term_lines import TermLines
from .aside import Aside
from .ending import Ending
from .episode_draws import EpisodeDraws
from .forecasts import Forecasts
from .ladder import PLAIN, Observed
from .ledger import Ledger, kept
from .load_source import LoadSource, fill_checked, shipped
from .observer import Observer, context_of
from .opening import FEW_ROWS, MANY_ROWS, Opening
from .outcome import Outcome
from .power_flow import solved_grid
from .randomise import Randomisation
from .settling import runs, settling_of
from .terms import (
    CHARGED_COLUMNS,
    FAILURE,
    bounded,
    checked_costs,
    checked_terms,
    cost_bound,
    is_live,
    is_own,
    named,
    own_costs,
    priced,
    with_resources,
)
from .time_axis import goes_round
from .unserved import UNSERVED, Unserved
from .worst import worst_case

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Grid:
    """A feeder with its fleet, loads and task, for ``batch`` independent rows.

    Knows no Gymnasium: faces call :meth:`reset`, :meth:`step`, :meth:`observe` and read ``stepper`` and
    ``fleet`` for their info. Rows never influence each other. ``like``: a grid of the same scenario, whose
    tables and names are taken over. ``max_steps``: episodes are cut there, if the task's are longer.
    ``observed``: what is shown, and how it is measured. ``forecasts``: what is known ahead, None: the truth.
    ``power_flow``: what solves the rows, None: the package's own. ``randomise``: what episodes draw.

    Interval t of the load is interval t of the profiles: sun, prices, sessions and clock are those of then.
    """

    def __init__(
        self,
        net: Network | Network3,
        fleet: Fleet,
        load: LoadSource,
        task: Task,
        profiles: Profiles,
        batch: int = 1,
        like: Grid | None = None,
        max_steps: int | None = None,
        power_flow: PowerFlow | None = None,
        observed: Observed = PLAIN,
        forecasts: Forecasts | None = None,
        randomise: Randomisation | None = None,
    ) -> None:
        self.net, self.fleet, self.load, self.task = net, fleet, load, task
        self.profiles, self.batch, self.dt_h = profiles, batch, profiles.dt_h
        self.stepper: SolvedGrid = solved_grid(
            net, batch, fleet, task, None if like is None else like.stepper, power_flow
        )
        fleet.bind(batch, self.dt_h, profiles, self.stepper)
        self.draws = EpisodeDraws(batch, randomise, self.stepper)
        self._unserved = Unserved(self.stepper, fleet)
        if like is None:
            known = Forecasts(load, profiles, None) if forecasts is None else forecasts
            self.observer, self.worst = self._described(observed, known)
        else:
            self.observer, self.worst = like.observer.of(fleet, self.stepper), like.worst
        self.worst_reward, self.worst_cost = bounded(task, self.worst), cost_bound(task, self.worst)
        steps = task.episode.steps(self.dt_h)
        self._episode_steps, self._steps_per_day = min(steps, max_steps or steps), profiles.steps_per_day
        self._own_terms, self._shipped_load = is_own(task), shipped(load)
        #: Names of the terms of the reward and of the costs; known from the first reset on.
        self.names: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self.zeros = np.zeros(batch)
        self.zeros.setflags(write=False)
        self._view = StepView(self.stepper, fleet, self.zeros, self.dt_h)
        ending = Ending(task, self.stepper, self._view)
        self.aside = Aside(steps, max_steps, goes_round(profiles, load), ending, settling_of(fleet))
        self._closes = self.observer.measures or ending.ends
        made = (task, profiles, fleet, self.stepper, self._view, self.draws)
        self.ledger = Ledger(*made) if kept(task) else None
        #: A year goes round; a load of fewer days holds at its ends.
        self._own_costs, self._ring = own_costs(task), profiles.n_steps
        self._random_load = self.observer.random_load
        self._now = np.zeros(batch, dtype=np.int64)
        #: (clocks, batch) in the order of `info_table.CLOCKS`.
        self.clocks = np.zeros((len(CLOCKS), batch), dtype=np.int64)
        self._terminated, self._truncated = (np.zeros(batch, dtype=np.bool_) for _ in range(2))
        self._look_anew()

    @property
    def row_key(self) -> NDArray[np.uint64]:
        """(batch,) of each episode: what draws of meters and forecasts depend on; 0 where nothing draws."""
        return self.observer.row_key

    @property
    def feeder(self) -> Feeder:
        """The feeder, as its tables have it."""
        return self.net.feeder

    def _described(self, observed: Observed, forecasts: Forecasts) -> tuple[Observer, WorstCase]:
        """What is observed and how bad it can get; the same for every grid of a scenario."""
        stepper, fleet, s_mva, draws = self.stepper, self.fleet, self.load.s_max_mva, self.draws
        state = stepper.bounds(s_mva, fleet.s_mva_by_column())
        context = context_of(fleet, stepper, self.profiles, forecasts, state, s_mva, draws)
        observer = Observer(self.task.blocks, context, fleet, stepper, observed)
        worst = worst_case(
            stepper, state, fleet, self.load, self._unserved, self.feeder, self.dt_h,
            draws.of_profiles(self.profiles), self.task.signal,
        )  # fmt: skip
        return observer, worst

    def reset(self, rows: IntArray, starts: IntArray, rngs: Sequence[np.random.Generator]) -> None:
        """Start the given rows at intervals ``starts``, from the grid as it was one interval before.

        The other rows stay as they are, and what this takes is in proportion to ``rows``. Before the first
        day of a load that is no whole year nothing is known: its first interval stands for the one before.
        """
        days, now = starts // self._steps_per_day, starts
        self.day[rows], self.step_index[rows], self.t_index[rows] = days, 0, now
        before = (now - 1) % self._ring if self.aside.goes_round else np.maximum(now - 1, 0)
        few = rows.size <= FEW_ROWS
        opening = self.aside.openings.get(few)
        if opening is None:
            most = min(self.batch, FEW_ROWS if few else MANY_ROWS)
            opening = self.aside.openings[few] = Opening(self.fleet, self.stepper, self.profiles, most)
        self.draws.begin(rows, rngs)

        def loads(part: slice) -> None:
            if self.load.n_random:
                self._random_load[rows[part]] = self.load.checked_draws(rngs[part], days[part])
            self._fill_loads(rows[part], before[part])

        opening.begin(self.fleet, self.stepper, rows, rngs, before, loads, starts, self.ledger)
        for lo, hi in runs(rows):
            self.stepper.solve(lo=lo, hi=hi)
        opening.settle(self.fleet, self.stepper)
        self.aside.ending.begin(self.stepper, rows)
        self.observer.keep_loads(rows)
        np.remainder(self.t_index, self._ring, out=self._now)
        self._fill_loads(rows, now)
        self.observer.begin(rows, rngs, self._now, self.task.signal is not None)
        if self.ledger is not None:
            self.ledger.ask(rows, starts, self.row_key[rows], self.load, self._random_load[rows])
        if self.names is None:
            self.names = self._named(opening.charged(self.fleet))

    def _named(self, charged: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names that each step will bring, the same in every one: infos have them from the start."""
        with np.errstate(all="ignore"):  # rows that nobody has begun yet hold no numbers
            rewards = self.task.terms(self._view)
        if self._own_terms:
            checked_terms(self.task, rewards, self.batch, np.ones(self.batch, dtype=np.bool_))
        costs = with_resources(self._charges.copy(), dict.fromkeys(charged, self.zeros))
        costs |= dict.fromkeys(self._own_costs.names, self.zeros)
        return named(self.task, rewards), named(self.task, costs)

    def reward_names(self) -> tuple[str, ...]:
        """Names of the terms of the reward, before the first reset too."""
        if self.names is not None:
            return self.names[0]
        with np.errstate(all="ignore"):
            return named(self.task, self.task.terms(self._view))

    def step(self, action: FloatArray) -> Outcome:
        """Advance every row by one interval; ``action`` (batch, n_actions) is finite and in [-1, 1]."""
        stepper, fleet, view, zeros = self.stepper, self.fleet, self._view, self.zeros
        fleet.advance(action, self._now, stepper.port_v_pu, stepper.load_p_mw)
        self._solve()
        resource_costs = fleet.costs()
        lost = self._accounted(view, resource_costs)
        if self._own_terms:
            rewards, earned, charged = self.task.terms(view), zeros, None
        else:
            lines = self._lines.read(view)
            rewards, earned, charged = dict(zip(self._lines.names, lines, strict=False)), lines[-2], lines[-1]
        costs = self._charges.copy()
        if resource_costs:
            costs, charged = with_resources(costs, resource_costs), None
        own = self._own_costs.of(view) if self._own_costs.each else None
        any_failed = tick_rows(
            stepper.status, self._episode_steps, self._ring, self._steps_per_day, self.step_index,
            self.t_index, self.day, self._now, self._terminated, self._truncated,
        )  # fmt: skip
        if self._own_terms:
            rewards = checked_terms(
                self.task, rewards, self.batch, self._terminated, self.names, self.aside.first_row
            )
            earned = self._total(rewards)
        if own:
            costs |= checked_costs(self.task, own, self.batch, self._terminated)
            charged = None
        rewards[UNSERVED], costs[UNSERVED] = zeros, lost
        if lost is not zeros:
            rewards[UNSERVED] = -self.task.unserved_weight * lost
            earned, charged = earned + rewards[UNSERVED], None
        if any_failed:
            failed, task = self._terminated, self.task
            left = (self.aside.episode_steps - self.step_index + 1).astype(np.float64)
            if self.aside.max_steps is not None:  # it cuts what has failed, too, as Gymnasium's does
                self._truncated |= self.step_index >= self.aside.max_steps
            rewards = priced(rewards, FAILURE, failed, task.failure_price, -1.0, self.worst_reward * left)
            costs = priced(costs, FAILURE, failed, task.failure_cost, 1.0, self.worst_cost * left)
            earned, charged = self._total(rewards), None
        else:
            rewards[FAILURE] = costs[FAILURE] = zeros
        self.observer.keep_loads()
        self._fill(self._now, self._random_load, stepper.load_p_mw, stepper.load_q_mvar)
        if self._closes:
            self._close()
        return Outcome(
            earned, rewards, costs, self._total(costs) if charged is None else charged, resource_costs, lost,
            self._terminated, self._truncated,
        )  # fmt: skip

    def _close(self) -> None:
        """What few environments have: meters to be read, a task that ends episodes."""
        if self.observer.measures:
            self.observer.read(self._now)
        self.aside.ending.close(self._terminated, self._truncated, self.step_index, self.aside.max_steps)

    def _accounted(self, view: StepView, resource_costs: Mapping[str, FloatArray]) -> FloatArray:
        """Complete what tasks read of the solved interval; returns the load in MW that was not supplied."""
        view.resource_cost = self._total(resource_costs) if resource_costs else self.zeros
        possible = self._unserved.possible
        view.unserved_mw = self._unserved.mw(self.stepper, self.fleet) if possible else self.zeros
        if self.ledger is not None:
            self.ledger.close_interval(self._now, self.step_index)
        return view.unserved_mw

    def _total(self, terms: Mapping[str, FloatArray]) -> FloatArray:
        """The sum of all terms, a fresh array."""
        total = None
        for value in terms.values():
            if value is not self.zeros:
                total = value.copy() if total is None else total + value
        return self.zeros.copy() if total is None else total

    def _live_charges(self) -> dict[str, FloatArray]:
        """What the task charges, as live arrays; the cost of resources is a new array in each step."""
        measured = {name: self.stepper.measured[:, column] for name, column in CHARGED_COLUMNS.items()}
        known = measured | {"resource": self.zeros}
        return {term.name: known[term.name] for term in self.task.cost_terms if is_live(term)}

    def __getstate__(self) -> dict[str, Any]:
        """A copy opens its episodes by itself."""
        return {**self.__dict__, "aside": replace(self.aside, openings={})}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In a copy, what were live views of the stepper have become arrays of their own: look anew."""
        self.__dict__.update(state)
        self._look_anew()

    def _look_anew(self) -> None:
        """Views of arrays that live as long as the grid."""
        stepper = self.stepper
        self.day, self.step_index, self.t_index = self.clocks
        self._charges = self._live_charges()
        columns = [CHARGED_COLUMNS[name] for name in self._charges if name in CHARGED_COLUMNS]
        self._lines = TermLines(self.task.reward_terms, columns, stepper, self.fleet, self._view.entries)
        if self.ledger is not None:
            self.ledger.look_anew(self.fleet, stepper)
        self.observer.remember(self.ledger, self.step_index, self.draws)
        #: How each table of an info is read: what fills it, from which results.
        self.info_places = tuple(
            (getattr(stepper.info_columns, key).filled, getattr(stepper, name)) for key, name in PLAN.places
        )

    def observe(self, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """(batch, n_obs) for the decision about interval ``t_index``; a fresh array, or ``out`` filled."""
        return self.observer.observe(self._now, out)

    def _live(self) -> dict[str, NDArray[Any]]:
        """Arrays that the future depends on, beside those of the fleet."""
        own = {name: getattr(self, name) for name in ("t_index", "step_index", "day")}
        own |= self.aside.ending.state() | ({} if self.ledger is None else self.ledger.state())
        own |= self.draws.state()
        return {**self.stepper.state(), **own, "random_load": self._random_load, **self.observer.state()}

    def state(self, rows: IntArray | None = None) -> dict[str, Any]:
        """Copies of everything that the future of ``rows`` (None: all) depends on, batch first."""
        return {"fleet": self.fleet.state(rows), "grid": rows_of(self._live(), rows), "names": self.names}

    def check_state(self, state: Mapping[str, Any], n: int) -> None:
        """ValueError where a state belongs to another grid, or has neither one row nor ``n``."""
        check_rows(self._live(), state["grid"], n, "feeder")
        self.fleet.check_state(state["fleet"], n)

    def load_state(self, state: Mapping[str, Any], rows: IntArray | None = None) -> None:
        """Restore what :meth:`state` returned, bit for bit, in ``rows`` (None: all).

        A state of one row goes to each of them. ValueError where it belongs to another grid or to other rows.
        """
        every = np.arange(self.batch) if rows is None else rows
        self.check_state(state, every.size)
        self.fleet.load_state(state["fleet"], rows)
        put_rows(self._live(), state["grid"], rows)
        self.names = state["names"]
        # Loads of the interval that is decided next: observed now, solved with in the next step.
        np.remainder(self.t_index, self._ring, out=self._now)
        self._fill_loads(every, self._now[every])

    def steps_left(self, row: int) -> int:
        """Intervals until the episode of ``row`` is over."""
        return int(self._episode_steps - self.step_index[row])

    def intervals(self, start: int, horizon: int) -> IntArray:
        """(horizon,) rows of the profiles from ``start`` on; ValueError where the data have none of them."""
        t_index, end = start + np.arange(horizon), self.load.calendar.n_steps
        if horizon < 1 or start < 0 or (t_index[-1] >= end and not self.aside.goes_round):
            raise ValueError(
                f"a window of {horizon} intervals from {start} on: expected 1 or more of 0..{end - 1}"
            )
        return np.asarray(t_index % self._ring)

    def loads(self, t_index: IntArray, row: int) -> tuple[FloatArray, FloatArray]:
        """(horizon, load points) MW and MVAr of the intervals, as ``row`` meets them."""
        p, q = (np.empty((t_index.size, self.stepper.load_p_mw.shape[1])) for _ in range(2))
        self._fill(t_index, np.repeat(self._random_load[row : row + 1], t_index.size, axis=0), p, q)
        return p, q

    def _fill_loads(self, rows: IntArray, t_index: IntArray) -> None:
        """Loads of interval ``t_index`` (one per entry of ``rows``) in these rows alone."""
        stepper = self.stepper
        if rows.size == self.batch:
            self._fill(t_index, self._random_load, stepper.load_p_mw, stepper.load_q_mvar)
            return
        p, q = (np.empty((rows.size, stepper.load_p_mw.shape[1])) for _ in range(2))
        self._fill(t_index, self._random_load[rows], p, q)
        stepper.load_p_mw[rows], stepper.load_q_mvar[rows] = p, q

    def _fill(self, t_index: IntArray, random: FloatArray, p_mw: FloatArray, q_mvar: FloatArray) -> None:
        """Loads of the intervals ``t_index``; a source of the user's own is looked after."""
        if self._shipped_load is not None:
            self._shipped_load.fill_rows(t_index, p_mw, q_mvar)
        else:
            fill_checked(self.load, t_index, random, p_mw, q_mvar)

    def _solve(self) -> None:
        """Every row with what the fleet delivers, and as that answers to the voltages found."""
        self._inject()
        self.stepper.solve()
        if self.aside.settling is not None:
            self.aside.settling.run(self.stepper, self._inject)

    def _inject(self) -> None:
        """What the fleet delivers, where the power flow looks for it."""
        stepper = self.stepper
        stepper.inject_p_mw.fill(0.0)
        stepper.inject_q_mvar.fill(0.0)
        self.fleet.inject(stepper.inject_p_mw, stepper.inject_q_mvar)
        if self.fleet.moving:
            self.fleet.apply(stepper)
