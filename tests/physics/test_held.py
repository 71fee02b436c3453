"""Generators that hold a voltage: by the sweep's solver and by pandapower, with and without limits."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest

from distgrid import cases, physics
from distgrid.baselines.workflows.dist.pf import power_flow
from distgrid.cases.importers.matpower.importer import feeder_from_text
from distgrid.envs import DistGridEnv
from distgrid.physics.balanced.stepper import Stepper

from .grids import Features, Grid, chain, random_tree, with_parallel_branches
from .oracle import Complex, load_power, pandapower_net

METHODS = ("backward-forward", "newton", "fast-decoupled")

REPORTED = """function mpc = case
mpc.version = '2';
mpc.baseMVA = 10;
mpc.bus = [
	1	3	0	0	0	0	1	1	0	12.66	1	1.1	0.9;
	2	1	0.5	0.2	0	0	1	1	0	12.66	1	1.1	0.9;
	3	2	0.8	0.3	0	0.1	1	1	0	12.66	1	1.1	0.9;
	5	1	0.3	0.1	0.02	0	1	1	0	12.66	1	1.1	0.9;
];
mpc.gen = [
	1	0	0	10	-10	1.02	10	1	10	0;
	3	0.4	0.1	1	-1	1.01	10	1	1	0;
];
mpc.branch = [
	1	2	0.01	0.02	0.004	0	0	0	0	0	1	-360	360;
	2	3	0.02	0.03	0.002	0	0	0	0	0	1	-360	360;
	5	2	0.03	0.02	0	0	0	0	0	0	1	-360	360;
];
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_bus_of_type_2_holds_its_voltage(method: str) -> None:
    """Capability 2, 20: a reported case; Newton on MATPOWER's bus admittances, and pandapower, say so."""
    feeder = feeder_from_text(REPORTED, "case.m", "case")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = physics.compile(feeder)
    sol = physics.solve(net, method=method)
    assert sol.converged
    np.testing.assert_allclose(sol.v_pu, [1.02, 1.01527556, 1.01, 1.01412998], rtol=0, atol=5e-9)
    np.testing.assert_allclose(sol.v_deg, [0.0, -0.036847, 0.064722, -0.055831], rtol=0, atol=5e-7)
    flow = power_flow(feeder, method=method)
    assert "hold their voltage" in flow.notes[0]
    (violated,) = flow.violations.to_pylist()
    assert (violated["kind"], violated["element"], violated["limit"]) == ("reactive_limit", "3", -1.0)
    total = flow.losses.to_pylist()[-1]
    for part, unit in (("p", "mw"), ("q", "mvar")):
        spent = sum(total[f"{part}_{name}_{unit}"] for name in ("load", "shunt", "loss"))
        assert total[f"{part}_source_{unit}"] == pytest.approx(spent, abs=1e-7)


def with_generators(grid: Grid, rng: np.random.Generator, limit: float | None = None) -> Grid:
    """The grid with up to three generators, which hold about the voltage that their node has without."""
    source = grid.rows["sources"][0]
    nodes = [row["node_id"] for row in grid.rows["nodes"] if row["node_id"] != source["node_id"]]
    size = 0.02 * grid.base_mva
    bare = grid.feeder()
    v_pu = physics.solve(physics.compile(bare, keep_loops=True)).v_pu
    for node in rng.choice(nodes, min(len(nodes), int(rng.integers(1, 4))), replace=False):
        room = None if limit is None else limit * size
        v = float(v_pu[bare.node_index[str(node)]] + rng.uniform(-0.004, 0.008))
        grid.generator(str(node), float(rng.uniform(0, size)), v, None if room is None else -room, room)
    return grid


