"""ZIP loads against pandapower, CVR exponents against OpenDSS, mixtures against a dense Newton."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distgrid import physics

from .grids import Grid, chain
from .oracle import Complex, dense_newton, pandapower_newton

SHARES = [
    ((1.0, 1.0), (0.0, 0.0)), ((0.0, 0.0), (1.0, 1.0)), ((0.3, 0.7), (0.5, 0.1)),
    ((1.2, 2.5), (-1.0, -3.0)),  # measured appliances have shares outside [0, 1]
]  # fmt: skip


def loaded(z: tuple[float, float], i: tuple[float, float], cvr: tuple[float, float] | None = None) -> Grid:
    """Five nodes in a row, one feeding back, with the same load model everywhere; lowest voltage near 0.9."""
    grid = chain(5, p=0.0, q=0.0, r=0.12, x=0.08)
    grid.rows["loads"].clear()
    for node, p, q in (("n1", 0.5, 0.2), ("n2", 0.9, 0.5), ("n3", -0.4, 0.1), ("n4", 1.2, 0.4)):
        grid.load(node, p, q, z, i, cvr)
    grid.rows["sources"][0]["v_pu"] = 1.02
    return grid


@pytest.mark.parametrize(("z", "i"), SHARES)
def test_zip_loads_equal_pandapower(z: tuple[float, float], i: tuple[float, float]) -> None:
    """Capability 6: shares of constant impedance and current, for P and Q apart, to 1e-9 pu."""
    feeder = loaded(z, i).feeder()
    sol = physics.solve(physics.compile(feeder), tol=1e-12)
    assert sol.converged
    assert sol.v_pu.min() < 0.95  # far enough from 1 pu for the model to matter
    assert np.abs(sol.v - pandapower_newton(feeder, 1e-11)).max() < 1e-9
    assert np.abs(sol.v - dense_newton(feeder)).max() < 1e-11


def test_each_load_model_is_a_different_answer() -> None:
    """Capability 6: constant impedance, current and power order as they must at low voltage."""
    sols = [
        physics.solve(physics.compile(loaded((z, z), (i, i)).feeder())) for z, i in ((1, 0), (0, 1), (0, 0))
    ]
    v = [float(s.v_pu.min()) for s in sols]
    assert v[0] > v[1] + 1e-3 > v[2] + 2e-3
    served = [float(s.p_slack_mw - s.p_loss_mw) for s in sols]
    assert served[0] < served[1] < served[2] == pytest.approx(2.2, abs=1e-7)


def dss_model(row: dict[str, Any]) -> str:
    """A load's model in OpenDSS: 4 with exponents, else 8 (shares of Z, I and P, for P then Q; cut-off 0)."""
    if row["cvr_p"] is not None:
        return f"model=4 CVRwatts={row['cvr_p']} CVRvars={row['cvr_q']}"
    shares = [(row[f"{part}_z_frac"], row[f"{part}_i_frac"]) for part in "pq"]
    return "model=8 ZIPV=[" + " ".join(f"{z} {i} {1 - z - i}" for z, i in shares) + " 0]"


def opendss(grid: Grid) -> Complex:
    """The grid's chain in OpenDSS: (n_bus,) line-to-neutral voltages in pu."""
    from dss import DSS

    def run(text: str) -> None:
        DSS.Text.Command = text
        assert not DSS.Text.Result, DSS.Text.Result

    source, kv = grid.rows["sources"][0], 10.0
    ohm = kv**2 / grid.base_mva
    run("clear")
    stiff = "r1=1e-9 x1=1e-9 r0=1e-9 x0=1e-9"
    run(f"new circuit.c bus1=n0 basekv={kv} pu={source['v_pu']} angle=0 phases=3 {stiff}")
    for k, row in enumerate(grid.rows["branches"]):
        r, x = row["r"] * ohm, row["x"] * ohm
        run(
            f"new line.b{k} bus1={row['from_node']} bus2={row['to_node']} phases=3 length=1 units=none "
            f"r1={r} x1={x} r0={r} x0={x} c1=0 c0=0"
        )
    for k, row in enumerate(grid.rows["loads"]):
        run(
            f"new load.l{k} bus1={row['node_id']} phases=3 conn=wye kv={kv} kw={1e3 * row['p_mw']} "
            f"kvar={1e3 * row['q_mvar']} vminpu=0.2 vmaxpu=2 {dss_model(row)}"
        )
    run("set controlmode=off maxiterations=200 tolerance=1e-12")
    run("solve")
    circuit: Any = DSS.ActiveCircuit
    assert circuit.Solution.Converged
    out = []
    for row in grid.rows["nodes"]:
        circuit.SetActiveBus(row["node_id"])
        parts = circuit.ActiveBus.Voltages
        out.append(complex(parts[0], parts[1]) / (1e3 * kv / 3**0.5))
    return np.array(out)


