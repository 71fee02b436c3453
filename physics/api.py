"""The doors of this package: balanced and per-phase feeders go through the same names."""

from __future__ import annotations

import warnings
from typing import Any, cast, overload

from numpy.typing import ArrayLike

from ..cases.library import source_notes
from ..cases.model.feeder import Feeder
from .balanced.adjoint import Gradient
from .balanced.adjoint import gradient as balanced_gradient
from .balanced.network import Network
from .balanced.network import compile as compile_balanced
from .balanced.solution import Solution
from .balanced.solve import solve as solve_balanced
from .controls.settle import Settled, settle
from .flags import ModelWarning
from .unbalanced.adjoint import Gradient3
from .unbalanced.adjoint import gradient as per_phase_gradient
from .unbalanced.network import Network3, compile_per_phase
from .unbalanced.solution import Solution3
from .unbalanced.solve import solve_per_phase


def compile(
    feeder: Feeder,
    *,
    allow_mesh_pruning: bool | None = None,
    keep_loops: bool = False,
    enforce_q_limits: bool = False,
    voltage_bands: bool = False,
) -> Network:
    """Compile a feeder for :func:`distgrid.physics.solve`.

    A balanced feeder gives a :class:`Network`; a per-phase one a :class:`Network3`, which type checkers learn
    from :func:`compile_per_phase`.

    With ``allow_mesh_pruning=True`` loops are cut to the first-visit breadth-first tree with a
    :class:`MeshWarning` that names the branches left out; with False they raise ValueError. None: balanced
    feeders are cut, per-phase ones raise. With ``keep_loops=True`` no branch is left out, whatever
    ``allow_mesh_pruning`` says, and the power flow closes the loops: of per-phase feeders by Newton's method
    on Kirchhoff's laws, which takes some fifteen times as long as sweeps along a tree. Parallel branches of a
    balanced feeder are no loop: they carry what they do, and none is left out. Nodes without a source are
    kept, get NaN voltages, and are named in an :class:`IslandWarning`. What an importer left out of its
    source (``feeder.metadata["notes"]``) is said in a :class:`ModelWarning`, unless the feeder is shipped.

    Generators that hold a voltage (``loads.v_set_pu``, balanced feeders only) do so whatever it takes, as in
    MATPOWER and pandapower by default. With ``enforce_q_limits=True`` one that is beyond ``q_min_mvar`` or
    ``q_max_mvar`` stops there and holds again when it would push the voltage past what it is set to.

    ``voltage_bands=True`` (per-phase feeders only): outside ``v_low_pu`` and ``v_high_pu`` a load is what
    OpenDSS makes of it. Without, its model holds at every voltage.
    """
    if feeder.phases == "balanced":
        if voltage_bands:
            raise ValueError("voltage_bands is for per-phase feeders: balanced ones keep their load models")
        pruning = True if allow_mesh_pruning is None else allow_mesh_pruning
        balanced = compile_balanced(
            feeder, allow_mesh_pruning=pruning, keep_loops=keep_loops, enforce_q_limits=enforce_q_limits
        )
        _tell_notes(feeder)
        return balanced
    if enforce_q_limits:
        raise ValueError("enforce_q_limits is for balanced feeders: per-phase ones hold no voltages")
    net = compile_per_phase(
        feeder,
        allow_mesh_pruning=bool(allow_mesh_pruning),
        voltage_bands=voltage_bands,
        keep_loops=keep_loops,
    )
    _tell_notes(feeder)
    return cast(Network, net)


def _tell_notes(feeder: Feeder) -> None:
    notes = source_notes(feeder, left_out=True)
    if notes:
        warnings.warn(f"feeder {feeder.name!r}: {notes}", ModelWarning, stacklevel=3)


@overload
def solve(
    net: Network,
    p_mw: ArrayLike | None = None,
    q_mvar: ArrayLike | None = None,
    *,
    p_inject_mw: ArrayLike | None = None,
    q_inject_mvar: ArrayLike | None = None,
    v_source_pu: ArrayLike | None = None,
    closed: ArrayLike | None = None,
    tap: ArrayLike | None = None,
    cap_on: ArrayLike | None = None,
    v0: Solution | ArrayLike | None = None,
    method: str = "backward-forward",
    tol: float = 1e-8,
    max_iter: int = 100,
    v_collapse_pu: float = 0.5,
    threads: int | None = None,
    currents: bool = True,
    out: Solution | None = None,
) -> Solution: ...


@overload
def solve(
    net: Network3,
    p_mw: ArrayLike | None = None,
    q_mvar: ArrayLike | None = None,
    *,
    p_delta_mw: ArrayLike | None = None,
    q_delta_mvar: ArrayLike | None = None,
    p_inject_mw: ArrayLike | None = None,
    q_inject_mvar: ArrayLike | None = None,
    p_delta_inject_mw: ArrayLike | None = None,
    q_delta_inject_mvar: ArrayLike | None = None,
    v_source_pu: ArrayLike | None = None,
    closed: ArrayLike | None = None,
    tap: ArrayLike | None = None,
    cap_on: ArrayLike | None = None,
    v0: Solution3 | ArrayLike | None = None,
    method: str = "backward-forward",
    tol: float = 1e-8,
    max_iter: int = 100,
    v_collapse_pu: float = 0.5,
    threads: int | None = None,
    currents: bool = True,
    out: Solution3 | None = None,
) -> Solution3: ...


