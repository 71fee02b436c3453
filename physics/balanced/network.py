"""A feeder compiled for the sweep: flat arrays in per unit, and the tree of its present switch states."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from ...cases.model.feeder import Feeder
from ..flags import IslandWarning, MeshWarning
from .adjustment import Adjustment, RowGroup
from .branch_flows import Ends, ends_of, squared
from .feeder_inputs import check_phases, regulator_columns, rows_of_ids, voltage_dependent_loads
from .held_voltages import Held, held_columns, held_of
from .kernels.solve_rows import Workspace
from .loops import Loops, close_loops
from .mesh_adjoint import MeshAdjoint
from .parallel_branches import (
    Bundles,
    Merged,
    ParallelError,
    merge,
    parallel_groups,
    twins_of,
    with_members,
)
from .plan import SweepPlan, sweep_plan
from .tree import BoolArray, FloatArray, IntArray, Tree, spanning_order

_VARIANTS_KEPT = 256


@dataclass(frozen=True, eq=False)
class SweepTopology:
    """One combination of switch, tap and capacitor states, ready for the kernel."""

    tree: Tree
    plan: SweepPlan  # the same as the sweeps read it
    ends: Ends  # what turns voltages and currents into the flows of every branch
    energised: BoolArray  # (n_bus,)
    in_tree: BoolArray  # (n_branch,) branches that carry current: the tree, and loop branches that are kept
    child_is_to: BoolArray  # (n_branch,)
    ratio: NDArray[np.complex128]  # (n_branch,)
    source_rank: IntArray  # (n_source,) row of the sources table for each root, in sweep order
    dropped: IntArray  # branch rows left out because they close loops
    loops: Loops | None  # loop branches that are kept; None where there is none
    bundles: Bundles | None  # parallel branches that the tree takes for one
    bundle_y: NDArray[np.complex128]  # (n_bus,) admittance to ground that stands for unequal ratios in them
    held: Held | None  # nodes whose voltage a generator holds; None where no source reaches one
    plain: bool  # the sweep alone solves it: no loops, bundles or held voltages
    # Kernels of a single row with room of their own, lent to calls, and how taps and banks of each row act.
    lone_rows: list[Callable[..., None]] = field(default_factory=list, repr=False)
    lone_adjoints: list[Callable[..., None]] = field(default_factory=list, repr=False)
    adjustments: dict[tuple[bytes, bytes], Adjustment] = field(default_factory=dict, repr=False)
    rooms: list[Workspace] = field(default_factory=list, repr=False)  # lent to rows with taps of their own
    mesh_adjoints: list[MeshAdjoint] = field(default_factory=list, repr=False)  # at most one, once asked for

    @cached_property
    def whole(self) -> tuple[RowGroup]:
        """All rows, as the feeder has its taps and banks."""
        return (RowGroup(slice(None), self, None),)


@dataclass(frozen=True, eq=False)
class Network:
    """Immutable result of :func:`compile`; every array is in the order of the feeder's tables.

    ``topology`` belongs to the states stored in the feeder; :meth:`variant` gives the one for other states
    and remembers the last few hundred.
    """

    feeder: Feeder
    base_mva: float
    allow_mesh_pruning: bool
    keep_loops: bool
    enforce_q_limits: bool
    base_kv: FloatArray  # (n_bus,)
    from_row: IntArray  # (n_branch,)
    to_row: IntArray  # (n_branch,)
    r_pu: FloatArray
    x_pu: FloatArray
    b_pu: FloatArray
    tap: FloatArray  # (n_branch,) ratios, regulators at their positions included
    shift_deg: FloatArray
    closed: BoolArray
    rating_mva: FloatArray  # (n_branch,) NaN where unrated
    source_node: IntArray  # (n_source,)
    source_v_pu: FloatArray
    source_deg: FloatArray
    switch_branch: IntArray  # (n_switch,) branch row of each switch
    cap_node: IntArray  # (n_cap,)
    cap_mvar: FloatArray
    cap_on: BoolArray
    reg_branch: IntArray  # (n_regulator,) branch row of each regulator
    reg_ratio: FloatArray  # (n_regulator,) ratio of its branch at the neutral position
    reg_gain: FloatArray  # (n_regulator,) 1 + position * step, stored: what it multiplies its to end by
    reg_range: FloatArray  # (n_regulator, 2) lowest and highest
    shunt_g_mw: FloatArray  # (n_bus,)
    shunt_b_mvar: FloatArray
    load_p_mw: FloatArray  # (n_bus,) nominal
    load_q_mvar: FloatArray
    zip_node: IntArray  # (n_zip,) nodes whose load depends on voltage
    zip_coef: FloatArray  # (n_zip, 6)
    held_node: IntArray  # (n_held,) nodes whose voltage generators hold within their reactive limits
    held_v_pu: FloatArray  # (n_held,)
    held_q_min_mvar: FloatArray  # (n_held,) injected, all generators of the node; -inf: no limit
    held_q_max_mvar: FloatArray
    topology: SweepTopology = field(init=False)
    _variants: OrderedDict[bytes, SweepTopology] = field(init=False, repr=False, default_factory=OrderedDict)
    _lock: Lock = field(init=False, repr=False, default_factory=Lock)

    def __post_init__(self) -> None:
        object.__setattr__(self, "topology", self._build(self.closed, self.tap, self.cap_on, warn=True))

    def __getstate__(self) -> dict[str, object]:
        names = ("feeder", "allow_mesh_pruning", "keep_loops", "enforce_q_limits")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, object]) -> None:
        feeder, pruning = state["feeder"], state["allow_mesh_pruning"]
        assert isinstance(feeder, Feeder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", (MeshWarning, IslandWarning))  # said when it was first compiled
            fresh = compile(
                feeder, allow_mesh_pruning=bool(pruning), keep_loops=bool(state["keep_loops"]),
                enforce_q_limits=bool(state["enforce_q_limits"]),
            )  # fmt: skip
        self.__dict__.update(fresh.__dict__)

    @cached_property
    def n_bus(self) -> int:
        """Number of nodes."""
        return int(self.base_kv.size)

    @cached_property
    def n_branch(self) -> int:
        """Number of branches, open ones included."""
        return int(self.from_row.size)

    @cached_property
    def source_phasor(self) -> NDArray[np.complex128]:
        """(n_source,) stored source voltages, complex pu."""
        return np.asarray(self.source_v_pu * np.exp(1j * np.deg2rad(self.source_deg)))

    @cached_property
    def turn(self) -> NDArray[np.complex128]:
        """(n_branch,) direction of each branch's complex ratio."""
        return np.where(self.shift_deg == 0.0, 1.0 + 0j, np.exp(1j * np.deg2rad(self.shift_deg)))

    @cached_property
    def cap_susceptance(self) -> FloatArray:
        """(n_cap,) pu, of each bank that is on."""
        return np.asarray((1j * self.cap_mvar / self.base_mva).imag)

    @cached_property
    def fixed_admittance(self) -> NDArray[np.complex128]:
        """(n_bus,) pu to ground at every node, of shunts alone."""
        return np.asarray((self.shunt_g_mw + 1j * self.shunt_b_mvar) / self.base_mva)

    @cached_property
    def n_source(self) -> int:
        """Number of sources."""
        return int(self.source_node.size)

    @cached_property
    def source_row(self) -> NDArray[np.complex128]:
        """(1, n_source) the same as a row for the kernel, which takes no read-only arrays."""
        return self.source_phasor[None].copy()

    @cached_property
    def parallel_groups(self) -> tuple[IntArray, ...]:
        """Rows of branches, open ones too, that share both ends with another."""
        return parallel_groups(self.from_row, self.to_row)

    @cached_property
    def nominal_row(self) -> tuple[FloatArray, FloatArray]:
        """Nominal P and Q of the loads as rows (1, n_bus) for the kernel."""
        return self.load_p_mw[None].copy(), self.load_q_mvar[None].copy()

    @property
    def energised(self) -> BoolArray:
        """(n_bus,) True where a source reaches the node."""
        return self.topology.energised

    def variant(self, closed: BoolArray, tap: FloatArray, cap_on: BoolArray) -> SweepTopology:
        """The topology for other branches closed (n_branch,), taps (n_branch,) and banks on (n_cap,)."""
        key = closed.tobytes() + tap.tobytes() + cap_on.tobytes()
        with self._lock:
            if key in self._variants:
                self._variants.move_to_end(key)
                return self._variants[key]
        built = self._build(closed, tap, cap_on, warn=False)
        with self._lock:
            self._variants[key] = built
            if len(self._variants) > _VARIANTS_KEPT:
                self._variants.popitem(last=False)
        return built

    def _build(self, closed: BoolArray, tap: FloatArray, cap_on: BoolArray, *, warn: bool) -> SweepTopology:
        ratio = tap * self.turn
        z_series = self.r_pu + 1j * self.x_pu
        merged = self._merged(closed, ratio, z_series)
        alone = closed if merged is None else closed & merged.alone
        span = spanning_order(self.n_bus, self.from_row, self.to_row, alone, self.source_node)
        twins, cut = twins_of(self.parallel_groups, span.dropped, span.parent_branch, self.n_branch)
        self._check_loops(with_members(cut, merged), span.root_of, warn=warn)
        loop, dropped = (span.dropped, cut[:0]) if self.keep_loops else (twins, with_members(cut, merged))
        if warn and span.order.size < self.n_bus:
            self._warn_islands(span.root_of)
        m = span.order.size
        position = np.full(self.n_bus + 1, -1, dtype=np.int64)  # last entry answers for "no parent"
        position[span.order] = np.arange(m)
        branch = span.parent_branch[span.order]
        fed = branch >= 0
        child_is_to = np.zeros(self.n_branch, dtype=bool)
        child_is_to[branch[fed]] = self.to_row[branch[fed]] == span.order[fed]
        in_tree = np.zeros(self.n_branch, dtype=bool)
        in_tree[branch[fed]] = True
        in_tree[loop] = child_is_to[loop] = True
        seen_ratio, seen_z = (ratio, z_series) if merged is None else (merged.ratio, merged.z)
        alpha = np.ones(m, dtype=np.complex128)
        z = np.zeros(m, dtype=np.complex128)
        rows, forward = branch[fed], child_is_to[branch[fed]]
        impedance = seen_z[rows]
        alpha[fed] = np.where(forward, 1.0 / seen_ratio[rows], seen_ratio[rows])
        z[fed] = np.where(forward, impedance, squared(seen_ratio[rows]) * impedance)
        bundles, bundle_y = self._bundles(merged, in_tree, child_is_to)
        y = self._shunts(in_tree, ratio, cap_on)
        y = (y if bundles is None else y + bundle_y)[span.order]
        live_zip = np.flatnonzero(span.root_of[self.zip_node] >= 0)
        tree = Tree(
            parent=np.where(fed, position[span.parent_node[span.order]], -1),
            order=span.order,
            branch=branch,
            plain=alpha == 1.0,
            a_re=alpha.real.copy(), a_im=alpha.imag.copy(),
            z_re=z.real.copy(), z_im=z.imag.copy(),
            y_re=y.real.copy(), y_im=y.imag.copy(),
            zip_pos=position[self.zip_node[live_zip]],
            zip_coef=self.zip_coef[live_zip],
        )  # fmt: skip
        roots = span.order[~fed]
        rank = np.array([int(np.flatnonzero(self.source_node == r)[0]) for r in roots], dtype=np.int64)
        loops = self._loops(tree, position, loop, seen_ratio, seen_z) if loop.size else None
        held = held_of(self, position[self.held_node])
        return SweepTopology(
            tree, sweep_plan(tree, rank, self.n_bus, self.n_branch),
            ends_of(self.from_row, self.to_row, child_is_to, in_tree, ratio, self.turn, self.b_pu),
            span.root_of >= 0, in_tree, child_is_to, ratio, rank, dropped, loops, bundles, bundle_y, held,
            loops is None and bundles is None and held is None,
        )  # fmt: skip

    def _merged(
        self, closed: BoolArray, ratio: NDArray[np.complex128], z: NDArray[np.complex128]
    ) -> Merged | None:
        """Parallel branches as one; None where there are none."""
        if not self.parallel_groups:
            return None
        try:
            return merge(self.parallel_groups, closed, self.from_row, self.to_row, ratio, z, self.shift_deg)
        except ParallelError as error:
            names = ", ".join(repr(str(e)) for e in self.feeder.column("branches", "branch_id")[error.rows])
            raise ValueError(
                f"feeder {self.feeder.name!r}: how current divides between the parallel branches {names} is "
                f"not defined: {error}; open one of them"
            ) from error

    def _bundles(
        self, merged: Merged | None, in_tree: BoolArray, child_is_to: BoolArray
    ) -> tuple[Bundles | None, NDArray[np.complex128]]:
        """The bundles that carry current, and their admittances; marks their members in both masks."""
        y = np.zeros(self.n_bus, dtype=np.complex128)
        if merged is None or not in_tree[merged.bundles.lead].any():
            return None, y
        live = in_tree[merged.bundles.lead]
        found = Bundles._make(part[live] for part in merged.bundles)
        back = np.where(child_is_to[found.lead], 1.0, -np.conj(merged.ratio[found.lead]))
        leads = np.unique(found.lead)
        np.add.at(y, self.from_row[leads], merged.y_from[leads])
        np.add.at(y, self.to_row[leads], merged.y_to[leads])
        in_tree[found.member] = True
        child_is_to[found.member] = found.same_way
        return found._replace(back=back), y

    def _loops(
        self, tree: Tree, position: IntArray, loop: IntArray, ratio: NDArray[np.complex128],
        z: NDArray[np.complex128],
    ) -> Loops:  # fmt: skip
        """The kept loop branches; ValueError where a loop has no impedance at all."""
        loops = close_loops(
            tree, loop, position[self.from_row[loop]], position[self.to_row[loop]], 1.0 / ratio[loop], z[loop]
        )
        if loops is None:
            names = ", ".join(repr(str(e)) for e in self.feeder.column("branches", "branch_id")[loop])
            raise ValueError(
                f"feeder {self.feeder.name!r}: a loop has no impedance, so how current divides in it is not "
                f"defined; open one of these branches, which close loops: {names}"
            )
        return loops

    def _shunts(
        self, in_tree: BoolArray, ratio: NDArray[np.complex128], cap_on: BoolArray
    ) -> NDArray[np.complex128]:
        """(n_bus,) admittance to ground: shunts, capacitors that are on, half the charging of each branch."""
        y = self.fixed_admittance.copy()
        np.add.at(y, self.cap_node, 1j * np.where(cap_on, self.cap_susceptance, 0.0))
        half = np.where(in_tree, 0.5j * self.b_pu, 0.0)
        np.add.at(y, self.from_row, half / squared(ratio))
        np.add.at(y, self.to_row, half)
        return y

    def _check_loops(self, dropped: IntArray, root_of: IntArray, *, warn: bool) -> None:
        if dropped.size == 0:
            return
        ids = self.feeder.column("branches", "branch_id")
        for e in dropped:
            ends = root_of[self.from_row[e]], root_of[self.to_row[e]]
            if ends[0] != ends[1]:
                raise ValueError(
                    f"branch {ids[e]!r} connects two sources: "
                    "each energised island must have one source; open a switch between them"
                )
        names = ", ".join(repr(str(ids[e])) for e in dropped)
        if self.keep_loops:
            return
        if not self.allow_mesh_pruning:
            raise ValueError(
                f"feeder {self.feeder.name!r} is meshed: these branches close loops: {names}; "
                "open them, pass keep_loops=True to solve them, or allow_mesh_pruning=True to leave them out"
            )
        if warn:
            warnings.warn(
                f"feeder {self.feeder.name!r} is meshed: solved as the breadth-first tree without {names}",
                MeshWarning,
                stacklevel=4,
            )

    def _warn_islands(self, root_of: IntArray) -> None:
        dead = self.feeder.column("nodes", "node_id")[root_of < 0]
        listed = ", ".join(repr(str(n)) for n in dead[:10]) + (" …" if dead.size > 10 else "")
        warnings.warn(
            f"feeder {self.feeder.name!r}: {dead.size} nodes have no source: {listed}; "
            "their voltages are NaN",
            IslandWarning,
            stacklevel=4,
        )


