"""Write one page per registered environment, and the tables of README and of the environments' overview.

    python tools/gen_env_docs.py            # write what is out of date
    python tools/gen_env_docs.py --check    # say what is out of date, exit 1

Prose comes from the docstrings of the environment and of its task; tables come from the live environment,
so that they cannot drift from the code.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from distgrid.envs.registration import ENTRIES, RegisteredEnv

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "environments"
MARKS = ("<!-- environments:start -->", "<!-- environments:end -->")

# Sections that the docstring of an environment must have, in the order of the page.
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


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def prose(thing: object) -> str:
    """A docstring as Markdown: doubled backticks and reST roles become plain code."""
    text = inspect.getdoc(thing) or ""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text)
    return text.replace("``", "`") + "\n"


def number(value: float) -> str:
    """A bound or rating, short but exact enough to check by hand."""
    return f"{value:.4g}" if np.isfinite(value) else "none"


def span(values: Iterable[float]) -> str:
    """One number, or the range of several."""
    shown = sorted(set(values))
    ends = [number(shown[0]), number(shown[-1])]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def observation_table(env: Any) -> str:
    """One line per block of the observation."""
    described = env.layout.describe()
    rows = []
    for name, where in env.layout.items():
        block = described[where]
        units = ", ".join(sorted({row.unit for row in block}))
        low, high = span(row.low for row in block), span(row.high for row in block)
        first, last = block[0].name, block[-1].name
        names = f"`{first}`" if first == last else f"`{first}` … `{last}`"
        index = f"{where.start}" if len(block) == 1 else f"{where.start}–{where.stop - 1}"
        rows.append((index, f"`{name}`", env.layout.blocks[name].meaning, names, units, low, high))
    return table(("Index", "Block", "Meaning", "Entries", "Unit", "Low", "High"), rows)


def action_table(env: Any) -> str:
    """One line per dimension of the action."""
    neutral = env.neutral_action
    meaning = {"p": "active power", "q": "reactive power"}
    rows = [
        (
            dim.index,
            f"`{dim.name}`",
            dim.bus,
            meaning.get(dim.quantity, dim.quantity),
            -1,
            1,
            number(neutral[dim.index]),
        )
        for dim in env.action_layout
    ]
    return table(("Index", "Name", "Bus", "Controls", "Low", "High", "Neutral"), rows)


def device_table(env: Any) -> str:
    """One line per unit of the fleet, with its ratings."""
    if not env.units:
        return "None: attach your own with `resources=` or `register_resource`.\n"
    rows = [
        (
            u.name,
            u.bus,
            u.phase,
            number(u.p_mw),
            number(u.s_mva),
            number(u.q_max_mvar),
            number(u.energy_mwh or np.nan),
        )
        for u in env.units
    ]
    return table(("Device", "Bus", "Phase", "P, MW", "S, MVA", "Largest Q, MVAr", "Energy, MWh"), rows)


def argument_table(entry: RegisteredEnv, env: Any) -> str:
    """Arguments with their defaults and with what the id sets, then the fields of its task."""
    task = type(env.task).__name__
    here = {
        "case": f"`{entry.case!r}`",
        "resources": "the devices above",
        "task": f"`{task}()`",
        "load_scale": f"`{entry.load_scale!r}`",
    }
    parameters = [p for p in inspect.signature(type(env)).parameters.values() if p.name != "options"]
    rows = [(f"`{p.name}`", f"`{p.default!r}`", here.get(p.name, "")) for p in parameters]
    fields = [
        (f"`{f.name}`", f"`{getattr(env.task, f.name)!r}`") for f in dataclasses.fields(env.task) if f.init
    ]
    return (
        table(("Argument", f"Default of `{type(env).__name__}`", "This id"), rows)
        + f"\nThe fields of its task, `distgrid.envs.{task}`:\n\n"
        + table(("Field", "Value"), fields)
    )


def sections(thing: type) -> dict[str, str]:
    """The sections of a class's docstring by heading; ValueError if one is missing."""
    parts = re.split(r"^## (.+)$", prose(thing), flags=re.MULTILINE)
    found = {
        heading.strip(): text.strip() + "\n" for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    missing = [heading for heading in SECTIONS if heading not in found]
    if missing:
        raise ValueError(f"the docstring of {thing.__name__} has no section {', '.join(missing)}")
    return {heading: found[heading] for heading in SECTIONS}


def facts(entry: RegisteredEnv, env: Any) -> str:
    """What one wants to know first."""
    feeder, task = env.feeder, env.task
    minutes = env.profiles.dt_h * 60
    rows = [
        ("Make", f'`gymnasium.make("{entry.id}", split="train")` after `import distgrid`'),
        ("Feeder", f"`{feeder.name}`: {feeder.n_nodes} nodes, {feeder.n_branches} branches"),
        ("Observation", f"`Box(({env.observation_space.shape[0]},), float32)`"),
        ("Action", f"`Box(-1, 1, ({env.action_space.shape[0]},), float32)`"),
        ("Episode", f"{task.episode_steps} steps of {minutes:.0f} minutes"),
        ("Task", f"`distgrid.envs.{type(task).__name__}`"),
        (
            "A failed power flow",
            f"costs {task.failure_price:g} of the reward, and {task.failure_cost:g} as cost",
        ),
    ]
    return table(("", ""), rows)


def page(entry: RegisteredEnv) -> str:
    """The page of one environment: the docstring's sections, each followed by what the live one says."""
    env: Any = gymnasium.make(entry.id).unwrapped
    env.reset(seed=0)
    info = env.step(env.neutral_action)[4]
    live = {
        "Description": f"### Devices\n\n{device_table(env)}",
        "Observation Space": observation_table(env)
        + "\n`env.unwrapped.layout.describe()` lists every entry.\n",
        "Action Space": action_table(env),
        "Rewards": (
            f"### The task: {type(env.task).__name__}\n\n{prose(type(env.task))}\n"
            f'Terms in `info["rewards"]`: {listed(info["rewards"])}.\n'
        ),
        "Episode End": failure(env),
        "Costs": (
            f'{band(env)} Names in `info["costs"]`: {listed(info["costs"])}. '
            "All keys of `info` are [on the overview page](index.md#info).\n"
        ),
        "Arguments": argument_table(entry, env),
    }
    parts = [
        f"# {short(entry)}\n",
        f"<!-- Written by tools/gen_env_docs.py for {entry.id}: change the docstrings or the tool. -->\n",
        f"{sentence(entry.summary)}\n",
        facts(entry, env),
    ]
    for heading, text in sections(type(env)).items():
        parts += [f"## {heading}\n", text]
        if heading in live:
            parts.append(live[heading])
    env.close()
    return "\n".join(parts)


def failure(env: Any) -> str:
    """What a failed power flow costs here, beside what the rigorous bound would be."""
    task, grid = env.task, env.grid
    bound = -grid.worst_reward * task.episode_steps
    return (
        f"Here `failure_price` is {task.failure_price:g} and `failure_cost` {task.failure_cost:g}, whenever "
        "it happens. `tools/search_failure_price.py` sought the worst day while the power flow is solved, on "
        "all days of the year, with chance, constant extremes and hill-climbing; both numbers are a quarter "
        "above the sum of the worst that it found for each interval of a day. "
        f'`task={type(task).__name__}(failure_price="bound", ...)` takes the rigorous bound instead: '
        f"{bound:.4g} at midnight, less with every step.\n"
    )


def listed(names: Iterable[str]) -> str:
    """Names as code, with commas."""
    return ", ".join(f"`{name}`" for name in names)


def band(env: Any) -> str:
    """The voltage limits in words."""
    if env.task.v_band is None:
        return "Voltages are judged against the limits of the feeder's nodes."
    low, high = env.task.v_band
    return f"Voltages are judged against {low} to {high} pu."


def short(entry: RegisteredEnv) -> str:
    """The id without its namespace: the name of its page."""
    return entry.id.rpartition("/")[2]


def sentence(text: str) -> str:
    """Text with a capital and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def overview(link: str) -> str:
    """The table of all environments; `link` is put before each page's name."""
    rows = []
    for entry in ENTRIES:
        env: Any = gymnasium.make(entry.id).unwrapped
        sizes = (env.observation_space.shape[0], env.action_space.shape[0])
        rows.append(
            (f"[`{entry.id}`]({link}{short(entry)}.md)", f"`{entry.case}`", *sizes, sentence(entry.summary))
        )
        env.close()
    return table(("Id", "Feeder", "Observations", "Actions", "What it is"), rows)


def between_marks(text: str, content: str) -> str:
    """`text` with what stands between the marks replaced."""
    start, end = MARKS
    head, _, rest = text.partition(start)
    _, found, tail = rest.partition(end)
    if not found:
        raise ValueError(f"put {start} and {end} where the table of environments belongs")
    return f"{head}{start}\n{content}{end}{tail}"


def wanted() -> dict[Path, str]:
    """Every generated file with the content it should have."""
    files = {PAGES / f"{short(entry)}.md": page(entry) for entry in ENTRIES}
    for path, link in ((ROOT / "README.md", "docs/environments/"), (PAGES / "index.md", "")):
        files[path] = between_marks(path.read_text(), overview(link))
    return files


def main(argv: Sequence[str]) -> int:
    """Write, or with --check report, what is out of date. Returns the exit code."""
    files = wanted()
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    orphans = [path for path in PAGES.glob("*.md") if path not in files]
    for path in stale:
        print(path.relative_to(ROOT))
    for path in orphans:
        print(f"{path.relative_to(ROOT)}: no such environment")
    if "--check" in argv:
        return 1 if stale or orphans else 0
    for path in stale:
        path.write_text(files[path])
    for path in orphans:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
