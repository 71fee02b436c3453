"""A per-phase feeder compiled for the three-phase sweep."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from ...cases.model.feeder import Feeder
from ..flags import IslandWarning, MeshWarning
from .assembly.adjoint_plan import adjoint_tree
from .assembly.build_program import SweepLayout, build
from .assembly.elements import Element, elements
from .assembly.end_currents import Currents, EndCurrents, NodeCurrents
from .assembly.equation_parts import parts_of_forest, parts_of_reach
from .assembly.equations import Equations, write_equations
from .assembly.forest import BoolArray, Conductor, Forest, SourceTerminal, grow_forest, source_terminals
from .assembly.node_loads import LEGS, NodeLoads, phases_present, read_node_loads
from .assembly.reach import reach
from .kernel_tables import FloatArray, IntArray
from .kernels.branch_flows import flow_table
from .topology import PhaseIndex, SweepTopology

_VARIANTS_KEPT = 256


@dataclass(frozen=True, eq=False)
class Network3:
    """Immutable result of compiling a per-phase feeder; every array is in the order of the feeder's tables.

    ``topology`` belongs to the switch states stored in the feeder; :meth:`variant` gives the one for others.
    Taps and capacitor states are arguments of the power flow, row by row: they need no other topology.
    """

    feeder: Feeder
    allow_mesh_pruning: bool
    voltage_bands: bool
    keep_loops: bool
    base_mva: float
    base_kv: FloatArray  # (n_bus,) line to line
    present: BoolArray  # (n_bus, 3) phases of each node; legs 1 and 2 of split-phase wires stand at A and B
    from_row: IntArray
    to_row: IntArray
    closed: BoolArray
    switch_branch: IntArray
    rating_mva: FloatArray  # (n_branch,) of all phases together; NaN where unrated
    tap: FloatArray  # (n_regulator,) ratio
    cap_on: FloatArray  # (n_capacitor,) 0 or 1
    source_phasor: NDArray[np.complex128]  # (n_source, 3)
    node_loads: NodeLoads
    elements: list[Element]
    sources: list[SourceTerminal]
    shunt: NDArray[np.complex128]  # (n_bus, 3, 3) pu
    topology: SweepTopology = field(init=False)
    _variants: OrderedDict[bytes, SweepTopology] = field(init=False, repr=False, default_factory=OrderedDict)
    _lock: Lock = field(init=False, repr=False, default_factory=Lock)

    def __post_init__(self) -> None:
        object.__setattr__(self, "topology", self._build(self.closed, warn=True))

    def __getstate__(self) -> dict[str, object]:
        names = ("feeder", "allow_mesh_pruning", "voltage_bands", "keep_loops")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, object]) -> None:
        feeder = state["feeder"]
        assert isinstance(feeder, Feeder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", (MeshWarning, IslandWarning))  # said when it was first compiled
            fresh = compile_per_phase(
                feeder,
                allow_mesh_pruning=bool(state["allow_mesh_pruning"]),
                voltage_bands=bool(state["voltage_bands"]),
                keep_loops=bool(state["keep_loops"]),
            )
        self.__dict__.update(fresh.__dict__)

    @property
    def n_bus(self) -> int:
        """Number of nodes."""
        return int(self.base_kv.size)

    @property
    def n_branch(self) -> int:
        """Number of branches, open ones included."""
        return int(self.from_row.size)

    @cached_property
    def columns(self) -> int:
        """Numbers of a solved row: voltages, currents into nodes, source currents."""
        return 6 * self.n_bus + 3 * len(self.sources)

    @cached_property
    def phase_rating_mva(self) -> FloatArray:
        """(2, n_branch, 3) what each phase may carry at the from and the to end: a third of the rating.

        A rating is that of three phases at the rated current, however many the branch has. The two legs of a
        centre-tap transformer share what its one phase carries. NaN without a rating, and on phases that the
        end does not have.
        """
        rating = np.full((2, self.n_branch, 3), np.nan)
        for element in self.elements:
            ends = element.phases(0), element.phases(1)
            for end, phases in enumerate(ends):
                share = 1.0
                if element.centre_tap is not None and end == 1:  # half of what the high winding carries
                    share = 0.5 if len(element.high) == 1 else 0.5 * np.sqrt(3.0)
                rating[end, element.row, phases] = self.rating_mva[element.row] / 3.0 * share
        return rating

    @cached_property
    def nominal_rows(self) -> tuple[FloatArray, ...]:
        """Stored P, Q, delta P, delta Q, taps and capacitor states, one row each."""
        stored = (self.load_p_mw, self.load_q_mvar, self.delta_p_mw, self.delta_q_mvar, self.tap, self.cap_on)
        return tuple(np.array(a, dtype=np.float64).reshape(1, -1) for a in stored)

    @cached_property
    def source_row(self) -> NDArray[np.complex128]:
        """(1, 3 n_source) stored EMF."""
        return np.array(self.source_phasor, dtype=np.complex128).reshape(1, -1)

    @cached_property
    def topo3ph(self) -> PhaseIndex:
        """Map between (node, phase) and the rows of `bibc`'s matrices."""
        return PhaseIndex(self.feeder, self.present)

    @property
    def load_p_mw(self) -> FloatArray:
        """(n_bus, 3) nominal load from each phase to ground."""
        return self.node_loads.wye_p_mw

    @property
    def load_q_mvar(self) -> FloatArray:
        """The same, reactive."""
        return self.node_loads.wye_q_mvar

    @property
    def delta_p_mw(self) -> FloatArray:
        """(n_bus, 3) nominal load of the legs AB, BC, CA."""
        return self.node_loads.delta_p_mw

    @property
    def delta_q_mvar(self) -> FloatArray:
        """The same, reactive."""
        return self.node_loads.delta_q_mvar

    @property
    def energised(self) -> BoolArray:
        """(n_bus, 3) True where a source reaches the phase."""
        return self.topology.energised

    def variant(self, closed: BoolArray) -> SweepTopology:
        """Topology for other branch states (n_branch,)."""
        key = closed.tobytes()
        with self._lock:
            if key in self._variants:
                self._variants.move_to_end(key)
                return self._variants[key]
        built = self._build(closed, warn=False)
        with self._lock:
            self._variants[key] = built
            if len(self._variants) > _VARIANTS_KEPT:
                self._variants.popitem(last=False)
        return built

    def _build(self, closed: BoolArray, *, warn: bool) -> SweepTopology:
        forest = grow_forest(self.n_bus, self.elements, closed, self.sources)
        if forest.irregular or (self.keep_loops and forest.dropped):
            built = self._reached(closed, forest.irregular or "its loops are closed")
        else:
            layout = self._laid_out(forest, self._hung_on(closed))
            irregular = self._bank_ungrounded(layout.floating) or self._half_fed(forest)
            built = self._reached(closed, irregular) if irregular else self._swept(closed, layout, forest)
        if warn and built.cut:
            warnings.warn(
                f"feeder {self.feeder.name!r} is meshed: solved as the breadth-first tree without "
                f"{self._loop_names(built.cut)}",
                MeshWarning,
                stacklevel=5,
            )
        if warn and (self.present & ~built.energised).any():
            self._warn_islands(np.asarray((self.present & ~built.energised).any(axis=1)))
        return built

    def _laid_out(self, forest: Forest, hung_on: NDArray[np.complex128]) -> SweepLayout:
        return build(
            self.n_bus, self.elements, self.sources, forest, hung_on, self.node_loads, self.source_phasor,
            self.cap_on, self.base_mva,
        )  # fmt: skip

    def _hung_on(self, closed: BoolArray) -> NDArray[np.complex128]:
        """(n_bus, 3, 3) what stands at the nodes besides branches that lead on: shunts, open line ends."""
        total = self.shunt
        for element in self.elements:
            if element.open_end and closed[element.row]:
                total = total.copy() if total is self.shunt else total
                total[element.from_node] += element.y_from
                total[element.to_node] += element.y_to
        return total

    def _half_fed(self, forest: Forest) -> str:
        """Why something between two phases feeds one of them: it and another lie in series."""
        met: dict[Conductor, int] = {}
        for ends in self._legs():
            dead = [at for at in ends if at not in forest.root_of]
            if len(dead) == 1:
                met[dead[0]] = met.get(dead[0], 0) + 1
        if not met:
            return ""
        node = self.feeder.column("nodes", "node_id")[min(met)[0]]
        return f"a load at node {node!r} has a dead terminal"

    def _bank_ungrounded(self, floating: BoolArray) -> str:
        """Why a capacitor bank keeps sweeps from finding the potential of a zone without ground."""
        for bank in self.node_loads.banks:
            if not bank.delta and floating[bank.node, bank.place]:
                return f"capacitor {self.feeder.column('capacitors', 'cap_id')[bank.row]!r} grounds a zone"
        return ""

    def _swept(self, closed: BoolArray, layout: SweepLayout, forest: Forest) -> SweepTopology:
        """A topology that is solved by sweeps along its tree."""
        cut: dict[int, tuple[int, ...]] = dict.fromkeys(forest.dropped, ())
        self._check_loops(cut, forest.clash)
        energised = np.zeros((self.n_bus, 3), dtype=bool)
        for node, phase in layout.conductor:
            if node < self.n_bus:
                energised[node, phase] = True
        self._check_floating(layout.floating)
        in_tree = np.zeros(self.n_branch, dtype=bool)
        child_is_to = np.zeros(self.n_branch, dtype=bool)
        for placed in layout.placed:
            if placed.branch >= 0:
                in_tree[placed.branch] = True
                child_is_to[placed.branch] = placed.child_is_to
        hung = {
            (e.row, side): y
            for e in self.elements
            if e.open_end and closed[e.row]
            for side, y in enumerate((e.y_from, e.y_to))
        }
        flows = flow_table(self.elements, layout.placed, forest.shunts, hung, self.from_row, self.to_row)

        def write(ends: bool) -> Equations:
            parts = parts_of_forest(
                self.n_bus, self.elements, self.sources, layout.placed, layout.conductor,
                layout.node_shunt, layout.ungrounded,
            )  # fmt: skip
            currents: Currents = NodeCurrents(self.n_bus, self.elements, layout.placed, self.sources)
            if ends:
                currents = EndCurrents(self.n_bus, len(self.sources), self.n_branch)
            return write_equations(parts, self.node_loads, currents, self.tap, self.cap_on)

        return SweepTopology(
            layout.plan, layout, flows, energised,
            (self.present & ~layout.floating).ravel(), self.node_loads.leg_present.ravel(), in_tree,
            child_is_to,
            np.array(forest.dropped, dtype=np.int64), cut, "", write,
            lambda: adjoint_tree(
                self.n_bus, self.n_branch, layout, flows, self.sources, self.node_loads,
                (self.from_row, self.to_row),
            ),
        )  # fmt: skip

    def _reached(self, closed: BoolArray, irregular: str) -> SweepTopology:
        """A topology that only its equations describe."""
        found = reach(self.n_bus, self.elements, closed, self.sources, self._legs(), self.keep_loops)
        cut = {
            row: tuple(sorted({p for p, _ in at})) if row in found.away else ()
            for row, at in sorted(found.cut.items())
        }
        self._check_loops(cut, found.clash)
        energised = np.zeros((self.n_bus, 3), dtype=bool)
        energised[tuple(np.array(list(found.root_of), dtype=np.int64).reshape(-1, 2).T)] = True
        parts, floating = parts_of_reach(
            self.elements, self.sources, found, closed, self.shunt, self.node_loads
        )
        self._check_floating(floating)
        in_tree = np.zeros(self.n_branch, dtype=bool)
        child_is_to = np.zeros(self.n_branch, dtype=bool)
        for row, forward in found.away.items():
            in_tree[row], child_is_to[row] = True, forward
        currents = EndCurrents(self.n_bus, len(self.sources), self.n_branch)
        try:
            equations = write_equations(parts, self.node_loads, currents, self.tap, self.cap_on)
        except ValueError as error:
            raise ValueError(f"feeder {self.feeder.name!r}: {error} ({irregular})") from None
        nothing = self._laid_out(Forest([], {}, {}, [], [], irregular), self.shunt)
        flows = flow_table(self.elements, [], {}, {}, self.from_row, self.to_row)
        return SweepTopology(
            nothing.plan, nothing._replace(floating=floating), flows, energised,
            (self.present & ~floating).ravel(), self.node_loads.leg_present.ravel(), in_tree, child_is_to,
            np.array(found.dropped, dtype=np.int64), cut, irregular, lambda _: equations,
            lambda: None, np.array(found.closing, dtype=np.int64),
        )  # fmt: skip

    def _legs(self) -> list[tuple[Conductor, Conductor]]:
        """Ends of everything that draws power between two phases."""
        legs = (self.delta_p_mw != 0) | (self.delta_q_mvar != 0)
        for bank in self.node_loads.banks:
            if bank.delta:
                legs[bank.node, bank.place] = True
        return [((int(node), LEGS[leg][0]), (int(node), LEGS[leg][1])) for node, leg in np.argwhere(legs)]

    def _check_loops(self, dropped: dict[int, tuple[int, ...]], clash: list[int]) -> None:
        """``dropped``: branch rows that close loops, and in which phases where not in all."""
        ids = self.feeder.column("branches", "branch_id")
        if clash:
            raise ValueError(
                f"branch {ids[clash[0]]!r} connects two sources: "
                "each energised island must have one source; open a switch between them"
            )
        if dropped and not self.allow_mesh_pruning:
            raise ValueError(
                f"feeder {self.feeder.name!r} is meshed: these branches close loops: "
                f"{self._loop_names(dropped)}; open them, pass keep_loops=True to solve them, or "
                "allow_mesh_pruning=True to leave them out"
            )

    def _loop_names(self, dropped: dict[int, tuple[int, ...]]) -> str:
        ids = self.feeder.column("branches", "branch_id")
        return ", ".join(
            repr(str(ids[row])) + (f" (phase {', '.join('ABC'[p] for p in phases)})" if phases else "")
            for row, phases in dropped.items()
        )

    def _warn_islands(self, dead: BoolArray) -> None:
        names = self.feeder.column("nodes", "node_id")[dead]
        listed = ", ".join(repr(str(n)) for n in names[:10]) + (" …" if names.size > 10 else "")
        warnings.warn(
            f"feeder {self.feeder.name!r}: {names.size} nodes have phases without a source: {listed}; "
            "their voltages are NaN",
            IslandWarning,
            stacklevel=5,
        )

    def _check_floating(self, floating: BoolArray) -> None:
        wrong = floating & ((self.load_p_mw != 0) | (self.load_q_mvar != 0))
        if wrong.any():
            node = int(np.argwhere(wrong)[0][0])
            name = self.feeder.column("nodes", "node_id")[node]
            raise ValueError(
                f"a load at node {name!r} is connected from phase to ground, but a delta winding "
                "without ground feeds the node: nothing fixes that voltage; connect the load in delta"
            )


