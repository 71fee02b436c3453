"""Central differences of the power flow: an oracle of gradients that knows nothing of adjoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distgrid import physics

Array = NDArray[np.float64]
Weights = Mapping[str, Array]
RESULTS = (
    "v_pu", "v_deg", "p_from_mw", "q_from_mvar", "p_to_mw", "q_to_mvar", "i_ka", "loading", "p_loss_mw",
    "q_loss_mvar", "p_slack_mw", "q_slack_mvar",
)  # fmt: skip
TIGHT: dict[str, Any] = {"tol": 1e-12, "max_iter": 400}
#: Results of a power flow with one number a row.
TOTALS = ("p_loss_mw", "q_loss_mvar", "p_slack_mw", "q_slack_mvar")
#: Weights of the four points of a central difference whose error falls with the fourth power of the step.
STENCIL = ((1.0, 8.0 / 12.0), (-1.0, -8.0 / 12.0), (2.0, -1.0 / 12.0), (-2.0, 1.0 / 12.0))


def draw_weights(rng: np.random.Generator, sol: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Random derivatives of a scalar by results of one solved row, each result worth about as much."""
    weights: dict[str, Any] = {}
    for name in names:
        value = np.asarray(getattr(sol, name))
        size = np.nanmax(np.abs(value), initial=1e-6)
        drawn = rng.normal(size=value.shape) / (max(size, 1e-3) * max(value.size, 1) ** 0.5)
        weights[name] = np.where(np.isfinite(value), drawn, 0.0)
    return weights


def scalar(sol: Any, weights: Weights, v_deg: Array) -> Array:
    """(batch,) the scalar of a solved batch; angles count from ``v_deg``, so that none wraps."""
    total = np.zeros(np.shape(sol.p_loss_mw)[0])
    for name, weight in weights.items():
        value = np.asarray(getattr(sol, name))
        if name == "v_deg":
            value = (value - v_deg + 180.0) % 360.0 - 180.0
        terms = np.where(weight == 0.0, 0.0, weight * np.where(weight == 0.0, 0.0, value))
        total += terms if name in TOTALS else terms.reshape(total.size, -1).sum(axis=1)
    return total


def differences(solve: Callable[..., Any], weights: Weights, name: str, at: Array, step: float) -> Array:
    """The scalar's derivative by every entry of argument ``name`` of ``solve`` around ``at`` (one row)."""
    flat = at.ravel()
    v_deg = np.asarray(solve(**{name: at[None]}).v_deg)
    out = np.zeros(flat.size)
    for factor, share in STENCIL:
        rows = np.repeat(flat[None], flat.size, axis=0)
        rows[np.arange(flat.size), np.arange(flat.size)] += factor * step
        sol = solve(**{name: rows.reshape(flat.size, *at.shape)})
        assert np.all(sol.converged)
        out += share * scalar(sol, weights, v_deg) / step
    return out.reshape(at.shape)


def agree(found: Array, expected: Array, relative: float = 1e-6) -> None:
    """Equal to ``relative`` of the largest entry."""
    scale = np.abs(expected).max(initial=0.0)
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=relative * scale + 1e-13)


def far_from_kinks(sol: physics.Solution, least_mva: float, apart_by: float) -> Any:
    """(n_branch,) branches with a flow, whose larger end stays the larger one."""
    sizes = [np.hypot(sol.p_from_mw, sol.q_from_mvar), np.hypot(sol.p_to_mw, sol.q_to_mvar)]
    v = sol.v_pu[sol.net.from_row], sol.v_pu[sol.net.to_row]
    with np.errstate(invalid="ignore"):
        currents = [np.nan_to_num(size / at) for size, at in zip(sizes, v, strict=True)]
    apart = [np.abs(a - b) > apart_by * np.maximum(a, b) for a, b in (sizes, currents)]
    alike = np.abs(currents[0] - currents[1]) <= 1e-12 * currents[0]
    return (np.minimum(*sizes) > least_mva) & apart[0] & (apart[1] | alike)


def compare(net: physics.Network, seed: int, apart_by: float = 1e-5, ratio_step: float = 1e-4) -> None:
    """A random scalar of all results, by all arguments.

    The larger current of a branch has a kink where a tap of 1 has both alike: by taps without these. Parallel
    branches need a small ``ratio_step``: currents that circulate turn round soon.
    """
    p, q = net.load_p_mw, net.load_q_mvar

    def solve(**changed: Any) -> physics.Solution:
        return physics.solve(net, **{"p_mw": p, "q_mvar": q, **changed}, **TIGHT)

    sol = solve()
    assert sol.converged
    none, size = np.zeros(net.n_bus), 3e-4 * max(float(np.abs(p).max()), 1e-3)
    weights = draw_weights(np.random.default_rng(seed), sol, RESULTS)
    for name in ("i_ka", "loading"):
        weights[name][~far_from_kinks(sol, 50.0 * size, apart_by)] = 0.0
    smooth: dict[str, Any] = {name: weight for name, weight in weights.items() if name != "i_ka"}
    starts = {"p_mw": p, "q_mvar": q, "p_inject_mw": none, "q_inject_mvar": none}
    for name, start in starts.items():
        found = getattr(physics.gradient(sol, **weights), name)
        expected = differences(solve, weights, name, start, size)
        agree(found, np.where(net.energised, expected, 0.0))
    for name, start in {"tap": net.tap, "v_source_pu": np.abs(net.source_phasor)}.items():
        found = getattr(physics.gradient(sol, **smooth), name)
        agree(found, differences(solve, smooth, name, start, ratio_step))