@pytest.mark.parametrize("cvr", [(0.8, 3.0), (2.0, 2.0), (0.4, 0.0), (1.0, 1.0)])
def test_cvr_exponents_equal_opendss(cvr: tuple[float, float]) -> None:
    """Capability 6: OpenDSS load model 4 (P ~ V^CVRwatts, Q ~ V^CVRvars) within 1e-4 pu, in fact 1e-7."""
    grid = loaded((0.0, 0.0), (0.0, 0.0), cvr)
    sol = physics.solve(physics.compile(grid.feeder()))
    assert np.abs(sol.v - opendss(grid)).max() < 1e-7
    assert np.abs(sol.v - dense_newton(grid.feeder())).max() < 1e-9


def test_zip_loads_equal_opendss() -> None:
    """Capability 6: OpenDSS load model 8 (ZIPV) within 1e-4 pu, in fact 1e-7."""
    grid = loaded((0.3, 0.7), (0.5, 0.1))
    sol = physics.solve(physics.compile(grid.feeder()))
    assert np.abs(sol.v - opendss(grid)).max() < 1e-7


def test_loads_of_one_node_add_up() -> None:
    """Capability 6: constant power, ZIP and generation at one node: each keeps its own share.

    Weighing shares by |p| instead of p gets the generator wrong. (pandapower is no oracle here: it averages
    the percentages of a bus's loads.)
    """
    grid = chain(3, p=0.5, q=0.2, r=0.1, x=0.1)
    grid.load("n2", 1.0, 0.4, z=1.0)
    grid.load("n2", -0.6, 0.1)
    grid.load("n2", 0.4, -0.3, i=0.5)
    feeder = grid.feeder()
    sol = physics.solve(physics.compile(feeder), tol=1e-12)
    assert np.abs(sol.v - dense_newton(feeder)).max() < 1e-11
    assert np.abs(sol.v - opendss(grid)).max() < 1e-7


def test_given_loads_keep_the_feeders_load_model() -> None:
    """Capability 6: `p_mw` is the power at 1 pu; the node's shares apply to it, an injection has none."""
    grid = loaded((0.4, 0.4), (0.3, 0.3))
    net = physics.compile(grid.feeder())
    p, q = 1.3 * net.load_p_mw, 0.7 * net.load_q_mvar
    inject = np.array([0.0, 0.0, 0.3, 0.0, 0.1])
    sol = physics.solve(net, p, q, p_inject_mw=inject, q_inject_mvar=-inject, tol=1e-12)
    for row in grid.rows["loads"]:
        row["p_mw"] *= 1.3
        row["q_mvar"] *= 0.7
    for node in ("n2", "n4"):
        grid.load(node, -inject[int(node[1])], inject[int(node[1])])
    assert np.abs(sol.v - dense_newton(grid.feeder())).max() < 1e-11


def test_injection_is_a_negative_load() -> None:
    """Capability 10: without voltage dependence p_inject_mw and a lower p_mw are the same bits of answer."""
    net = physics.compile(chain(6).feeder())
    inject = np.linspace(0.0, 0.3, 6)
    a = physics.solve(net, p_inject_mw=inject, q_inject_mvar=0.5 * inject)
    b = physics.solve(net, net.load_p_mw - inject, net.load_q_mvar - 0.5 * inject)
    assert (a.v == b.v).all()


def test_mixed_exponents_at_one_node_are_refused() -> None:
    """Capability 6: no single exponent says two of them; the error names the node and the way out."""
    grid = chain(3)
    grid.load("n2", 0.1, 0.1, cvr=(0.8, 2.0))
    with pytest.raises(ValueError, match=r"'n2'.*different CVR exponents.*closed switch"):
        physics.compile(grid.feeder())


def test_loads_that_cancel_at_nominal_voltage_are_refused() -> None:
    """Capability 6: +1 MW of impedance and -1 MW of power have no shares of their sum, which is zero."""
    grid = chain(3)
    grid.load("n2", 1.0, 0.1, z=1.0)
    grid.load("n2", -1.1, 0.0)
    with pytest.raises(ValueError, match=r"'n2' cancel"):
        physics.compile(grid.feeder())
