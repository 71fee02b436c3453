"""What is true of every per-phase power flow, whatever the feeder."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distgrid import physics
from distgrid.cases.model.feeder import Feeder

from .grids import Features, random_tree
from .phase_grids import LETTERS, Grid3, random_feeder

FIELDS = (
    "v", "i_node", "i_source", "converged", "diverged", "collapsed", "iterations", "v_update_pu", "v_pu",
    "v_deg", "vuf_pct", "p_from_mw", "q_from_mvar", "p_to_mw", "q_to_mvar", "i_ka", "loading", "p_loss_mw",
    "q_loss_mvar", "p_slack_mw", "q_slack_mvar", "s_source_mva",
)  # fmt: skip
TURN = np.exp(2j * np.pi / 3)


def per_phase(feeder: Feeder) -> Feeder:
    """A balanced feeder with three-phase elements: mutual coupling such that the positive sequence is the
    same.
    """
    column = feeder.column
    grid = Grid3(base_mva=feeder.base_mva)
    kv = dict(zip(column("nodes", "node_id"), column("nodes", "base_kv"), strict=True))
    for node in feeder.nodes.to_pylist():
        grid.node(node["node_id"], kv=node["base_kv"], g=node["shunt_g_mw"], b=node["shunt_b_mvar"])
    for source in feeder.sources.to_pylist():
        grid.source(source["node_id"], source["v_pu"], source["v_deg"])
    for branch in feeder.branches.to_pylist():
        ends = branch["from_node"], branch["to_node"]
        if branch["tap"] == 1.0:
            base = kv[ends[0]] ** 2 / feeder.base_mva
            z, b = (branch["r"] + 1j * branch["x"]) * base, branch["b"] / base * 1e6
            coupled = np.full((3, 3), 0.4 * z) + np.eye(3) * z
            charging = np.full((3, 3), -0.2 * b) + np.eye(3) * b
            grid.line(*ends, matrix=coupled, charging=charging, closed=branch["status"])
        else:
            unit = {
                "s_mva": feeder.base_mva, "hv_kv": kv[ends[0]], "lv_kv": kv[ends[1]],
                "tap_from": branch["tap"], "r_pct": 100 * branch["r"], "x_pct": 100 * branch["x"],
            }  # fmt: skip
            grid.bank(*ends, [unit])
    for load in feeder.loads.to_pylist():
        cvr = None if load["cvr_p"] is None else (load["cvr_p"], load["cvr_q"])
        grid.load(load["node_id"], "ABC", load["p_mw"], load["q_mvar"], cvr=cvr)
        names = ("p_z_frac", "p_i_frac", "q_z_frac", "q_i_frac")
        grid.rows["loads"][-1] |= {name: load[name] for name in names}
    for cap in feeder.capacitors.to_pylist():
        grid.cap(cap["node_id"], "ABC", cap["q_mvar"], cap["status"])
    return grid.feeder()


@pytest.mark.parametrize("seed", range(5))
def test_a_balanced_feeder_in_three_phases_is_the_balanced_feeder(seed: int) -> None:
    """Capability 18: to 1e-9, with charging, shunts, taps, banks, ZIP loads and exponents."""
    features = Features(**{f.name: f.name not in ("shift", "shifts") for f in dataclasses.fields(Features)})
    grid = random_tree(seed, 40, features, drop=0.08)
    for row in grid.rows["branches"]:
        row["shift_deg"] = 0.0
        if row["tap"] != 1.0:
            row["b"] = 0.0
    feeder = grid.feeder()
    one = physics.solve(physics.compile(feeder), tol=1e-12)
    three = physics.solve(physics.compile_per_phase(per_phase(feeder)), tol=1e-12)
    assert one.converged
    assert three.converged
    for k in range(3):
        assert np.abs(three.v[:, k] * TURN**k - one.v).max() < 1e-9
    assert three.p_loss_mw == pytest.approx(one.p_loss_mw, abs=1e-9)
    assert three.q_slack_mvar == pytest.approx(one.q_slack_mvar, abs=1e-9)
    assert three.p_from_mw.sum(axis=1) == pytest.approx(one.p_from_mw, abs=1e-9)
    assert three.vuf_pct.max() < 1e-7


def turned(grid: Grid3) -> Feeder:
    """The same feeder with B called A, C called B and A called C."""
    names = dict(zip("BCA", LETTERS, strict=True))
    order = [1, 2, 0]

    def letters(text: str) -> str:
        return "".join(names.get(x, x) for x in text)

    other = Grid3(base_mva=grid.base_mva, name=grid.name)
    for table, rows in grid.rows.items():
        for old in rows:
            row: dict[str, Any] = dict(old)
            for column in ("phase", "from_phase", "to_phase"):
                if column in row:
                    text = letters(row[column])
                    row[column] = text if table == "transformers" else "".join(sorted(text))
            for column in ("r_ohm", "x_ohm", "b_us"):
                if row.get(column) is not None:
                    row[column] = np.array(row[column]).reshape(3, 3)[np.ix_(order, order)].ravel().tolist()
            if table == "sources":
                row["v_deg"] = row["v_deg"] - 120.0  # of what is phase A now
            other.rows[table].append(row)
    return other.feeder()


@pytest.mark.parametrize("seed", range(4))
def test_other_names_for_the_phases_permute_the_answer(seed: int) -> None:
    """Capability 106: no phase is special."""
    grid = random_feeder(seed)
    v = physics.solve(physics.compile_per_phase(grid.feeder()), tol=1e-12).v
    w = physics.solve(physics.compile_per_phase(turned(grid)), tol=1e-12).v
    assert np.array_equal(np.isnan(w), np.isnan(v[:, [1, 2, 0]]))
    assert np.nanmax(np.abs(w - v[:, [1, 2, 0]])) < 1e-10


@pytest.mark.parametrize("seed", range(4))
def test_direction_order_and_ids_do_not_matter(seed: int) -> None:
    """Capability 106, trap 2."""
    rng = np.random.default_rng(seed)
    grid = random_feeder(seed)
    net = physics.compile_per_phase(grid.feeder())
    sol = physics.solve(net, tol=1e-12)
    other = Grid3(base_mva=grid.base_mva, name=grid.name)
    ids = {row["node_id"]: f"n{k}" for k, row in enumerate(rng.permutation(np.array(grid.rows["nodes"])))}
    for table, rows in grid.rows.items():
        for k in rng.permutation(len(rows)):
            row = dict(rows[k])
            for column in ("node_id", "from_node", "to_node"):
                if column in row:
                    row[column] = ids[row[column]]
            if table == "branches" and row["type"] == "line" and rng.random() < 0.5:
                row["from_node"], row["to_node"] = row["to_node"], row["from_node"]
            other.rows[table].append(row)
    feeder = other.feeder()
    again = physics.solve(physics.compile_per_phase(feeder), tol=1e-12)
    at = [feeder.node_index[ids[name]] for name in net.feeder.column("nodes", "node_id")]
    assert np.nanmax(np.abs(again.v[at] - sol.v)) < 1e-11
    assert again.p_loss_mw == pytest.approx(sol.p_loss_mw, abs=1e-11)


def balance(net: physics.Network3, sol: physics.Solution3) -> NDArray[np.complex128]:
    """(n_bus, 3) complex MVA that flows into branches at each node and phase, all branches together."""
    total = np.zeros((net.n_bus, 3), dtype=complex)
    np.add.at(total, net.from_row, sol.p_from_mw + 1j * sol.q_from_mvar)
    np.add.at(total, net.to_row, sol.p_to_mw + 1j * sol.q_to_mvar)
    return total


@pytest.mark.parametrize("seed", range(4))
def test_power_is_conserved_at_every_node_and_phase(seed: int) -> None:
    """Capability 96: what a node takes from its branches is its load less its injection, phase by phase."""
    grid = random_feeder(seed, delta=False, models=False)
    net = physics.compile_per_phase(grid.feeder())
    rng = np.random.default_rng(seed)
    inject = np.where(net.present, rng.uniform(0, 0.02, net.present.shape), 0.0)
    sol = physics.solve(net, p_inject_mw=inject, q_inject_mvar=0.3 * inject, tol=1e-11)
    assert sol.converged
    expected = (net.load_p_mw + 1j * net.load_q_mvar) - inject * (1 + 0.3j)
    for bank in net.node_loads.banks:
        power = bank.b_pu * net.base_mva / 3 * sol.v_pu[bank.node, bank.place] ** 2
        expected[bank.node, bank.place] -= 1j * power
    rest = balance(net, sol) + expected
    source = net.sources[0].node
    assert rest[source].sum() == pytest.approx(complex(sol.p_slack_mw, sol.q_slack_mvar), abs=1e-9)
    rest[source] = 0.0
    assert np.abs(rest).max() < 1e-9
    in_out = expected.sum() + complex(sol.p_loss_mw, sol.q_loss_mvar)
    assert in_out == pytest.approx(complex(sol.p_slack_mw, sol.q_slack_mvar), abs=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 700])
def test_a_row_has_the_same_bits_alone_and_in_any_batch(count: int) -> None:
    """Capability 17: the scalar and the vector form of the kernel, any neighbour, any number of threads."""
    net = physics.compile_per_phase(random_feeder(3).feeder())
    rng = np.random.default_rng(1)
    scale = rng.uniform(0.2, 2.0, (count, 1, 1))
    tap = rng.integers(-16, 17, (count, net.tap.size)) * 0.00625 + 1.0
    many = physics.solve(
        net, net.load_p_mw * scale, net.load_q_mvar, p_delta_mw=net.delta_p_mw * scale, tap=tap, threads=2
    )
    for row in range(count) if count < 10 else (0, 7, 8, 351, 352, 353, 699):
        one = physics.solve(
            net,
            net.load_p_mw * scale[row],
            net.load_q_mvar,
            p_delta_mw=net.delta_p_mw * scale[row],
            tap=tap[row],
        )
        for name in FIELDS:
            a, b = np.asarray(getattr(one, name)), np.asarray(getattr(many, name))[row]
            assert a.tobytes() == b.tobytes(), name


def test_flags_near_and_beyond_the_nose() -> None:
    """Capability 108: what did not converge is flagged, and nothing that says converged has a mismatch."""
    net = physics.compile_per_phase(random_feeder(2, models=False).feeder())
    scale = np.linspace(1.0, 400.0, 60)[:, None, None]
    sol = physics.solve(net, net.load_p_mw * scale, net.load_q_mvar * scale, max_iter=400)
    assert sol.converged[0]
    assert sol.diverged[-1]
    assert np.array_equal(sol.converged, ~sol.diverged)
    assert sol.collapsed[-1]
    for row in np.flatnonzero(sol.converged):
        again = physics.solve(
            net,
            net.load_p_mw * scale[row],
            net.load_q_mvar * scale[row],
            v0=sol.v[row],
            tol=1e-11,
            max_iter=2000,
        )
        assert again.converged
        assert np.nanmax(np.abs(again.v - sol.v[row])) < 1e-6
