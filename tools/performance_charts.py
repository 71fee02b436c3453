"""The two charts and the short table at the top of the performance page, from numbers that were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from performance_numbers import Solve, Steps, solves, steps

from distgrid.baselines.bench.report.table import seconds

OURS = "distgrid solve"
#: Programs in the order of the legend: colour, and the names of their methods, of which the fastest counts.
PROGRAMS = {
    "distgrid": ("#0072B2", (OURS,)),
    "power-grid-model": (
        "#E69F00",
        ("power-grid-model, iterative current", "power-grid-model, Newton-Raphson"),
    ),
    "OpenDSS": ("#009E73", ("OpenDSS Solve, from its last solution", "OpenDSS Solve, from no load")),
    "tensorpowerflow": ("#CC79A7", ("tensorpowerflow",)),
    "pandapower": ("#777777", ("pandapower runpp",)),
}
#: Feeder and whether in a batch -> what stands beside the bars.
GROUPS = {
    ("case33bw", False): "33 buses\n(case33bw)",
    ("tree10000", False): "10,000 buses\n(random tree)",
    ("ieee123", False): "IEEE 123,\nthree-phase",
    ("tree3ph8500", False): "8,500 phase nodes,\nthree-phase",
    ("case33bw", True): "33 buses,\nin a batch",
    ("case533mt_hi", True): "533 buses,\nin a batch",
    ("ieee123", True): "IEEE 123, three-\nphase, in a batch",
}
SINGLE = "gymnasium.make, actions drawn beforehand, resets on the clock"
SYNC = "gymnasium SyncVectorEnv of single environments"
ENVIRONMENTS = {
    "VoltVar-33bw-v0": "#0072B2",
    "VoltVar-141-v0": "#E69F00",
    "DistGrid3Phase-ieee123-v0": "#009E73",
}
#: Lines of the short table: what, feeder, in a batch, and the program beside ours.
LINES = (
    ("One power flow of 33 buses", "case33bw", False, "pandapower"),
    ("The same", "case33bw", False, "power-grid-model"),
    ("… of 10,000 buses", "tree10000", False, "power-grid-model"),
    ("… of 100,000 buses", "tree100000", False, "power-grid-model"),
    ("… of IEEE 123, three-phase", "ieee123", False, "OpenDSS"),
    ("… of 8,500 phase nodes", "tree3ph8500", False, "OpenDSS"),
    ("One of a batch of 10,000, 33 buses", "case33bw", True, "tensorpowerflow"),
    ("… 533 buses", "case533mt_hi", True, "power-grid-model"),
    ("… IEEE 123, three-phase", "ieee123", True, "power-grid-model"),
)
INK, MUTED = "#222222", "#666666"


def draw(kept: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write both charts into the folder; returns their paths."""
    charts = {
        "performance-power-flow.png": power_flow_chart(solves(kept)),
        "performance-environments.png": environment_chart(steps(kept)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in charts.items():
        FigureCanvasAgg(figure).print_png(str(folder / name), metadata={"Software": None})
    return [folder / name for name in charts]


def fastest(found: Sequence[Solve], feeder: str, batch: bool, program: str) -> Solve | None:
    """The fastest method of a program on a feeder, in a batch or not; None where it was not measured."""
    names = PROGRAMS[program][1]
    mine = [s for s in found if s.feeder == feeder and (s.rows > 1) == batch and s.solver in names]
    return min(mine, key=lambda s: s.wall_s, default=None)


def short_table(kept: Mapping[str, Any]) -> str:
    """Ten lines of Markdown: ours, the other program's, and how many times ours fits into theirs."""
    rows = ["| What | distgrid | Beside it | Times faster |", "|---|---:|---|---:|"]
    for what, feeder, batch, program in LINES:
        ours = fastest(solves(kept), feeder, batch, "distgrid")
        theirs = fastest(solves(kept), feeder, batch, program)
        if ours is None or theirs is None:
            raise ValueError(
                f"{program} or distgrid was not measured on {feeder}: measure again, with --batch"
            )
        ratio = theirs.over_distgrid_solve or theirs.wall_s / ours.wall_s
        rows.append(
            f"| {what} | {seconds(ours.wall_s)} | {program}: {seconds(theirs.wall_s)} | {rounded(ratio)} |"
        )
    first, *_ = ENVIRONMENTS
    many = max(
        (s for s in steps(kept) if s.env == first and s.way == "distgrid"), key=lambda s: s.steps_per_s
    )
    sync = max((s for s in steps(kept) if s.env == first and s.way == SYNC), key=lambda s: s.steps_per_s)
    what = f"Steps a second of {many.num_envs:,} × {first}"
    beside = f"SyncVectorEnv: {sync.steps_per_s:,.0f}"
    rows.append(
        f"| {what} | {many.steps_per_s:,.0f} | {beside} | {rounded(many.steps_per_s / sync.steps_per_s)} |"
    )
    return "\n".join(rows)


def power_flow_chart(found: Sequence[Solve]) -> Figure:
    """Bars of the time of one power flow by feeder and program, on a logarithmic axis."""
    figure = Figure(figsize=(9.0, 7.2), dpi=150, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    heights, labels, at = [], [], 0.0
    for (feeder, batch), label in GROUPS.items():
        bars = [(p, fastest(found, feeder, batch, p)) for p in PROGRAMS]
        measured = [(program, solve) for program, solve in bars if solve is not None]
        heights.append(at + 0.5 * (len(measured) - 1))
        labels.append(label)
        for program, solve in measured:
            axes.barh(at, solve.wall_s, height=0.84, color=PROGRAMS[program][0], left=0.0)
            axes.text(solve.wall_s * 1.12, at, seconds(solve.wall_s), va="center", fontsize=8.5, color=INK)
            at += 1.0
        at += 0.9
    axes.set_xscale("log")
    axes.set_xlim(1e-7, 1.0)
    axes.set_ylim(at - 1.1, -0.8)
    axes.set_yticks(heights, labels, fontsize=9.5, color=INK)
    axes.set_xticks([1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    axes.set_xticklabels(["0.1 µs", "1 µs", "10 µs", "0.1 ms", "1 ms", "10 ms", "0.1 s", "1 s"])
    handles = [
        axes.barh([0.0], [0.0], color=colour, label=program) for program, (colour, _) in PROGRAMS.items()
    ]
    axes.legend(handles=handles, loc="lower right", fontsize=9, frameon=True, edgecolor="white")
    axes.set_title("Time of one power flow at equal true error, one core", loc="left", fontsize=12, color=INK)
    _dress(axes, grid="x")
    axes.tick_params(axis="y", length=0)
    return figure


def environment_chart(found: Sequence[Steps]) -> Figure:
    """Steps a second by the number of environments, on logarithmic axes."""
    figure = Figure(figsize=(9.0, 5.0), dpi=150, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    for name, colour in ENVIRONMENTS.items():
        mine = [s for s in found if s.env == name]
        line = sorted((s.num_envs, s.steps_per_s) for s in mine if s.way in (SINGLE, "distgrid"))
        axes.plot(*zip(*line, strict=True), color=colour, marker="o", linewidth=1.8, markersize=6)
        count, rate = line[-1]
        axes.annotate(
            f"{name}\n{rate:,.0f} steps/s", (count, rate), xytext=(9, 0), textcoords="offset points",
            va="center", fontsize=9, color=colour, fontweight="bold",
        )  # fmt: skip
        for sync in (s for s in mine if s.way == SYNC):
            axes.plot(
                sync.num_envs, sync.steps_per_s, color=colour, marker="s", markersize=7,
                markerfacecolor="white", linestyle="none", markeredgewidth=1.8,
            )  # fmt: skip
    axes.plot(
        [], [], color=MUTED, marker="o", linewidth=1.8, label="distgrid: one environment, or one call for all"
    )
    axes.plot(
        [], [], color=MUTED, marker="s", markerfacecolor="white", markeredgewidth=1.8, linestyle="none",
        label="Gymnasium's SyncVectorEnv of the same",
    )  # fmt: skip
    axes.legend(loc="upper left", fontsize=9, frameon=False)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    counts = sorted({s.num_envs for s in found})
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.set_xlim(0.8, max(counts) * 24)
    axes.set_ylim(3e3, 6e6)
    axes.set_yticks([1e4, 1e5, 1e6], ["10,000", "100,000", "1,000,000"])
    axes.set_xlabel("Environments advanced together", fontsize=9.5, color=INK)
    axes.set_title("Environment steps a second, two cores", loc="left", fontsize=12, color=INK)
    _dress(axes, grid="both")
    return figure


def _dress(axes: Axes, *, grid: Literal["x", "both"]) -> None:
    axes.tick_params(labelsize=9.5, colors=MUTED, which="both", labelcolor=INK)
    axes.grid(True, axis=grid, color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.minorticks_off()
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color("#bbbbbb")


def rounded(ratio: float) -> str:
    """Three digits."""
    return f"{float(f'{ratio:.3g}'):,g}"
