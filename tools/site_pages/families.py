"""The page of a family: what its environments share as text, and in tables where they differ."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .audits import audit_section
from .catalogue import device_kinds, families, make
from .days import Played
from .markdown import listed, number, prose, sections, sentence, table, tabs
from .tables import action_table, band, device_table, level_table, observation_table

#: Sections that the docstring of an environment must have, in the order of the page.
SECTIONS = (
    "Description",
    "Timeline of a step",
    "Observation Space",
    "Action Space",
    "Rewards",
    "Costs",
    "Episode End",
    "Arguments",
    "Version History",
)

Live = Mapping[str, Any]  # the part of an id after the family -> its environment


def family_page(family: str, played: Played) -> str:
    """The whole page as Markdown."""
    entries = families()[family]
    live = {entry.feeder: make(entry) for entry in entries}
    one = next(iter(live.values()))
    one.reset(seed=0)
    info = one.step(one.neutral_action)[4]
    made = {
        "Description": f"### Devices\n\n{_of_each(device_table, live)}\n{_device_links(live)}",
        "Observation Space": _of_each(observation_table, live)
        + "\n`env.unwrapped.layout.describe()` lists every entry: bus, phase, and of when it is.\n\n"
        + f"### By level\n\n`{entries[0].id}` at each [level of observation](../observations.md):\n\n"
        + level_table(lambda level: make(entries[0], observation=level)),
        "Action Space": _of_each(action_table, live),
        "Rewards": _rewards(one),
        "Costs": (
            f'{_terms(one, "cost")}\n{band(one)} Names in `info["costs"]`: {listed(info["costs"])}. '
            "All keys of `info` are [on the overview page](index.md#info).\n"
        ),
        "Episode End": _failure_table(
            {entry.id: env for entry, env in zip(entries, live.values(), strict=True)}
        ),
        "Arguments": _arguments(live),
    }
    parts = [
        f"# {family}\n",
        f"{sentence(entries[0].summary)}\n",
        _day(family, played),
        _ids(family, live),
        f'`import distgrid`, then `gymnasium.make("{entries[0].id}", split="train")`.\n',
        _scores(played),
    ]
    for heading, text in _sections(type(one)).items():
        parts += [f"## {heading}\n", text]
        if heading in made:
            parts.append(made[heading])
    parts.append(audit_section(entries))
    for env in live.values():
        env.close()
    return "\n".join(parts)


def _of_each(view: Callable[[Any], str], live: Live) -> str:
    """A table for each id, in tabs."""
    return tabs({name: view(env) for name, env in live.items()})


def _sections(thing: type) -> dict[str, str]:
    """The sections of an environment's docstring, in order; ValueError if one is missing."""
    found = sections(prose(thing))
    missing = [heading for heading in SECTIONS if heading not in found]
    if missing:
        raise ValueError(f"the docstring of {thing.__name__} has no section {', '.join(missing)}")
    return {heading: found[heading] for heading in SECTIONS}


def _day(family: str, played: Played) -> str:
    """The animated day and what it shows."""
    day = played.day
    return (
        f"![{day.case} over a day under {day.rule}]({family}.gif)\n\n"
        f"`{day.id}` on {day.label}, a held-out day, under [`{day.rule}`](../policies.md). Circles are "
        "nodes, coloured by their voltage; the panels show the lowest, 10 %, median, 90 % and highest "
        "voltage, what the devices inject, and what is stored.\n"
    )


def _ids(family: str, live: Live) -> str:
    """What one wants to know first, one line for each id."""
    rows = []
    for entry, env in zip(families()[family], live.values(), strict=True):
        feeder = env.feeder
        rows.append(
            (
                f"`{entry.id}`",
                f"`{feeder.name}`",
                f"{feeder.n_nodes}, {feeder.n_branches}",
                env.observation_space.shape[0],
                len(env.action_layout),
                _fleet(env),
                number(env.load_scale),
                number(env.v_source_pu),
            )
        )
    header = (
        "Id", "Feeder", "Nodes, branches", "Observations", "Actions", "Devices", "`load_scale`",
        "`v_source_pu`",
    )  # fmt: skip
    env = next(iter(live.values()))
    steps = f"{env.grid.aside.episode_steps} steps of {env.profiles.dt_h * 60:.0f} minutes"
    return (
        f"## Ids\n\n{table(header, rows)}\n"
        "Observations are `Box((n,), float32)`, actions `Box(-1, 1, (n,), float32)`; "
        f"an episode is {steps}.\n"
    )


