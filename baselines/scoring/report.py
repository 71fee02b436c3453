"""report.png: for each policy the feeder at its worst and the voltages over time, and the scores of all.

matplotlib is imported inside the functions and draws on an Agg canvas of its own: no pyplot, no display.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ...cases.profiles.calendar import HOURS_PER_DAY
from ...envs.rendering.time_span import TimeSpan
from ...physics.violations import of_band
from .score_table import SCORE_COLUMNS
from .summary import PolicySummary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ...cases import Feeder
    from ...envs.resources.base import UnitInfo

MAX_PANELS = 3
DPI = 110
_WIDTH_IN, _ROW_IN, _HEAD_IN, _LINE_IN = 12.6, 3.6, 0.95, 0.27


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that the report shows: the tables and the summary of `RunResult`, and what they refer to."""

    steps: pa.Table
    nodes: pa.Table
    branches: pa.Table
    summary: Sequence[PolicySummary]
    feeder: Feeder
    units: Sequence[UnitInfo]
    band: tuple[float, float]  # voltage limits to draw, pu
    limits: tuple[NDArray[np.float64], NDArray[np.float64]]  # (n_nodes,) that voltages are judged by
    dt_h: float
    title: str
    subtitle: str
    episode_h: float = HOURS_PER_DAY

    @property
    def span(self) -> TimeSpan:
        """The axis of time: the day, or the whole of a longer episode."""
        return TimeSpan(hours=max(self.episode_h, HOURS_PER_DAY))


@dataclass(frozen=True, eq=False)
class Fan:
    """Voltages of one policy over time, over all its episodes; arrays are (n_times,), pu.

    `hour`: of the day; of episodes that are longer from their begin on.
    """

    hour: NDArray[np.float64]
    lowest: NDArray[np.float64]  # of all nodes and days
    low: NDArray[np.float64]  # lowest node of the median day
    middle: NDArray[np.float64]  # median node of the median day
    high: NDArray[np.float64]  # highest node of the median day
    highest: NDArray[np.float64]


def voltage_fan(steps: pa.Table, policy: str, dt_h: float, episode_h: float = HOURS_PER_DAY) -> Fan:
    """The fan of `policy`, from the steps whose power flow converged; NaN where there was none."""
    chosen = steps.filter(pc.and_(pc.equal(steps["policy"], policy), steps["pf_converged"]))
    several = episode_h > HOURS_PER_DAY
    n_times = round(max(episode_h, HOURS_PER_DAY) / dt_h)
    slot = chosen["step"].to_numpy() if several else chosen["t_index"].to_numpy() % n_times
    low, middle, high = (chosen[n].to_numpy() for n in ("v_min_pu", "v_median_pu", "v_max_pu"))
    fan = np.full((5, n_times), np.nan)
    for k in range(n_times):
        at = slot == k
        if at.any():
            fan[:, k] = (
                low[at].min(), np.median(low[at]), np.median(middle[at]), np.median(high[at]), high[at].max(),
            )  # fmt: skip
    hour: NDArray[np.float64] = dt_h * np.arange(n_times, dtype=np.float64)
    return Fan(hour, *fan)


def worst_voltages(nodes: pa.Table, policy: str, n_nodes: int, centre: float) -> NDArray[np.float64]:
    """(n_nodes,) of each node the voltage farthest from `centre` that `policy` saw; NaN where it saw none."""
    own = nodes.filter(pc.equal(nodes["policy"], policy))
    low = own["v_min_pu"].to_numpy().reshape(-1, n_nodes)
    high = own["v_max_pu"].to_numpy().reshape(-1, n_nodes)
    lowest: NDArray[np.float64] = np.asarray(np.fmin.reduce(low, axis=0), dtype=np.float64)
    highest: NDArray[np.float64] = np.asarray(np.fmax.reduce(high, axis=0), dtype=np.float64)
    return np.asarray(np.where(highest - centre > centre - lowest, highest, lowest), dtype=np.float64)


def worst_loading(branches: pa.Table, policy: str, n_branches: int) -> NDArray[np.float64]:
    """(n_branches,) heaviest loading of each branch under `policy`, share of the rating; NaN: unrated."""
    own = branches.filter(pc.equal(branches["policy"], policy))
    by_episode = own["loading_max"].to_numpy().reshape(-1, n_branches)
    return np.asarray(np.fmax.reduce(by_episode, axis=0), dtype=np.float64)


def shown_policies(summary: Sequence[PolicySummary]) -> list[str]:
    """All policies when there are few; else the first and the best two of the others, in their order."""
    names = [s.policy for s in summary]
    if len(names) <= MAX_PANELS:
        return names
    others = sorted(summary[1:], key=lambda s: -s.return_mean)[: MAX_PANELS - 1]
    keep = {names[0], *(s.policy for s in others)}
    return [name for name in names if name in keep]