def compile(
    feeder: Feeder,
    *,
    allow_mesh_pruning: bool = True,
    keep_loops: bool = False,
    enforce_q_limits: bool = False,
) -> Network:
    """Compile a balanced feeder; see :func:`distgrid.physics.compile`.

    ValueError where an element is not three-phase.
    """
    column = feeder.column
    check_phases(feeder)
    nodes, coef = voltage_dependent_loads(feeder)
    return Network(
        feeder=feeder,
        base_mva=feeder.base_mva,
        allow_mesh_pruning=allow_mesh_pruning,
        keep_loops=keep_loops,
        enforce_q_limits=enforce_q_limits,
        base_kv=column("nodes", "base_kv"),
        from_row=rows_of_ids(feeder.node_index, column("branches", "from_node")),
        to_row=rows_of_ids(feeder.node_index, column("branches", "to_node")),
        r_pu=column("branches", "r"),
        x_pu=column("branches", "x"),
        b_pu=column("branches", "b"),
        shift_deg=column("branches", "shift_deg"),
        closed=column("branches", "status"),
        rating_mva=column("branches", "thermal_limit_mva"),
        source_node=rows_of_ids(feeder.node_index, column("sources", "node_id")),
        source_v_pu=column("sources", "v_pu"),
        source_deg=column("sources", "v_deg"),
        switch_branch=rows_of_ids(feeder.branch_index, column("switches", "branch_id")),
        cap_node=rows_of_ids(feeder.node_index, column("capacitors", "node_id")),
        cap_mvar=column("capacitors", "q_mvar"),
        cap_on=column("capacitors", "status"),
        shunt_g_mw=column("nodes", "shunt_g_mw"),
        shunt_b_mvar=column("nodes", "shunt_b_mvar"),
        load_p_mw=column("nodes", "load_p_mw"),
        load_q_mvar=column("nodes", "load_q_mvar"),
        zip_node=nodes,
        zip_coef=coef,
        **held_columns(feeder),
        **regulator_columns(feeder),
    )
