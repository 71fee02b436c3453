"""The doors of this package: balanced and per-phase feeders go through the same names."""

from __future__ import annotations

from typing import Any, cast, overload

from numpy.typing import ArrayLike

from ..cases.feeder import Feeder
from .network import Network
from .network import compile as compile_balanced
from .solution import Solution
from .solve import solve as solve_balanced
from .unbalanced.network import Network3, compile_per_phase
from .unbalanced.solution import Solution3
from .unbalanced.solve import solve_per_phase


def compile(
    feeder: Feeder, *, allow_mesh_pruning: bool = True, keep_loops: bool = False, voltage_bands: bool = False
) -> Network:
    """Compile a feeder for :func:`distgrid.physics.solve`.

    A balanced feeder gives a :class:`Network`; a per-phase one a :class:`Network3`, which type checkers learn
    from :func:`compile_per_phase`.

    Loops are cut to the first-visit breadth-first tree with a :class:`MeshWarning` that names the branches
    left out, or raise ValueError with ``allow_mesh_pruning=False``. With ``keep_loops=True`` (balanced
    feeders only) no branch is left out, whatever ``allow_mesh_pruning`` says, and the power flow closes
    the loops. Nodes without a source are kept, get NaN voltages, and are named in an :class:`IslandWarning`.

    ``voltage_bands=True`` (per-phase feeders only): outside ``v_low_pu`` and ``v_high_pu`` a load is what
    OpenDSS makes of it. Without, its model holds at every voltage.
    """
    if feeder.phases == "balanced":
        if voltage_bands:
            raise ValueError("voltage_bands is for per-phase feeders: balanced ones keep their load models")
        return compile_balanced(feeder, allow_mesh_pruning=allow_mesh_pruning, keep_loops=keep_loops)
    if keep_loops:
        raise ValueError("keep_loops is for balanced feeders: per-phase ones are solved as trees")
    net = compile_per_phase(feeder, allow_mesh_pruning=allow_mesh_pruning, voltage_bands=voltage_bands)
    return cast(Network, net)


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

    Parameters
    ----------
    p_mw, q_mvar
        Load per bus, (n_bus,) or (batch, n_bus), positive when it consumes; of a per-phase network per phase
        to ground, (n_bus, 3) or (batch, n_bus, 3). None: the nominal loads. ZIP and CVR shares of the
        feeder's loads apply to it; these values are the power at 1 pu.
    p_delta_mw, q_delta_mvar
        Per-phase networks only: load between phases, legs AB, BC, CA; same shapes. None: the nominal ones.
    p_inject_mw, q_inject_mvar, p_delta_inject_mw, q_delta_inject_mvar
        Constant-power injection (resources), positive when it injects; same shapes.
    v_source_pu
        Source voltage: a number, (batch,), or (batch, n_source). None: as stored.
    closed
        State of each switch of ``feeder.switches``, (n_switch,) or (batch, n_switch) bool.
    tap
        Ratio of each branch, (n_branch,) or (batch, n_branch); of a per-phase network of each row of
        ``feeder.regulators``, (n_regulator,) or (batch, n_regulator). None: as stored.
    cap_on
        State of each bank of ``feeder.capacitors``, (n_cap,) or (batch, n_cap) bool.
    v0
        Where the sweep starts: a solution or complex pu. None: no-load voltages.
    method
        "backward-forward" (closes the loops of a network compiled with ``keep_loops=True``), or, for balanced
        networks, pandapower's "newton" or "fast-decoupled", row by row: slow, and independent of the sweep.
    tol, max_iter, v_collapse_pu
        See :class:`Solution`. ``tol`` is in pu.
    threads
        Workers for batches of some hundred rows. Results do not depend on it.
    currents, out
        For large batches. ``currents=False``: voltages only, faster; asking the solution for branch currents,
        flows or losses is then an AttributeError. ``out``: an earlier solution of as many rows whose memory
        the new one takes over.

    A power flow that fails is flagged, not raised. ValueError for arguments of wrong shape, NaN, power on a
    phase that does not exist, or switch states that connect two sources.
    """
    if isinstance(net, Network3):
        return solve_per_phase(net, p_mw, q_mvar, **options)
    return solve_balanced(net, p_mw, q_mvar, **options)