def by_pandapower(feeder: cases.Feeder, enforce: bool) -> Complex:
    """Voltages by pandapower's Newton on its own elements, generators as its `gen`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandapower as pp

        net = pandapower_net(feeder)
        columns = ("node_id", "v_set_pu", "q_min_mvar", "q_max_mvar")
        for node, v, low, high in zip(*(feeder.column("loads", c) for c in columns), strict=True):
            if not np.isnan(v):
                at = feeder.node_index[str(node)]
                pp.create_gen(net, at, p_mw=0.0, vm_pu=v, min_q_mvar=low, max_q_mvar=high)
        pp.runpp(
            net, calculate_voltage_angles=True, trafo_model="pi", tolerance_mva=1e-9 * feeder.base_mva,
            numba=False, enforce_q_lims=enforce, max_iteration=30,
        )  # fmt: skip
    v = net.res_bus.vm_pu.to_numpy() * np.exp(1j * np.deg2rad(net.res_bus.va_degree.to_numpy()))
    return np.asarray(v)


@pytest.mark.quick(1)
@pytest.mark.parametrize("seed", range(8))
def test_random_feeders_with_generators_equal_pandapower(seed: int) -> None:
    """Capability 20: trees, parallel branches and a loop; the same Newton from our own door as well."""
    rng = np.random.default_rng([seed, 5])
    having = Features(charging=True, shunts=True)
    grid = random_tree(seed, int(rng.integers(4, 30)), having, drop=0.08)
    grid = with_parallel_branches(grid, rng)
    names = [row["node_id"] for row in grid.rows["nodes"]]
    if seed % 2:
        grid.branch(names[0], names[-1], 0.2, 0.3, branch_id="loop")
    for row in grid.rows["branches"]:
        row["tap"] = 1.0
    feeder = with_generators(grid, rng).feeder()
    net = physics.compile(feeder, keep_loops=True)
    theirs = by_pandapower(feeder, enforce=False)
    for method in ("backward-forward", "newton"):
        sol = physics.solve(net, method=method)
        assert sol.converged
        assert np.abs(sol.v - theirs).max() < 1e-8
        assert np.abs(sol.v_pu[net.held_node] - net.held_v_pu).max() < 1e-9
        assert missing(net, sol) < 1e-7 * net.base_mva


def missing(net: physics.Network, sol: physics.Solution) -> float:
    """Largest MVA that is missing at a bus: loads, shunts, flows, sources, generators."""
    drawn = load_power(net.feeder, sol.v_pu)[0] + (net.shunt_g_mw - 1j * net.shunt_b_mvar) * sol.v_pu**2
    np.add.at(drawn, net.from_row, sol.p_from_mw + 1j * sol.q_from_mvar)
    np.add.at(drawn, net.to_row, sol.p_to_mw + 1j * sol.q_to_mvar)
    drawn[net.source_node] -= sol.s_source_mva
    drawn[net.held_node] -= 1j * sol.q_held_mvar
    return float(np.abs(drawn).max())


@pytest.mark.parametrize("seed", range(6))
def test_limits_are_kept_where_they_are_enforced(seed: int) -> None:
    """A generator either holds, or stands at a limit on the side that its voltage calls for."""
    rng = np.random.default_rng([seed, 6])
    grid = random_tree(seed, int(rng.integers(4, 30)), Features(charging=True), drop=0.08)
    feeder = with_generators(grid, rng, limit=0.4).feeder()
    net = physics.compile(feeder, enforce_q_limits=True)
    both = [physics.solve(net, method=method) for method in ("backward-forward", "newton")]
    for sol in both:
        assert sol.converged
        q, off = sol.q_held_mvar, sol.v_pu[net.held_node] - net.held_v_pu
        room = 1e-7 * net.base_mva
        assert ((q >= net.held_q_min_mvar - room) & (q <= net.held_q_max_mvar + room)).all()
        assert (off[q < net.held_q_max_mvar - room] > -1e-7).all()
        assert (off[q > net.held_q_min_mvar + room] < 1e-7).all()
        assert missing(net, sol) < 1e-7 * net.base_mva
    assert np.abs(both[0].v - both[1].v).max() < 1e-7
    fixed = physics.solve(net)
    stepper = Stepper(net, 2, np.full(net.n_bus, 0.9), np.full(net.n_bus, 1.1))
    stepper.load_p_mw[:], stepper.load_q_mvar[:] = net.load_p_mw, net.load_q_mvar
    stepper.solve()
    assert stepper.v[1].tobytes() == fixed.v.tobytes()
    assert stepper.q_held_mvar[1].tobytes() == fixed.q_held_mvar.tobytes()


def test_a_generator_beyond_its_limit_equals_pandapower() -> None:
    """pandapower's `enforce_q_lims`: the voltage gives way, the reactive power stands at the limit."""
    grid = chain(5, p=0.3, q=0.2, r=0.02, x=0.04)
    grid.generator("n4", 0.2, 1.03, -0.1, 0.3)
    feeder = grid.feeder()
    for enforce, held in ((False, True), (True, False)):
        net = physics.compile(feeder, enforce_q_limits=enforce)
        sol = physics.solve(net)
        assert sol.converged
        assert np.abs(sol.v - by_pandapower(feeder, enforce)).max() < 1e-9
        assert (abs(sol.v_pu[4] - 1.03) < 1e-9) == held
    assert sol.q_held_mvar[0] == pytest.approx(0.3, abs=1e-12)


