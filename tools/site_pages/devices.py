"""The page of a kind of device: what it does, what it is made with, what of it an agent sees and drives."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from distgrid import envs

from .catalogue import device_kinds, registered, units
from .markdown import listed, prose, span, table
from .tables import action_table, observation_table


class Example(NamedTuple):
    """One device on a feeder."""

    face: str
    case: str
    arguments: dict[str, Any]


EXAMPLES = {
    "Battery": Example("DistGridEnv", "case33bw", {"bus": 18, "p_mw": 0.2, "energy_mwh": 0.8}),
    "PV": Example("DistGridEnv", "case33bw", {"bus": 25, "p_mw": 0.5, "controls": "pq"}),
    "EV": Example("DistGridEnv", "case33bw", {"bus": 30, "p_mw": 0.022}),
    "HostingSite": Example("DistGridEnv", "case33bw", {"bus": 25, "p_mw": 1.0, "step_mw": 0.2}),
    "Wind": Example("DistGridEnv", "case33bw", {"bus": 25, "p_mw": 0.5}),
    "HeatPump": Example("DistGridEnv", "case33bw", {"bus": 30, "p_mw": 0.1}),
    "FlexibleLoad": Example(
        "DistGridEnv",
        "case33bw",
        {"bus": 30, "curtail_mw": 0.05, "shift_mw": 0.05, "curtail_cost_per_mwh": 400.0, "return_h": 4.0},
    ),
    "Generator": Example(
        "DistGridEnv", "case33bw", {"bus": 18, "p_mw": 0.3, "cost_per_mwh": 270.0, "p_min_mw": 0.1}
    ),
    "DataCenter": Example(
        "DistGridEnv", "case33bw", {"bus": 24, "p_mw": 0.3, "dropped_cost_per_mwh": 1000.0}
    ),
    "SoftOpenPoint": Example("DistGridEnv", "case33bw", {"bus_1": 12, "bus_2": 22, "s_mva": 0.5}),
    "TapChanger": Example("DistGrid3PhaseEnv", "ieee13", {"regulator": "reg1"}),
    "CapacitorBank": Example("DistGrid3PhaseEnv", "ieee13", {"capacitor": "cap1"}),
}


def device_page(name: str) -> str:
    """The whole page as Markdown; KeyError for a kind without an example."""
    kind, env = device_kinds()[name], example_env(name)
    env.reset(seed=0)
    info = env.step(env.neutral_action)[4]
    charged = listed(cost for cost in info["costs"] if cost.startswith(f"{kind.kind}."))
    actions, seen = action_table(env), observation_table(env, prefix=f"{kind.kind}.")
    parts = [
        f"# {name}\n",
        prose(kind),
        f"## One on a feeder\n\n```python\n{example_source(name)}```\n",
        f"![A day of the example: what it was asked for, what came of it, what is observed]({name}.svg)\n",
        f'## Actions\n\nThose of the example. `info["delivered"]` tells what came of them.\n\n{actions}',
        f"## Observations\n\nAfter those of the grid.\n\n{seen}",
        f'## Costs\n\nNames in `info["costs"]`, for the example: {charged or "none"}.\n',
        f"## Fields\n\n{_fields(kind)}",
        f"## Environments that have one\n\n{_where(kind.kind)}",
    ]
    env.close()
    return "\n".join(parts)


def example_env(name: str) -> Any:
    """The feeder of the example with the device; KeyError for a kind without an example."""
    kind, example = device_kinds()[name], EXAMPLES[name]
    return getattr(envs, example.face)(
        case=example.case, resources=[kind(**example.arguments)], split="train"
    )


def example_source(name: str) -> str:
    """Lines of Python that attach one and take a step."""
    face, case, arguments = EXAMPLES[name]
    given = ", ".join(f"{key}={value!r}" for key, value in arguments.items()).replace("'", '"')
    return (
        f"from distgrid import {', '.join(sorted((name, face)))}\n\n"
        f'env = {face}(case="{case}", resources=[{name}({given})], split="train")\n'
        "obs, info = env.reset(seed=0)\n"
        "obs, reward, terminated, truncated, info = env.step(env.action_space.sample())\n"
        'print(info["delivered"])\n'
    )


def _fields(kind: type[envs.ResourceSpec]) -> str:
    """What a spec is made with."""
    rows = []
    for field in dataclasses.fields(kind):
        if field.init:
            default = "needed" if field.default is dataclasses.MISSING else f"`{field.default!r}`"
            rows.append((f"`{field.name}`", f"`{field.type}`", default))
    return table(("Field", "Type", "Default"), rows)


def _where(kind: str) -> str:
    """Registered environments with devices of this kind."""
    rows: list[tuple[object, ...]] = []
    rated = False
    for entry in registered():
        mine = [unit for unit in units(entry) if unit.kind == kind]
        if mine:
            rated = rated or mine[0].s_mva > 0.0
            link = f"[`{entry.id}`](../environments/{entry.family}.md)"
            rows.append((link, len(mine), span(u.p_mw for u in mine), span(u.s_mva for u in mine)))
    if not rows:
        return (
            "No registered environment has one: attach your own with `resources=` or `register_resource`.\n"
        )
    if not rated:
        return table(("Id", "Units"), [row[:2] for row in rows])
    return table(("Id", "Units", "P of one, MW", "S of one, MVA"), rows)
