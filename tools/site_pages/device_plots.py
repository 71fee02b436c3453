"""A day of a device as a picture: what it was asked for, what came of it, and what an agent sees of it."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .catalogue import device_kinds
from .devices import example_env

Floats = NDArray[np.float64]

HOURS_A_LEVEL = 3
#: Shares of the way from the neutral action to an end of its range, a level for three hours each.
LEVELS = (0.0, -1.0, 0.0, 1.0, -0.5, 0.5, -1.0, 1.0)
#: What is counted in whole numbers where a device has it, by the name in `info["delivered"]`.
COUNTED = {"tap_pos": "tap position", "cap_on": "steps in use"}


class PlayedDay(NamedTuple):
    """A day of the device, each (steps, columns), with names of the columns."""

    action: Floats
    delivered: Floats
    seen: Floats
    action_names: list[str]
    delivered_names: list[str]
    seen_names: list[str]


def device_plot(name: str) -> bytes:
    """An SVG of the example's day, the same bytes each time; KeyError for a kind without an example."""
    asked, day = working_day(name)
    rest = played_day(name, day, (0.0,) * len(LEVELS))
    with mpl.rc_context({"svg.hashsalt": "distgrid", "svg.fonttype": "none", "font.size": 9}):
        n_panels = 3 if asked.seen_names else 2
        figure = Figure(figsize=(7.2, 1.9 * n_panels), layout="constrained")
        panels = figure.subplots(n_panels, 1, sharex=True)
        _draw(panels[0], asked.action, asked.action_names, "action")
        _draw(panels[1], asked.delivered, asked.delivered_names, "delivered")
        panels[1].set_prop_cycle(None)
        _draw(panels[1], rest.delivered, [""] * len(rest.delivered_names), "delivered", linestyle=":")
        panels[1].set_title("dotted: where nobody acts", fontsize=8, loc="right")
        if asked.seen_names:
            _draw(panels[2], asked.seen, asked.seen_names, "observed")
            panels[2].set_title("share of its range", fontsize=8, loc="right")
        panels[-1].set_xlabel("hour of the day")
        panels[-1].set_xticks(range(0, 25, 4))
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def working_day(name: str) -> tuple[PlayedDay, int]:
    """The first day from a quarter of the split on on which the device does something, and its number."""
    days = example_env(name).days
    for k in range(len(days) // 4, len(days)):
        played = played_day(name, int(days[k]), LEVELS)
        if np.ptp(played.delivered, axis=0).any():
            return played, int(days[k])
    raise ValueError(f"{name} rests on every day from {days[len(days) // 4]} on: give it another example")


def played_day(name: str, day: int, levels: tuple[float, ...]) -> PlayedDay:
    """A day with the action at each of ``levels`` for three hours."""
    env, prefix = example_env(name), f"{device_kinds()[name].kind}."
    blocks = [where for block, where in env.layout.items() if block.startswith(prefix)]
    columns = [row for where in blocks for row in env.layout.describe()[where]]
    at = [row.index for row in columns]
    low, high = (np.array([getattr(row, end) for row in columns]) for end in ("low", "high"))
    obs, _ = env.reset(seed=0, options={"day": day})
    neutral, rows, steps = env.neutral_action, [], round(HOURS_A_LEVEL / env.profiles.dt_h)
    for level in levels:
        action = np.clip(neutral + abs(level) * (np.sign(level) - neutral), -1.0, 1.0)
        for _ in range(steps):
            seen = (obs[at] - low) / np.maximum(high - low, 1e-9)
            obs, *_, info = env.step(action.astype(np.float32))
            names, values = _delivered(env, info["delivered"])
            rows.append((action, values, seen))
    env.close()
    acted, came, saw = (np.array(part, dtype=np.float64) for part in zip(*rows, strict=True))
    return PlayedDay(
        acted, came, saw, [dim.name for dim in env.action_layout], names, [row.name for row in columns]
    )


def _delivered(env: Any, delivered: Any) -> tuple[list[str], list[float]]:
    """What the units gave: positions of what is switched, else powers, those that are always 0 left in."""
    counted = [(word, delivered[name]) for name, word in COUNTED.items() if np.size(delivered.get(name, ()))]
    if counted:
        return [word for word, _ in counted], [float(np.ravel(value)[0]) for _, value in counted]
    names, values = [], []
    for quantity, unit in (("p_mw", "P, MW"), ("q_mvar", "Q, Mvar")):
        for k, value in enumerate(np.ravel(delivered[quantity])):
            names.append(unit if len(env.units) == 1 else f"{env.units[k].name}: {unit}")
            values.append(float(value))
    return names, values


def _draw(panel: Any, values: Floats, names: list[str], label: str, linestyle: str = "-") -> None:
    hours = np.arange(len(values) + 1) * (24.0 / len(values))
    for column, name in zip(values.T, names, strict=True):
        panel.step(
            hours, np.append(column, column[-1]), where="post", linestyle=linestyle, label=name or None
        )
    panel.set_ylabel(label)
    panel.grid(alpha=0.3)
    panel.margins(x=0.0)
    if any(names):
        panel.legend(
            loc="lower left", bbox_to_anchor=(0.0, 1.0), fontsize=7, ncols=3, frameon=False, borderpad=0.0
        )