def solve(net: Any, p_mw: Any = None, q_mvar: Any = None, **options: Any) -> Any:
    """Solve one case or a batch of independent cases.

    A power flow that fails is flagged, not raised.

    Args:
        net: A compiled feeder.
        p_mw: Load per bus, (n_bus,) or (batch, n_bus), positive when it consumes; of a per-phase network
            per phase to ground, (n_bus, 3) or (batch, n_bus, 3). None: the nominal loads. ZIP and CVR
            shares of the feeder's loads apply to it; these values are the power at 1 pu.
        q_mvar: With ``p_mw``.
        p_delta_mw: Per-phase networks only: load between phases, legs AB, BC, CA; same shapes. None: the
            nominal ones.
        q_delta_mvar: With ``p_delta_mw``.
        p_inject_mw: Constant-power injection (resources), positive when it injects; same shapes.
        q_inject_mvar: With ``p_inject_mw``.
        p_delta_inject_mw: With ``p_inject_mw``.
        q_delta_inject_mvar: With ``p_inject_mw``.
        v_source_pu: Source voltage: a number, (batch,), or (batch, n_source). None: as stored.
        closed: State of each switch of ``feeder.switches``, (n_switch,) or (batch, n_switch) bool.
        tap: Ratio of each branch, (n_branch,) or (batch, n_branch); of a per-phase network of each row of
            ``feeder.regulators``, (n_regulator,) or (batch, n_regulator). None: as stored.
        cap_on: State of each bank of ``feeder.capacitors``, (n_cap,) or (batch, n_cap) bool.
        v0: Where the sweep starts: a solution or complex pu. None: no-load voltages.
        method: "backward-forward" (closes the loops of a network compiled with ``keep_loops=True``), or,
            for balanced networks, pandapower's "newton" or "fast-decoupled", row by row: slow, and
            independent of the sweep.
        tol: See :class:`Solution`. ``tol`` is in pu.
        max_iter: With ``tol``.
        v_collapse_pu: With ``tol``.
        threads: Workers for batches of some hundred rows. Results do not depend on it.
        currents: For large batches. ``currents=False``: voltages only, faster; asking the solution for
            branch currents, flows or losses is then an AttributeError. ``out``: an earlier solution of as
            many rows whose memory the new one takes over.
        out: With ``currents``.
        **options: Those from ``p_delta_mw`` on.

    Raises:
        ValueError: Arguments of wrong shape, NaN, power on a phase that does not exist, or switch states
            that connect two sources.
    """
    if isinstance(net, Network3):
        return solve_per_phase(net, p_mw, q_mvar, **options)
    return solve_balanced(net, p_mw, q_mvar, **options)


def settle_controls(
    net: Network | Network3,
    p_mw: ArrayLike | None = None,
    q_mvar: ArrayLike | None = None,
    *,
    tap_pos: ArrayLike | None = None,
    cap_on: ArrayLike | None = None,
    max_control_iterations: int = 100,
    **solve: Any,
) -> Settled:
    """Solve, let regulator and capacitor controls act, solve again, until none wants to.

    All controls see the same solution. Those with the shortest delay then act together and time goes back:
    the slower ones act when the faster ones are content. A regulator moves 70 % of the steps that it wants,
    at least one and at most ``max_tap_change``. Start and delays decide where it ends: more than one set of
    taps can satisfy every band.

    Args:
        net: A compiled per-phase feeder. To compare with OpenDSS, compile it with ``voltage_bands=True``.
        p_mw: As in :func:`distgrid.physics.solve`.
        q_mvar: The same.
        tap_pos: Steps to start from, one number, (n_regulator,) or (batch, n_regulator); None: those stored.
        cap_on: Bank states to start from; None: those stored.
        max_control_iterations: Power flows after which hunting controls are given up as not settled.
        **solve: Further arguments of the power flow.

    Raises:
        ValueError: a balanced network, wrong arguments, settings that are missing or contradict each other.
    """
    if not isinstance(net, Network3):
        raise ValueError("local control needs a per-phase network: compile a per-phase feeder")
    arguments = {"p_mw": p_mw, "q_mvar": q_mvar, **solve}
    return settle(net, solve_per_phase, tap_pos, cap_on, max_control_iterations, arguments)


