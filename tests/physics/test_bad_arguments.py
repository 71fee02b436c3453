"""What `compile` and `solve` refuse, and what the messages say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distgrid import cases, physics

from .grids import chain


@pytest.fixture(scope="module")
def net() -> physics.Network:
    """Four nodes, three branches, one switch, one bank."""
    grid = chain(4)
    grid.switch("n2-n3")
    grid.cap("n3", 0.1)
    return physics.compile(grid.feeder())


def with_value(shape: tuple[int, ...], where: tuple[int, ...], value: float) -> np.ndarray:
    """Ones but for one entry."""
    out = np.ones(shape)
    out[where] = value
    return out


def solve_with(net: physics.Network, name: str, value: object) -> None:
    """Solve with one argument given by name."""
    arguments: dict[str, Any] = {name: value}
    physics.solve(net, **arguments)


WIDTH = {"p_mw": 4, "q_mvar": 4, "p_inject_mw": 4, "q_inject_mvar": 4, "tap": 3}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", WIDTH)
def test_numbers_that_are_not_finite(name: str, value: float, net: physics.Network) -> None:
    """Trap 8: the argument, the entry and the value are named; nothing reaches a kernel."""
    width = WIDTH[name]
    with pytest.raises(ValueError, match=rf"{name}\[2\] is {value}"):
        solve_with(net, name, with_value((width,), (2,), value))
    with pytest.raises(ValueError, match=rf"{name}\[4, 1\] is {value}"):
        solve_with(net, name, with_value((5, width), (4, 1), value))


@pytest.mark.parametrize("name", WIDTH)
@pytest.mark.parametrize("shape", [(), (3, 4, 2), (2,), (5, 7)])
def test_wrong_shapes(name: str, shape: tuple[int, ...], net: physics.Network) -> None:
    """Trap 8: the shapes wanted and given are told."""
    with pytest.raises(ValueError, match=rf"{name} must have shape \({WIDTH[name]},\)"):
        solve_with(net, name, np.ones(shape))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"p_mw": np.ones((2, 4)), "q_mvar": np.ones((3, 4))}, r"rows: p_mw has 2, q_mvar has 3"),
    ({"p_mw": np.ones((2, 4)), "v_source_pu": np.ones(3)}, r"rows: p_mw has 2, v_source_pu has 3"),
    ({"v_source_pu": [1.0, np.nan]}, r"v_source_pu\[1\] is nan"),
    ({"v_source_pu": 0.0}, r"v_source_pu is 0.0: it must be finite and above 0 pu"),
    ({"v_source_pu": -1.0}, "above 0 pu"),
    ({"v_source_pu": np.inf}, "v_source_pu.*inf"),
    ({"v_source_pu": np.ones((2, 2))}, r"v_source_pu must be a number, \(2,\) or \(2, 1\), got \(2, 2\)"),
    ({"tap": [1.0, 0.0, 1.0]}, r"tap\[1\] is 0.0"),
    ({"tap": [1.0, -1.0, 1.0]}, r"tap\[1\] is -1.0"),
    ({"closed": [True, True]}, r"closed must have shape \(1,\)"),
    ({"closed": [np.nan]}, r"closed\[0\] is nan: it must be True or False"),
    ({"closed": [2]}, r"closed\[0\] is 2"),
    ({"closed": ["open"]}, "closed must be bool"),
    ({"cap_on": [0.5]}, r"cap_on\[0\] is 0.5"),
    ({"cap_on": [[True, False]]}, r"cap_on must have shape \(1,\)"),
    ({"v0": np.ones(3)}, r"v0 must have shape \(4,\)"),
    ({"v0": np.ones((3, 4)), "p_mw": np.ones((2, 4))}, "p_mw has 2, v0 has 3"),
    ({"method": "newtn"}, "unknown method 'newtn'"),
    ({"tol": 0.0}, "tol must be finite and above 0"),
    ({"tol": np.nan}, "tol must be finite and above 0"),
    ({"tol": np.inf}, "tol must be finite and above 0"),
    ({"max_iter": 0}, "max_iter at least 1"),
    ({"v_collapse_pu": np.nan}, "v_collapse_pu finite"),
    ({"threads": 0}, "threads must be at least 1"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_refused(arguments: dict[str, Any], message: str, net: physics.Network) -> None:
    """Trap 8: an error instead of an answer to another question."""
    with pytest.raises(ValueError, match=message):
        physics.solve(net, **arguments)


def test_numbers_zero_and_one_are_switch_states(net: physics.Network) -> None:
    """Manifests and spaces write 0 and 1: they mean what they say, NaN does not mean True."""
    pairs: tuple[tuple[Any, Any], ...] = ((1, 0), (1.0, 0.0), (True, False), (np.int8(1), np.int8(0)))
    for on, off in pairs:
        assert physics.solve(net, cap_on=[on]).v_pu[3] > physics.solve(net, cap_on=[off]).v_pu[3]


def test_a_feeder_that_is_not_balanced_is_refused() -> None:
    """Trap 3: one-phase nodes are not solved as if they had three phases."""
    grid = chain(3)
    grid.rows["nodes"][2]["phase"] = "B"
    grid.rows["branches"][1]["phase"] = "B"
    grid.rows["loads"][1]["phase"] = "B"
    with pytest.raises(ValueError, match=r"not balanced: node_id 'n2' has phase 'B'"):
        physics.compile(grid.feeder())


def test_negative_resistance_never_gets_here() -> None:
    """Bad input: r < 0 is refused by the feeder; a series capacitor (x < 0) is legal and solved."""
    grid = chain(3)
    grid.rows["branches"][1]["r"] = -0.01
    with pytest.raises(cases.CaseError, match="r >= 0"):
        grid.feeder()
    grid.rows["branches"][1].update(r=0.01, x=-0.02)
    sol = physics.solve(physics.compile(grid.feeder()))
    assert sol.converged
    assert sol.q_from_mvar[1] + sol.q_to_mvar[1] < 0