def report_png(scene: Scene) -> bytes:
    """The report as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = draw_report(scene)
    sink = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(sink, format="png", dpi=DPI, metadata={"Software": None})
    return sink.getvalue()


def draw_report(scene: Scene) -> Figure:
    """The report as a matplotlib figure."""
    from matplotlib.figure import Figure

    summary = scene.summary
    policies = shown_policies(summary)
    table_in = 0.55 + _LINE_IN * (len(summary) + 1)
    height = _HEAD_IN + _ROW_IN * len(policies) + 0.6 + table_in
    figure = Figure(figsize=(_WIDTH_IN, height), dpi=DPI, facecolor="white")
    figure.text(
        0.022, 1 - 0.36 / height, scene.title, fontsize=15, fontweight="bold", color="#222222", va="center"
    )
    figure.text(0.022, 1 - 0.66 / height, scene.subtitle, fontsize=9.5, color="#555555", va="center")
    grid = figure.add_gridspec(
        len(policies), 2, width_ratios=(1.3, 1.0), left=0.022, right=0.975, wspace=0.19, hspace=0.28,
        top=1 - (_HEAD_IN + 0.45) / height, bottom=(table_in + 0.85) / height,
    )  # fmt: skip
    fans = [voltage_fan(scene.steps, policy, scene.dt_h, scene.episode_h) for policy in policies]
    limits = _shared_limits(fans, scene.band)
    for row, (policy, fan) in enumerate(zip(policies, fans, strict=True)):
        last = row == len(policies) - 1
        _draw_feeder(figure.add_subplot(grid[row, 0]), policy, scene, legend=last)
        ax = figure.add_subplot(grid[row, 1])
        _draw_fan(ax, fan, scene.band, limits, scene.span, first=row == 0, last=last)
    _draw_scores(figure, summary, 0.1 / height, (table_in - 0.1) / height)
    return figure


def _draw_feeder(ax: Axes, policy: str, scene: Scene, *, legend: bool) -> None:
    from ...envs.rendering.day_figure import draw_feeder

    values = worst_voltages(scene.nodes, policy, len(scene.feeder.node_index), sum(scene.band) / 2.0)
    loading = worst_loading(scene.branches, policy, scene.feeder.n_branches)
    draw_feeder(
        ax,
        scene.feeder,
        values,
        loading=loading,
        units=scene.units,
        band=scene.band,
        legend=legend,
        label="Worst voltage (pu)",
    )
    beyond = of_band(values, *scene.limits)
    outside = int(((beyond.over > 0.0) | (beyond.under > 0.0)).sum())
    ax.set_title(policy, fontsize=11.5, fontweight="bold", loc="left", color="#222222", pad=6)
    overloaded = int((loading > 1.0).sum())
    note = f"{outside} of {values.size} nodes left the band"
    if overloaded:
        note += f", {overloaded} branch{'es' if overloaded > 1 else ''} overloaded"
    ax.set_title(note, fontsize=9, loc="right", color="#555555")


def _shared_limits(fans: Sequence[Fan], band: tuple[float, float]) -> tuple[float, float]:
    """One vertical axis for all fans, so that they can be compared."""
    values = np.concatenate([band, *(np.concatenate([fan.lowest, fan.highest]) for fan in fans)])
    return float(np.nanmin(values)) - 0.008, float(np.nanmax(values)) + 0.008


def _draw_fan(
    ax: Axes, fan: Fan, band: tuple[float, float], limits: tuple[float, float], span: TimeSpan, *,
    first: bool, last: bool,
) -> None:  # fmt: skip
    from ...envs.rendering.day_figure import FAN_COLOUR

    what = "day" if span == TimeSpan() else "episode"
    ax.fill_between(
        fan.hour,
        fan.lowest,
        fan.highest,
        color=FAN_COLOUR,
        alpha=0.16,
        linewidth=0,
        label=f"all nodes, all {what}s",
    )
    ax.fill_between(
        fan.hour,
        fan.low,
        fan.high,
        color=FAN_COLOUR,
        alpha=0.30,
        linewidth=0,
        label=f"all nodes, median {what}",
    )
    ax.plot(fan.hour, fan.middle, color=FAN_COLOUR, linewidth=1.6, label="median node")
    for edge in (fan.lowest, fan.highest):
        ax.plot(fan.hour, edge, color=FAN_COLOUR, linewidth=0.8)
    for limit in band:
        ax.axhline(limit, color="#222222", linewidth=1.0, linestyle=(0, (5, 3)))
    span.dress(ax, apart_h=4)
    ax.set_ylim(*limits)
    ax.grid(True, color="#ebebeb", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=8.5, color="#8a8a8a", labelcolor="#444444")
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color("#8a8a8a")
    ax.set_title(f"Voltage over the {what} (pu)", fontsize=9.5, loc="left", color="#222222", pad=6)
    if last:
        ax.set_xlabel(span.title, fontsize=9)
    if first:
        ax.legend(
            fontsize=7.8, frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1.01, 1.08),
            handlelength=1.5, columnspacing=1.0, borderaxespad=0.0,
        )  # fmt: skip


def _draw_scores(figure: Figure, summary: Sequence[PolicySummary], bottom: float, height: float) -> None:
    """The table of `scores.SCORE_COLUMNS`, without the speed, which says nothing about a policy."""
    columns = [c for c in SCORE_COLUMNS if c.in_report]
    ax: Any = figure.add_axes((0.022, bottom, 0.953, height))
    ax.set_axis_off()
    ax.set_xlim(0.0, 1.0)
    ax.set_ylim(len(summary) + 0.9, -0.6)
    edges = np.linspace(0.36, 1.0, len(columns))
    ax.text(0.0, 0.0, "Policy", fontsize=9, color="#555555", va="center")
    for edge, column in zip(edges, columns, strict=True):
        ax.text(edge, 0.0, column.title, fontsize=9, color="#555555", va="center", ha="right")
    ax.axhline(0.55, color="#8a8a8a", linewidth=0.8)
    best = max(s.return_mean for s in summary)
    for row, entry in enumerate(summary, start=1):
        weight = "bold" if entry.return_mean == best and len(summary) > 1 else "normal"
        ax.text(0.0, row + 0.05, entry.policy, fontsize=9.5, va="center", fontweight=weight, color="#222222")
        for edge, column in zip(edges, columns, strict=True):
            ax.text(
                edge, row + 0.05, column.text(entry), fontsize=9.5, va="center", ha="right",
                fontweight=weight, color="#222222",
            )  # fmt: skip