def test_rows_hold_with_loads_of_their_own() -> None:
    """Capability 9: every row of a batch as alone, dead nodes too."""
    grid = chain(5, p=0.2, q=0.1, r=0.02, x=0.04)
    grid.generator("n2", 0.1, 1.0)
    grid.generator("n4", 0.1, 0.99)
    grid.switch("n3-n4")
    net = physics.compile(grid.feeder())
    p = net.load_p_mw * np.array([[0.0], [1.0], [2.0]])
    closed = [[True], [True], [False]]
    sol = physics.solve(net, p, closed=closed)
    assert sol.converged.all()
    assert np.isnan(sol.v[2, 4])
    assert sol.q_held_mvar[2, 1] == 0.0
    for row in range(3):
        alone = physics.solve(net, p[row], closed=closed[row])
        assert alone.v.tobytes() == sol.v[row].tobytes()
        assert sol.v_pu[row, 2] == pytest.approx(1.0, abs=1e-10)


def test_environments_hold_within_limits_or_refuse() -> None:
    """A generator with limits plays; without, nothing bounds the state, and the error says what to give."""
    grid = chain(4, p=0.2, q=0.1, r=0.02, x=0.04)
    grid.generator("n2", 0.1, 1.0, -0.5, 0.5)
    env = DistGridEnv(grid.feeder())
    env.reset(seed=0)
    info = env.step(env.action_space.sample())[4]
    assert info["pf_converged"]
    assert info["voltages"][2] == pytest.approx(1.0, abs=1e-9)
    grid.rows["loads"][-1]["q_max_mvar"] = None
    with pytest.raises(ValueError, match=r"'n2'.*q_min_mvar and q_max_mvar"):
        DistGridEnv(grid.feeder())


@pytest.mark.parametrize(
    ("node", "change", "message"),
    [
        ("n2", {"v_set_pu": 0.0}, r"v_set_pu = 0\.0: expected a voltage > 0 pu"),
        (
            "n2",
            {"q_min_mvar": 2.0, "q_max_mvar": 1.0},
            r"q_max_mvar = 1\.0: expected a limit that is not below",
        ),
        ("n2", {"q_mvar": 0.5}, r"q_mvar = 0\.5: expected 0"),
        ("n2", {"p_z_frac": 0.5}, "expected null for a load that depends on voltage"),
        ("n0", {}, "expected null at a source"),
        ("n2", {"v_set_pu": None, "q_max_mvar": 1.0}, r"q_max_mvar = 1\.0: expected null"),
    ],
)
def test_what_cannot_hold_is_refused(node: str, change: dict[str, float], message: str) -> None:
    """Each with the row, the value and what was expected."""
    grid = chain(3)
    grid.generator(node, 0.1, 1.0)
    grid.rows["loads"][-1] |= change
    with pytest.raises(cases.CaseError, match=message):
        grid.feeder()


def test_two_generators_of_a_node_hold_one_voltage() -> None:
    """Their limits add; two voltages at one node are an error."""
    grid = chain(3)
    grid.generator("n2", 0.1, 1.0, -0.1, 0.2)
    grid.generator("n2", 0.1, 1.0, -0.3, 0.5)
    net = physics.compile(grid.feeder())
    assert net.held_q_max_mvar == pytest.approx([0.7])
    assert net.held_q_min_mvar == pytest.approx([-0.4])
    grid.rows["loads"][-1]["v_set_pu"] = 1.01
    with pytest.raises(cases.CaseError, match=r"v_set_pu = 1\.01: expected the voltage that"):
        grid.feeder()


def test_tables_with_generators_travel(tmp_path: Path) -> None:
    """Saved, read back, pickled: the same tables; phase by phase they are refused in words."""
    grid = chain(3)
    grid.generator("n2", 0.1, 1.0, -0.1, 0.2)
    feeder = grid.feeder()
    again = cases.load(feeder.save(tmp_path / "feeder"))
    assert again.equals(feeder)
    with pytest.raises(cases.CaseError, match=r'unless Feeder\.phases is "balanced"'):
        dataclasses.replace(feeder, phases="per-phase")
