"""Observations as graphs: Gymnasium's space, the same numbers as the flat ones, phases as features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from distgrid.envs import (
    PV,
    Battery,
    Block,
    DistGrid3PhaseVectorEnv,
    DistGridEnv,
    DistGridVectorEnv,
    GraphLayout,
    GraphObservation,
    LoadForecast,
    LossMinimisation,
    Meter,
)
from distgrid.envs.blocks import GRID_BLOCKS

from .world import FEEDER, FEEDER3, WORLDS, make


@dataclass(frozen=True)
class Sees(LossMinimisation):
    """The bare task that observes what it is told."""

    seen: tuple[Any, ...] = GRID_BLOCKS

    @property
    def blocks(self) -> tuple[str | Block, ...]:
        return self.seen


def graph_of(env: DistGridEnv, seed: int = 1) -> tuple[GraphObservation, Any, Any]:
    """The wrapper, a graph after some steps, and the flat observation of the same time."""
    wrapped = GraphObservation(env)
    wrapped.reset(seed=seed)
    for _ in range(40):
        graph, *_ = wrapped.step(np.array([0.4, -0.3, 0.6], dtype=np.float32))
    return wrapped, graph, env.obs()


@pytest.mark.parametrize("world", WORLDS)
def test_the_graph_is_in_its_space_and_gymnasium_checks_it(world: str) -> None:
    """Every block at once; spaces of graphs, and steps inside them."""
    wrapped, graph, _ = graph_of(WORLDS[world](task=Sees()))
    assert wrapped.observation_space.contains(graph)
    assert graph.nodes.dtype == graph.edges.dtype == np.float32
    feeder = wrapped.unwrapped.feeder  # type: ignore[attr-defined]
    assert graph.nodes.shape == (feeder.n_nodes, len(wrapped.layout.node_names))
    assert graph.edges.shape == (feeder.n_branches, len(wrapped.layout.edge_names))
    sampled = wrapped.observation_space.sample(num_nodes=3, num_edges=4)  # type: ignore[call-arg]
    assert wrapped.observation_space.contains(sampled)
    with pytest.warns(UserWarning, match="different from the unwrapped version"):
        check_env(GraphObservation(WORLDS[world](task=Sees())), skip_render_check=True)


@pytest.mark.parametrize("world", WORLDS)
def test_it_holds_the_numbers_of_the_flat_observation(world: str) -> None:
    """Entry by entry through the layout: every number is somewhere, at its node or branch."""
    env = WORLDS[world](task=Sees())
    wrapped, graph, flat = graph_of(env)
    layout, feeder = wrapped.layout, env.feeder
    places = {row.name: row.index for row in env.layout.describe()}
    seen = set()
    for name, index in places.items():
        head, _, inside = name.partition("[")
        at = inside.rstrip("]")
        if head in ("p_from_mw", "q_from_mvar", "i_ka", "loading"):
            branch, _, phase = (at, "", "") if at in feeder.branch_index else at.rpartition(".")
            feature = layout.edge_names.index(f"{head}.{phase}" if phase else head)
            value = graph.edges[feeder.branch_index[branch], feature]
        elif inside:
            node, _, phase = (at, "", "") if at in feeder.node_index else at.rpartition(".")
            feature = layout.node_names.index(f"{head}.{phase}" if phase else head)
            value = graph.nodes[feeder.node_index[node], feature]
        elif name in layout.node_names:
            assert np.unique(graph.nodes[:, layout.node_names.index(name)]).size == 1
            value = graph.nodes[0, layout.node_names.index(name)]
        else:
            unit = next(u for u in env.units if name.startswith(f"{u.name}."))
            feature = layout.node_names.index(f"{unit.kind}.{name.rpartition('.')[2]}")
            value = graph.nodes[unit.node_row, feature]
        assert value == flat[index], name
        seen.add(index)
    assert seen == set(range(flat.size))
    ends = [
        [feeder.node_index[str(n)] for n in feeder.column("branches", c)] for c in ("from_node", "to_node")
    ]
    np.testing.assert_array_equal(graph.edge_links, np.array(ends).T)


def test_phases_that_do_not_exist_are_zero_and_masked() -> None:
    """Node 611 of IEEE 13 has phase C alone."""
    wrapped, graph, _ = graph_of(WORLDS["per-phase"](task=Sees(seen=("v_pu", "i_ka"))))
    names = wrapped.layout.node_names
    row = graph.nodes[FEEDER3.node_index["611"]]
    assert [row[names.index(f"phase.{p}")] for p in "ABC"] == [0.0, 0.0, 1.0]
    assert [row[names.index(f"v_pu.{p}")] > 0.5 for p in "ABC"] == [False, False, True]
    assert "phase.A" in wrapped.layout.edge_names
    assert wrapped.layout.edge_names[:3] == ("i_ka.A", "i_ka.B", "i_ka.C")


VECTORS: dict[str, tuple[Callable[..., Any], Any]] = {
    "balanced": (DistGridVectorEnv, FEEDER), "per-phase": (DistGrid3PhaseVectorEnv, FEEDER3)
}  # fmt: skip


@pytest.mark.parametrize("world", WORLDS)
def test_a_vector_environment_has_batched_arrays(world: str) -> None:
    """Row by row the graph of the single environment."""
    kind, feeder = VECTORS[world]
    single = WORLDS[world](task=Sees())
    envs = kind(feeder, single.resources, Sees(), num_envs=3)
    observations, _ = envs.reset(seed=[5, 6, 7])
    layout = GraphLayout(envs)
    graph, _ = GraphObservation(single).reset(seed=6)
    np.testing.assert_array_equal(layout.nodes(observations)[1], graph.nodes)
    np.testing.assert_array_equal(layout.edges(observations)[1], graph.edges)
    assert layout.space == GraphLayout(single).space


def test_devices_at_one_bus_forecasts_and_meters_have_features_of_their_own() -> None:
    """No two numbers in one place; masks and lead times stand at their nodes."""
    env = make(
        resources=[Battery(18, 0.2, 0.8, name="a"), Battery(18, 0.1, 0.4, name="b"), PV(25, 0.5)],
        task=Sees(seen=("v_pu", LoadForecast(2, of="point"))),
        meters=[Meter("v_pu", std=0.01, dropout=0.5, missing="mask", columns=["18", "5"])],
    )
    wrapped = GraphObservation(env)
    graph: Any = wrapped.reset(seed=0)[0]
    names, row = wrapped.layout.node_names, graph.nodes[FEEDER.node_index["18"]]
    assert {"battery.soc", "battery.soc#2", "v_pu", "v_pu.measured", "load_forecast_mw[+2]"} < set(names)
    assert row[names.index("battery.soc")] == row[names.index("battery.soc#2")] == 0.5
    assert np.count_nonzero(graph.nodes[:, names.index("v_pu")]) == 2
    assert np.count_nonzero(graph.nodes[:, names.index("load_forecast_mw[+1]")]) > 30
    assert wrapped.observation_space.contains(graph)


def test_what_has_no_graph_is_told() -> None:
    with pytest.raises(TypeError, match="is for distgrid environments, got CartPoleEnv"):
        GraphObservation(gym.make("CartPole-v1"))
    env = gym.wrappers.FrameStackObservation(make(), 2)
    with pytest.raises(ValueError, match="put it below other wrappers"):
        GraphObservation(env)