def _fleet(env: Any) -> str:
    """How many of each kind."""
    kinds = [unit.kind for unit in env.units]
    names = {kind.kind: name for name, kind in device_kinds().items()}
    return ", ".join(f"{kinds.count(kind)} {names[kind]}" for kind in dict.fromkeys(kinds))


def _device_links(live: Live) -> str:
    """Where to read about the kinds of this family."""
    here = {unit.kind for env in live.values() for unit in env.units}
    links = [f"[{name}](../devices/{name}.md)" for name, kind in device_kinds().items() if kind.kind in here]
    return f"What each kind can do: {', '.join(links)}.\n"


def _scores(played: Played) -> str:
    """What the rules earn, a table for each id in tabs."""
    header = (
        "Rule", "Return", "± over days", "Losses, MWh a day", "Outside the band, pu a day",
        "Steps outside, %", "Failed power flows",
    )  # fmt: skip
    of_each = {name: table(header, rows) for name, rows in played.score_rows().items()}
    return (
        f"## Scores\n\nMeans over {played.episodes} days of the split `test`; more return is better. "
        "`do-nothing` is what a policy has to beat; [the rules](../policies.md) know nothing of the reward. "
        "The same numbers come from "
        f"`distgrid run ID --policy RULE --split test --episodes {played.episodes}`.\n\n{tabs(of_each)}"
    )


def _rewards(env: Any) -> str:
    """The docstring of the task and its terms."""
    task = type(env.task)
    return f"### The task: {task.__name__}\n\n{prose(task)}\n{_terms(env, 'reward')}"


def _terms(env: Any, part: str) -> str:
    """The terms of the reward, or the costs, as the task's data have them."""
    rows = [
        (
            f"`{row.name}`",
            number(row.weight),
            row.unit,
            row.meaning + (f" ({row.parameters})" * bool(row.parameters)),
        )
        for row in env.task.term_rows()
        if row.part == part
    ]
    return table(("Term" if part == "reward" else "Cost", "Weight", "Per", "Of what"), rows)


def _failure_table(live: Live) -> str:
    """What a failed power flow costs, beside what the rigorous bound would be."""
    rows = []
    for identity, env in live.items():
        bound = -env.grid.worst_reward * env.grid.aside.episode_steps
        price, cost = env.task.failure_price, env.task.failure_cost
        rows.append((f"`{identity}`", f"{price:g}", f"{cost:g}", f"{bound:.4g}"))
    header = ("Id", "`failure_price`", "`failure_cost`", "The bound at midnight")
    task = type(next(iter(live.values())).task).__name__
    return (
        f"{table(header, rows)}\n"
        "`tools/search_failure_price.py` sought the worst day while the power flow is solved, on all days "
        "of the year, with chance, constant extremes and hill-climbing; both numbers are a quarter above "
        "the sum of the worst that it found for each interval of a day. "
        f'`task={task}(failure_price="bound", ...)` takes the rigorous bound instead, which falls with every '
        "step.\n"
    )


def _arguments(live: Live) -> str:
    """Arguments with their defaults and with what the ids set, then the fields of the task."""
    one = next(iter(live.values()))
    face, task = type(one).__name__, type(one.task).__name__
    here = {
        "case": "the feeder",
        "resources": "the devices",
        "task": f"`{task}`, as below",
        "load_scale": "as [above](#ids)",
        "v_source_pu": "as [above](#ids)",
    }
    parameters = [p for p in inspect.signature(type(one)).parameters.values() if p.name != "options"]
    rows = [(f"`{p.name}`", f"`{p.default!r}`", here.get(p.name, "")) for p in parameters]
    tasks = [env.task for env in live.values()]
    names = [f.name for f in dataclasses.fields(one.task) if f.init]
    fields = [(f"`{name}`", *(f"`{getattr(task, name)!r}`" for task in tasks)) for name in names]
    return (
        table(("Argument", f"Default of `{face}`", "These ids"), rows)
        + f"\nThe fields of the task, `distgrid.envs.{task}`:\n\n"
        + table(("Field", *_short(live)), fields)
    )


def _short(live: Live) -> Sequence[str]:
    """Headings of columns."""
    return tuple(live)