@overload
def gradient(
    solution: Solution,
    *,
    v_pu: ArrayLike | None = None,
    v_deg: ArrayLike | None = None,
    p_from_mw: ArrayLike | None = None,
    q_from_mvar: ArrayLike | None = None,
    p_to_mw: ArrayLike | None = None,
    q_to_mvar: ArrayLike | None = None,
    i_ka: ArrayLike | None = None,
    loading: ArrayLike | None = None,
    p_loss_mw: ArrayLike | None = None,
    q_loss_mvar: ArrayLike | None = None,
    p_slack_mw: ArrayLike | None = None,
    q_slack_mvar: ArrayLike | None = None,
    threads: int | None = None,
) -> Gradient: ...


@overload
def gradient(
    solution: Solution3,
    *,
    v_pu: ArrayLike | None = None,
    v_deg: ArrayLike | None = None,
    p_from_mw: ArrayLike | None = None,
    q_from_mvar: ArrayLike | None = None,
    p_to_mw: ArrayLike | None = None,
    q_to_mvar: ArrayLike | None = None,
    i_ka: ArrayLike | None = None,
    loading: ArrayLike | None = None,
    p_loss_mw: ArrayLike | None = None,
    q_loss_mvar: ArrayLike | None = None,
    p_slack_mw: ArrayLike | None = None,
    q_slack_mvar: ArrayLike | None = None,
    threads: int | None = None,
) -> Gradient3: ...


def gradient(
    solution: Solution | Solution3,
    *,
    v_pu: ArrayLike | None = None,
    v_deg: ArrayLike | None = None,
    p_from_mw: ArrayLike | None = None,
    q_from_mvar: ArrayLike | None = None,
    p_to_mw: ArrayLike | None = None,
    q_to_mvar: ArrayLike | None = None,
    i_ka: ArrayLike | None = None,
    loading: ArrayLike | None = None,
    p_loss_mw: ArrayLike | None = None,
    q_loss_mvar: ArrayLike | None = None,
    p_slack_mw: ArrayLike | None = None,
    q_slack_mvar: ArrayLike | None = None,
    threads: int | None = None,
) -> Gradient | Gradient3:
    """The exact gradient of a scalar f of a solution by everything that was given to :func:`solve`.

    Every keyword is a result of the power flow, with the derivative of f by that result; what is left out
    does not enter f. One adjoint sweep, linear in the number of buses, gives the derivatives by all
    arguments at once::

        sol = physics.solve(net, p_mw, q_mvar)
        by = physics.gradient(sol, p_loss_mw=1.0)                   # f: the losses
        by = physics.gradient(sol, v_pu=2.0 * (sol.v_pu - 1.0))     # f: the sum of (v - 1)^2
        by.q_inject_mvar                                            # f per Mvar injected at each bus

    Loops, parallel branches and generators that hold voltages (balanced feeders) cost a small dense system
    more. What a generator holds stands and its reactive power answers; one that stands at a limit keeps it.
    Of several parallel branches without impedance, whose ratios can only move together, each ``tap`` has an
    equal share of what all do together.

    Rows are independent of each other and of the batch size, to the last bit. A solution of one row with a
    batch of scalars gives the gradients of all of them.

    Args:
        solution: Of :func:`solve`, with currents, loops and held voltages included. Of a per-phase solution
            all arrays below have the phases A, B, C as a last axis of 3; the load arrays that it was solved
            with must not have been changed since.
        v_pu: f per pu of the voltage of each bus, (n_bus,) or (batch, n_bus).
        v_deg: f per degree.
        p_from_mw: f per MW into the from end of each branch, (n_branch,) or (batch, n_branch).
        q_from_mvar: f per Mvar.
        p_to_mw: f per MW into the to end.
        q_to_mvar: f per Mvar.
        i_ka: f per kA of each branch's larger end. Without current it has no slope: 0 is taken.
        loading: f per unit of each branch's loading (1: at the rating), of the larger end.
        p_loss_mw: f per MW of losses, a number or (batch,).
        q_loss_mvar: f per Mvar of losses.
        p_slack_mw: f per MW that all sources deliver.
        q_slack_mvar: f per Mvar that all sources deliver.
        threads: Workers for batches of some hundred rows.

    Returns:
        A frozen dataclass of arrays that bear the names of the arguments of :func:`solve`. Rows that did not
        converge are NaN, and ``converged`` says which.

    Raises:
        ValueError: Arguments of wrong shape or that are not finite, none at all.
        AttributeError: A balanced solution with ``currents=False``.
    """
    seeds = {
        "v_pu": v_pu, "v_deg": v_deg, "p_from_mw": p_from_mw, "q_from_mvar": q_from_mvar, "p_to_mw": p_to_mw,
        "q_to_mvar": q_to_mvar, "i_ka": i_ka, "loading": loading, "p_loss_mw": p_loss_mw,
        "q_loss_mvar": q_loss_mvar, "p_slack_mw": p_slack_mw, "q_slack_mvar": q_slack_mvar,
    }  # fmt: skip
    if isinstance(solution, Solution3):
        return per_phase_gradient(solution, seeds, threads=threads)
    return balanced_gradient(solution, seeds, threads=threads)