def compile_per_phase(
    feeder: Feeder,
    *,
    allow_mesh_pruning: bool = True,
    voltage_bands: bool = False,
    keep_loops: bool = False,
) -> Network3:
    """Compile a per-phase feeder; see :func:`distgrid.physics.compile`."""
    column = feeder.column
    present = phases_present(feeder)
    found = elements(feeder)
    base = feeder.base_mva / 3.0
    node_y = (column("nodes", "shunt_g_mw") + 1j * column("nodes", "shunt_b_mvar")) / base
    node_y = node_y / np.maximum(present.sum(axis=1), 1)
    shunt = np.zeros((feeder.n_nodes, 3, 3), dtype=np.complex128)
    for phase in range(3):
        shunt[:, phase, phase] = np.where(present[:, phase], node_y, 0.0)
    sources = source_terminals(feeder, present)
    phasor = column("sources", "v_pu") * np.exp(1j * np.deg2rad(column("sources", "v_deg")))
    turn = np.exp(-2j * np.pi / 3.0 * np.arange(3))
    steps = column("regulators", "tap_pos") * column("regulators", "tap_step_pu")
    return Network3(
        feeder=feeder,
        allow_mesh_pruning=allow_mesh_pruning,
        voltage_bands=voltage_bands,
        keep_loops=keep_loops,
        base_mva=feeder.base_mva,
        base_kv=column("nodes", "base_kv"),
        present=present,
        from_row=np.array([e.from_node for e in found], dtype=np.int64),
        to_row=np.array([e.to_node for e in found], dtype=np.int64),
        closed=column("branches", "status"),
        switch_branch=np.array(
            [feeder.branch_index[str(b)] for b in column("switches", "branch_id")], dtype=np.int64
        ),
        rating_mva=column("branches", "thermal_limit_mva"),
        tap=np.asarray(1.0 + steps, dtype=np.float64),
        cap_on=column("capacitors", "status").astype(np.float64),
        source_phasor=phasor[:, None] * turn,
        node_loads=read_node_loads(feeder, voltage_bands=voltage_bands),
        elements=found,
        sources=sources,
        shunt=shunt,
    )
