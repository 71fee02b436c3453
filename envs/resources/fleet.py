"""The fleet: all resources behind one action vector, one observation slice, one order of units."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..kernels.devices import scatter_add
from .accounts import Accounts
from .base import (
    ActionDim,
    BindContext,
    Entry,
    Exogenous,
    Floats,
    Ints,
    ProfileData,
    Resource,
    ResourceSpec,
    UnitInfo,
)
from .class_names import ships
from .outlook import Outlook
from .placement import (
    action_dims,
    assign_names,
    group,
    node_rows,
    observation_blocks,
    ports_of,
    program_keys,
    unit_infos,
)
from .present_load import PresentLoad
from .program_checks import charges, check_bound, check_costs
from .row_states import check_rows, put_rows, rows_of
from .settling import SettlingResource
from .slots import Kept, Slot
from .switched import SwitchedDevice
from .times import COMING

if TYPE_CHECKING:
    from ...cases import Feeder
    from ...physics.solved_grid import SolvedGrid


class Fleet:
    """Resources of one environment, advanced together for every row of a batch.

    `resources`: specs (`Battery`, `PV`) and instances of your own `Resource`. Specs of one class become
    one array program, in order of first appearance; an own instance is copied and is its own program, so
    that the same list may serve many environments. Unit order: program by program, units within in the
    order given.

    `feeder`: where the buses are. `obs_offset`: column of the flat observation where the fleet's slice
    starts, for `UnitInfo.observation`.

    Raises ValueError for an unknown bus, a phase that the bus lacks, a name used twice.
    """

    def __init__(
        self, resources: Sequence[ResourceSpec | Resource], feeder: Feeder, obs_offset: int = 0
    ) -> None:
        self.feeder = feeder
        # An own instance may be changed by its owner later on: what is made again is made of a copy.
        if not isinstance(resources, Kept):
            resources = Kept(copy.deepcopy(r) if isinstance(r, Resource) else r for r in resources)
        self._made_of = (resources, obs_offset)
        self.programs: tuple[Resource, ...] = group(resources)
        for program in self.programs:
            program.locate(feeder)
        self.n_units = sum(p.n_units for p in self.programs)
        assign_names(self.programs)
        self.node_rows: Ints = node_rows(self.programs, feeder)
        self.names: tuple[str, ...] = tuple(n for p in self.programs for n in p.names)
        self.buses: tuple[str, ...] = tuple(b for p in self.programs for b in p.buses)
        self.phases: tuple[str, ...] = tuple(ph for p in self.programs for ph in p.phases)
        self.max_apparent_mva: Floats = (
            np.concatenate([p.s_mva for p in self.programs]) if self.programs else np.zeros(0)
        )
        self.ports, self.columns = ports_of(self.node_rows, self.phases, feeder)
        self._keys = program_keys(self.programs)
        self.action_dims: tuple[ActionDim, ...] = action_dims(self.programs)
        self.observation_entries: tuple[Entry, ...] = tuple(
            e for p in self.programs for e in p.observation_spec
        )
        self.n_actions = len(self.action_dims)
        self.n_observations = len(self.observation_entries)
        neutral = [np.asarray(p.neutral_action, dtype=np.float64) for p in self.programs]
        self.neutral_action: Floats = np.concatenate(neutral) if neutral else np.zeros(0)
        if self.neutral_action.shape != (self.n_actions,):
            raise ValueError(
                f"neutral actions have {self.neutral_action.size} entries for {self.n_actions} action "
                "dimensions; a resource's neutral_action must have one entry per action name"
            )
        self.observation_blocks: Mapping[str, slice] = observation_blocks(self._keys, self.programs)
        self._units = unit_infos(
            self.programs, self.node_rows, self.action_dims, self.observation_entries, obs_offset
        )
        self._slots: list[Slot] = []
        self._charging: list[Slot] = []  # those whose programs have costs
        self._own_accounts: dict[int, dict[str, float]] = {}

    def again(self) -> Fleet:
        """Another fleet of the same resources, not bound yet."""
        return Fleet(self._made_of[0], self.feeder, self._made_of[1])

    def observe_from(self, column: int) -> None:
        """The fleet's slice of the flat observation begins at `column`."""
        if column != self._made_of[1]:
            self._made_of = (self._made_of[0], column)
            of = (self.programs, self.node_rows, self.action_dims, self.observation_entries)
            self._units = unit_infos(*of, column)

    @property
    def own(self) -> bool:
        """Whether any program is the user's own: what it depends on may be more than its ``state`` lists."""
        return any(not ships(type(program)) for program in self.programs)

    def units(self, kind: str | None = None) -> tuple[UnitInfo, ...]:
        """Units of one kind ("battery", "pv", your own), or all, in unit order."""
        return tuple(u for u in self._units if kind is None or u.kind == kind)

    @property
    def n_columns(self) -> int:
        """Columns of injections: nodes of a balanced feeder, ports of a per-phase one."""
        phased = self.feeder.phases == "per-phase"
        return len(self.ports) if phased else len(self.feeder.node_index)

    def s_mva_by_column(self) -> Floats:
        """(n_columns,) the most apparent power that all units there together can inject or draw, MVA."""
        total = np.zeros(self.n_columns)
        np.add.at(total, self.columns, self.max_apparent_mva)
        return total

    @property
    def max_cost_per_step(self) -> float:
        """The most that `costs` can add up to in one row and one interval."""
        return float(sum(p.max_cost_per_step for p in self.programs))

    # -- running ---------------------------------------------------------------------------------------------

    @functools.cached_property
    def uses_load(self) -> bool:
        """Whether any program reads the load at its buses."""
        return any(program.uses_load for program in self.programs)

    def bind(
        self, batch: int, dt_h: float, profiles: ProfileData | None, grid: SolvedGrid | None = None
    ) -> None:
        """Allocate for `batch` rows and steps of `dt_h` hours; call before `reset`.

        `grid`: whose load the resources meet; needed only where one reads it.
        """
        self.batch, self._shape = batch, (batch,)
        self._room = (batch, self.n_columns)  # of injections
        self.delivered_p_mw: Floats = np.zeros((batch, self.n_units))  # positive when injecting
        self.delivered_q_mvar: Floats = np.zeros((batch, self.n_units))
        self._action: Floats = np.zeros((batch, self.n_actions))
        self._observed, self._before = (np.zeros((batch, self.n_observations)) for _ in range(2))
        self._slots = []
        #: What units did, kept, missed or cost in the last interval: (batch, n_units) by account.
        self.accounts = Accounts(batch, [p.n_units for p in self.programs], [p.writes for p in self.programs])
        unit = act = obs = 0
        for key, program in zip(self._keys, self.programs, strict=True):
            n_act, n_obs = len(program.action_names), len(program.observation_spec)
            units, actions = slice(unit, unit + program.n_units), slice(act, act + n_act)
            observations = slice(obs, obs + n_obs)
            p, q = self.delivered_p_mw[:, units], self.delivered_q_mvar[:, units]
            own = self.accounts.of(len(self._slots))
            load = self._load_of(program, grid)
            program.bind(
                BindContext(batch, dt_h, profiles, self.feeder, self.node_rows[units], p, q, own, load)
            )
            check_bound(program, batch)
            slot = Slot(
                key, program, units, actions, observations,
                Exogenous(
                    np.zeros(batch, dtype=np.int64), dt_h, np.ones((batch, program.n_units)),
                    np.zeros((batch, program.n_units if program.uses_load else 0)),
                ),
                self._action[:, actions], p, q,
                self._observed[:, observations],
                np.flatnonzero([entry.time == COMING for entry in program.observation_spec]), load=load,
            )  # fmt: skip
            self._slots.append(slot)
            unit, act, obs = units.stop, act + n_act, obs + n_obs
        self._charging = [s for s in self._slots if charges(s.program)]
        self._own_accounts = {  # bounds of what the user's own code writes
            k: {name: p.most_of(name, dt_h) for name in p.writes}
            for k, p in enumerate(self.programs) if p.writes and not ships(type(p))
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In a copy of a fleet, columns of its arrays have become arrays of their own: look anew."""
        self.__dict__.update(state)
        for k, slot in enumerate(self._slots):
            slot.program.accounts = self.accounts.of(k)
            slot.action, slot.observed = self._action[:, slot.actions], self._observed[:, slot.observations]
            slot.p_mw, slot.q_mvar = self.delivered_p_mw[:, slot.units], self.delivered_q_mvar[:, slot.units]

    def reset(self, rows: Ints, rngs: Sequence[np.random.Generator]) -> None:
        """New episodes in `rows`, one generator per entry of `rows`; the other rows are left alone."""
        for slot in self._slots:
            slot.program.reset(rows, rngs)
        self._collect()

    def _load_of(self, program: Resource, grid: SolvedGrid | None) -> PresentLoad | None:
        if not program.uses_load:
            return None
        if grid is None:
            raise ValueError(f"resource {program.names[0]} reads the load at its bus: bind it with a grid")
        per_phase = self.feeder.phases == "per-phase"
        return PresentLoad(program.buses, program.phases, grid.names.load, per_phase)

    def advance(
        self, action: ArrayLike, t_index: Ints, v_pu: Floats | None = None, load_p_mw: Floats | None = None
    ) -> None:
        """Act for one interval.

        `action` (batch, n_actions) in [-1, 1]; `t_index` (batch,) int64, the interval's row of the
        profiles; `v_pu` (batch, n_nodes or n_ports), voltages at the end of the previous interval, and
        `load_p_mw` (batch, loads of the grid), loads during this one (both needed only when a resource reads
        them). What flowed is then in `delivered_p_mw` and `delivered_q_mvar`.
        The caller has validated the action.
        """
        np.copyto(self._action, action)
        if t_index.shape != self._shape:
            raise ValueError(f"t_index has shape {t_index.shape}, expected {self._shape}, one for each row")
        for slot in self._slots:
            program, exo = slot.program, slot.exo
            exo.t_index = t_index
            if program.uses_voltage:
                if v_pu is None:
                    raise ValueError(
                        f"resource {program.names[0]} reads voltages: pass v_pu (batch, n_nodes)"
                    )
                np.take(v_pu, self.columns[slot.units], axis=1, out=exo.v_pu, mode="clip")
            if slot.load is not None:
                if load_p_mw is None:
                    raise ValueError(f"resource {program.names[0]} reads the load: pass load_p_mw")
                slot.load.fill(load_p_mw, exo.load_mw)
            program.advance(slot.action, exo)
        if self._own_accounts:
            for k, bounds in self._own_accounts.items():
                self.accounts.take(k, self.programs[k], bounds)
        self._collect()

    def add_injections(self, p_node: Floats, q_node: Floats) -> None:
        """Add what was delivered, MW and MVAr (injecting: +), to arrays (batch, n_nodes or n_ports)."""
        if p_node.shape != self._room or q_node.shape != self._room:
            raise ValueError(
                f"injections need arrays of shape {self._room}, got {p_node.shape}, {q_node.shape}"
            )
        self.inject(p_node, q_node)

    def inject(self, p_node: Floats, q_node: Floats) -> None:
        """As `add_injections`, to arrays that are known to fit."""
        if self.n_units:
            scatter_add(self.delivered_p_mw, self.delivered_q_mvar, self.columns, p_node, q_node)

    @functools.cached_property
    def moving(self) -> tuple[Resource, ...]:
        """Programs that move something of the grid."""
        return tuple(p for p in self.programs if type(p).apply is not Resource.apply)

    @functools.cached_property
    def settling(self) -> tuple[tuple[SettlingResource, slice], ...]:
        """Programs that control by voltage within an interval, and their units."""
        ends = np.cumsum([p.n_units for p in self.programs]).tolist()
        return tuple(
            (p, slice(end - p.n_units, end))
            for p, end in zip(self.programs, ends, strict=True)
            if isinstance(p, SettlingResource)
        )

    def apply(self, grid: SolvedGrid) -> None:
        """What was moved, into the settings of every row of `grid`."""
        for program in self.moving:
            program.apply(grid)

    @functools.cached_property
    def switched_devices(self) -> tuple[SwitchedDevice, ...]:
        """Programs that move taps or banks instead of injecting."""
        return tuple(p for p in self.programs if isinstance(p, SwitchedDevice))

    def delivered(self, row: int) -> dict[str, Floats]:
        """What `row` really got: power of every unit, positions of what moves; copies.

        Where any device settles within an interval, `unsettled` (n_units,) is 1.0 for each that did not.
        """
        found = {"p_mw": self.delivered_p_mw[row].copy(), "q_mvar": self.delivered_q_mvar[row].copy()}
        for device in self.switched_devices:
            found[device.info_name] = device.position[row].copy()
        if self.settling:
            found["unsettled"] = self.accounts["unsettled"][row].copy()
        return found

    def observe(self, t_index: Ints, t_last: Ints | None = None) -> Floats:
        """(batch, n_observations), as known when interval `t_index` (batch,) is decided.

        With `t_last` (batch,) what entries of the time `COMING` show is of that interval, the one before. The
        array is the fleet's own: the next call fills it anew.
        """
        if t_index.shape != self._shape:
            raise ValueError(f"t_index has shape {t_index.shape}, expected {self._shape}, one for each row")
        for slot in self._slots:
            coming = slot.coming.size
            if t_last is None or coming < slot.observed.shape[1]:
                slot.program.observe(t_index, slot.observed)
            elif coming:
                slot.program.observe(t_last, slot.observed)
            if t_last is not None and 0 < coming < slot.observed.shape[1]:
                self._observe_last(slot, t_last)
        return self._observed

    def _observe_last(self, slot: Slot, t_last: Ints) -> None:
        """Put what the device would show of `t_last` into the columns of the time `COMING`."""
        before = self._before[:, slot.observations]
        slot.program.observe(t_last, before)
        slot.observed[:, slot.coming] = before[:, slot.coming]

    def costs(self) -> dict[str, Floats]:
        """Costs of the last interval by name ("kind.cost"), each (batch,) and >= 0."""
        costs: dict[str, Floats] = {}
        for slot in self._charging:
            own = slot.program.costs()
            if slot.charged is None:
                slot.charged = tuple(own)
            if tuple(own) != slot.charged:
                raise ValueError(
                    f"{type(slot.program).__name__}: costs must have the same names in every step: "
                    f"{', '.join(slot.charged) or 'none'} at first, now {', '.join(own) or 'none'}"
                )
            if own:
                check_costs(slot.program, own)
                costs |= {f"{slot.key}.{name}": value for name, value in own.items()}
        return costs

    def most_of(self, account: str, dt_h: float) -> float:
        """The most that an account can add up to in one row and one interval of `dt_h` hours."""
        return float(sum(program.most_of(account, dt_h) for program in self.programs))

    def _live(self) -> dict[str, Floats]:
        return {f"{s.key}.{name}": array for s in self._slots for name, array in s.program.state().items()}

    def state(self, rows: Ints | None = None) -> dict[str, Floats]:
        """Copies of `rows` (None: all) of every state array, by "kind.array"."""
        return rows_of(self._live(), rows)

    def check_state(self, state: Mapping[str, Floats], n: int) -> None:
        """ValueError when `state` is of another fleet, or neither of one row nor of `n`."""
        check_rows(self._live(), state, n, "fleet")

    def load_state(self, state: Mapping[str, Floats], rows: Ints | None = None) -> None:
        """Restore what `state` returned, exactly, in `rows` (None: all); one row of it goes to each."""
        self.check_state(state, self.batch if rows is None else rows.size)
        put_rows(self._live(), state, rows)
        self._collect()

    def outlooks(
        self, t_index: Ints, row: int, now: int, weather: Mapping[str, Floats] | None = None
    ) -> dict[str, Outlook]:
        """What every program says of the intervals `t_index`; see `Resource.outlook`.

        `weather`: forecasts by name, of which each program takes those that it names in `foretold`.
        """
        known = weather or {}
        return {
            slot.key: slot.program.outlook(t_index, row, now, known.get(slot.program.foretold))
            for slot in self._slots
        }

    def expect(self, other: Fleet) -> None:
        """Costs must have the names that they have in another fleet of the same resources."""
        for mine, theirs in zip(self._slots, other._slots, strict=True):
            mine.charged = theirs.charged

    def take_rows(self, other: Fleet, where: slice | Ints, n: int) -> None:
        """Take the state of the ``n`` rows ``where`` of an equal fleet into the first rows of this one."""
        for mine, theirs in zip(self._slots, other._slots, strict=True):
            own = mine.program.state()
            for name, array in theirs.program.state().items():
                own[name][:n] = array[where]

    def _collect(self) -> None:
        """Take over what a program did not write where it was told to."""
        for slot in self._slots:
            p, q = slot.program.current_p_mw, slot.program.current_q_mvar
            if p is not slot.p_mw:
                slot.p_mw[:] = p
            if q is not slot.q_mvar:
                slot.q_mvar[:] = q
