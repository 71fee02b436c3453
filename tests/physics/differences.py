"""Central differences of the power flow: an oracle of gradients that knows nothing of adjoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = Mapping[str, Array]
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
