"""The reports as tables for a person."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.table import Table

from .results import (
    Comparison,
    EnvProfile,
    EnvReport,
    GradientReport,
    HostingReport,
    Limit,
    Machine,
    OpfReport,
    Peaks,
    Pf3Report,
    PfReport,
    Ratio,
    ReportRow,
    RolloutReport,
    Spread,
    Target,
    Threads,
    VectorReport,
)

_NONE = "-"
TARGETS = "Targets (of a ratio, the smaller of wall and CPU counts)"


def machine_lines(machine: Machine, quick: bool) -> list[str]:
    """What every table of this run was measured on."""
    versions = ", ".join(f"{name} {v or 'not installed'}" for name, v in machine.versions.items())
    threads = ", ".join(f"{k}={v}" for k, v in machine.thread_variables.items()) or "none set"
    lines = [
        f"{machine.cpu}, {machine.usable_cores} of {machine.cores} cores usable, {machine.system}",
        f"Python {machine.python}, {versions}",
        f"thread variables of libraries: {threads}",
        f"{machine.taken_at}, load average before {machine.load_average}",
    ]
    if quick:
        lines.append("QUICK RUN: it shows that everything works; do not quote these numbers")
    return lines


def new_table(columns: dict[str, str], *, markdown: bool) -> Table:
    """A table with columns and their justification."""
    table = Table(box=box.MARKDOWN if markdown else box.SIMPLE_HEAD)
    for name, justify in columns.items():
        table.add_column(name, justify="right" if justify == "r" else "left")
    return table


def seconds(value: float) -> str:
    """Three digits and the unit that suits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e6:.3g} µs"


def timed(spread: Spread) -> str:
    """Median and quartiles."""
    return f"{seconds(spread.median)} ({seconds(spread.q1)}-{seconds(spread.q3)})"


def _ratio(ratios: list[Ratio], of: str) -> str:
    found = next((r for r in ratios if r.of == of), None)
    if found is None:
        return _NONE
    return f"{found.wall.median:.3g} / {found.cpu.median:.3g}"


def _error(row: ReportRow) -> list[str]:
    if row.true_error_pu is None:
        return [_NONE] * 3
    iterations = _NONE if row.iterations is None else f"{row.iterations:.3g}"
    return [f"{row.tolerance:.0e} {row.tolerance_unit}", f"{row.true_error_pu:.0e}", iterations]


def comparison_title(c: Comparison) -> str:
    """What was solved, and against what errors are measured."""
    rows = "" if c.solves_per_call == 1 else f", {c.solves_per_call:,} rows a call"
    nodes = "" if c.phase_nodes is None else f", {c.phase_nodes:,} phase nodes"
    return (
        f"{c.feeder}, {c.buses:,} buses{nodes}{rows}, lowest voltage {c.v_min_pu:.4f} pu. "
        f"True errors: at most {c.target_error_pu:.0e} pu from {c.reference}; "
        f"distgrid at 1e-12 is {c.agreement_pu:.0e} pu away"
    )


def comparison_table(c: Comparison, *, markdown: bool = False) -> Table:
    """One row a solver: tolerance, true error, iterations, times of one solve, ratios to each of ours."""
    ours = list(dict.fromkeys(r.of for row in c.rows for r in row.ratios))
    columns = {"solver": "l", "tolerance": "r", "error, pu": "r", "iterations": "r"}
    columns |= {"wall": "r", "CPU (quartiles)": "r"}
    if c.solves_per_call > 1:
        columns["solves per CPU s"] = "r"
    columns |= {f"over {name}: wall / CPU": "r" for name in ours}
    table = new_table(columns, markdown=markdown)
    for row in c.rows:
        if row.timing is None:
            table.add_row(row.solver, row.status, *[_NONE] * (len(columns) - 2))
            continue
        wall, cpu = (_per(s, c.solves_per_call) for s in (row.timing.wall_s, row.timing.cpu_s))
        cells = [row.solver, *_error(row), seconds(wall.median), timed(cpu)]
        if c.solves_per_call > 1:
            cells.append(f"{1.0 / cpu.median:,.0f}")
        table.add_row(*cells, *(_ratio(row.ratios, name) for name in ours))
    return table


def _per(spread: Spread, solves: int) -> Spread:
    return Spread(median=spread.median / solves, q1=spread.q1 / solves, q3=spread.q3 / solves)


def options_table(comparisons: list[Comparison], *, markdown: bool = False) -> Table:
    """How each solver was called."""
    table = new_table({"solver": "l", "call": "l"}, markdown=markdown)
    for name, options in dict.fromkeys((r.solver, r.options) for c in comparisons for r in c.rows):
        table.add_row(name, options)
    return table


def scaling_table(report: PfReport, *, markdown: bool = False) -> Table:
    """CPU time per solve by size, the fitted exponent, and the ratio to ours."""
    sizes = [f"{c.buses:,}" for c in report.scaling]
    columns = {"solver": "l"} | dict.fromkeys(sizes, "r") | {"exponent": "r"}
    table = new_table(columns, markdown=markdown)
    for fit in report.exponents:
        cells = [fit.solver]
        for c in report.scaling:
            row = next((r for r in c.rows if r.solver == fit.solver), None)
            if row is None or row.timing is None:
                cells.append(_NONE if row is None else row.status)
                continue
            cells.append(f"{seconds(row.timing.cpu_s.median)} ({row.ratios[0].cpu.median:.3g})")
        table.add_row(*cells, _NONE if fit.exponent is None else f"{fit.exponent:.3f}")
    return table


def targets_table(targets: list[Target], *, markdown: bool = False) -> Table:
    """Wanted and measured."""
    columns = {"target": "l", "wanted": "r", "measured": "r", "met": "l"}
    table = new_table(columns, markdown=markdown)
    for t in targets:
        measured = _NONE if t.value is None else f"{t.value:,.0f}" if t.value >= 1000 else f"{t.value:.3g}"
        wanted = f"{'<=' if t.at_most else '>='} {t.wanted:,.10g}"
        table.add_row(t.name, wanted, measured, _NONE if t.met is None else "yes" if t.met else "no")
    return table


def utilisation_tables(
    threads: list[Threads], peaks: Peaks | None, limits: list[Limit], *, markdown: bool = False
) -> Iterator[tuple[str, Table]]:
    """(title, table) of two threads against one, and of the limits of one core."""
    if peaks is None:
        return
    columns = {"batch": "l"}
    columns |= dict.fromkeys(("one thread", "two", "ratio (quartiles)", "of the best rounds"), "r")
    table = new_table(columns, markdown=markdown)
    for t in threads:
        ratio = f"{t.ratio.median:.2f} ({t.ratio.q1:.2f}-{t.ratio.q3:.2f})"
        one, two = seconds(t.one_s.median), seconds(t.two_s.median)
        table.add_row(f"{t.feeder} x {t.rows:,}", one, two, ratio, f"{t.best_ratio:.2f}")
    yield "One thread and two, wall time of a call", table
    columns = {"batch": "l", "solver": "l"}
    columns |= dict.fromkeys(("flops", "cache bytes", "memory bytes", "block", "cache GB/s"), "r")
    columns |= dict.fromkeys(("arithmetic", "cache", "memory", "shortest", "measured", "share"), "r")
    table = new_table(columns, markdown=markdown)
    for x in limits:
        table.add_row(
            f"{x.feeder} x {x.rows:,}", x.solver, f"{x.flops:,.0f}", f"{x.cache_bytes:,.0f}",
            f"{x.memory_bytes:,.0f}", f"{x.block_bytes / 1024:,.0f} KiB", f"{x.cache_bytes_per_s / 1e9:.3g}",
            seconds(x.arithmetic_s), seconds(x.cache_s), seconds(x.memory_s),
            f"{seconds(x.shortest_s)} ({x.bound})", seconds(x.measured_s), f"{x.share:.0%}",
        )  # fmt: skip
    memory, peak = peaks.memory_bytes_per_s / 1e9, peaks.flops_per_s / 1e9
    yield f"Limits of one solve on one core: {memory:.3g} GB/s from memory, {peak:.3g} GFlop/s", table


def pf_tables(report: PfReport, *, markdown: bool = False) -> Iterator[tuple[str, Table]]:
    """(title, table) of everything in the report."""
    yield comparison_title(report.single), comparison_table(report.single, markdown=markdown)
    for c in report.scaling:
        yield comparison_title(c), comparison_table(c, markdown=markdown)
    yield "CPU time a solve by size (in brackets: over distgrid's)", scaling_table(report, markdown=markdown)
    for c in report.batch:
        yield comparison_title(c), comparison_table(c, markdown=markdown)
    yield from utilisation_tables(report.threads, report.peaks, report.limits, markdown=markdown)
    every = [report.single, *report.scaling[:1], *report.batch[:1]]
    yield "How each solver is called", options_table(every, markdown=markdown)
    yield TARGETS, targets_table(report.targets, markdown=markdown)


def pf3_tables(report: Pf3Report, *, markdown: bool = False) -> Iterator[tuple[str, Table]]:
    """(title, table) of everything in the report."""
    every = [*report.single, *report.batch]
    for c in every:
        yield comparison_title(c), comparison_table(c, markdown=markdown)
    yield from utilisation_tables(report.threads, report.peaks, report.limits, markdown=markdown)
    yield "How each solver is called", options_table(every, markdown=markdown)
    yield TARGETS, targets_table(report.targets, markdown=markdown)


def env_tables(report: EnvReport, *, markdown: bool = False) -> Iterator[tuple[str, Table]]:
    """(title, table) of everything in the report."""
    columns = {"environment": "l", "way": "l", "wall": "r", "CPU (quartiles)": "r"}
    columns |= {"steps/s": "r", "steps/CPU s": "r"}
    title = "Random actions, one core; observation, reward, costs and info included"
    table = new_table(columns, markdown=markdown)
    for r in report.rows:
        wall, cpu = seconds(r.timing.wall_s.median), timed(r.timing.cpu_s)
        table.add_row(r.env, r.way, wall, cpu, f"{r.steps_per_s:,.0f}", f"{r.steps_per_cpu_s:,.0f}")
    yield title, table
    yield from _profiles(report.profiles, markdown=markdown)
    yield TARGETS, targets_table(report.targets, markdown=markdown)


def vector_tables(report: VectorReport, *, markdown: bool = False) -> Iterator[tuple[str, Table]]:
    """(title, table) of everything in the report."""
    columns = {"environment": "l", "environments": "r", "way": "l", "wall of one step (quartiles)": "r"}
    columns |= {"steps/s": "r", "best round": "r", "steps/CPU s, best round": "r"}
    table = new_table(columns, markdown=markdown)
    for r in report.rows:
        table.add_row(
            r.env, f"{r.num_envs:,}", r.way, timed(r.timing.wall_s), f"{r.steps_per_s:,.0f}",
            f"{r.best_steps_per_s:,.0f}", f"{r.best_steps_per_cpu_s:,.0f}",
        )  # fmt: skip
    ours = f"distgrid on {report.threads} threads"
    yield f"Random actions, {ours}; observations, rewards, costs, infos and resets included", table
    yield from _profiles(report.profiles, markdown=markdown)
    m = report.memory
    memory = new_table({"environment": "l", "environments": "r", "memory": "r"}, markdown=markdown)
    memory.add_row(m.env, f"{m.num_envs:,}", f"{m.peak_gb:.2f} GB")
    yield "Largest memory of the whole process", memory
    if report.targets:
        yield "Targets", targets_table(report.targets, markdown=markdown)


def rollout_tables(report: RolloutReport, *, markdown: bool = False) -> Iterator[tuple[str, Table]]:
    """(title, table) of everything in the report."""
    columns = {"environment": "l", "policy": "l", "way": "l", "episodes": "r"}
    columns |= {"wall of one episode (quartiles)": "r", "episodes/s": "r", "times one by one": "r"}
    table = new_table(columns, markdown=markdown)
    for r in report.rows:
        table.add_row(
            r.env, r.policy, r.way, f"{r.episodes:,}", timed(r.timing.wall_s), f"{r.episodes_per_s:,.0f}",
            f"{r.ratio.wall.median:.1f}",
        )  # fmt: skip
    yield "Whole runs in one process, opening the environment and all tables included", table
    if report.targets:
        yield "Targets", targets_table(report.targets, markdown=markdown)


def gradient_tables(report: GradientReport, *, markdown: bool = False) -> Iterator[tuple[str, Table]]:
    """(title, table) of everything in the report."""
    columns = {"feeder": "l", "buses": "r", "rows": "r", "power flow": "r", "gradient": "r"}
    columns |= {"power flows": "r", "dense Jacobian": "r", "times ours": "r", "they differ by": "r"}
    table = new_table(columns, markdown=markdown)
    for r in report.rows:
        dense = ("–", "–") if r.dense is None or r.dense_ratio is None else (
            timed(r.dense.cpu_s), f"{r.dense_ratio.cpu.median:,.1f}"
        )  # fmt: skip
        table.add_row(
            r.feeder, f"{r.buses:,}", f"{r.rows:,}", timed(r.power_flow.cpu_s), timed(r.gradient.cpu_s),
            f"{r.power_flows.cpu.median:.2f}", *dense,
            "–" if r.disagreement is None else f"{r.disagreement:.0e}",
        )  # fmt: skip
    yield "Gradient of losses and voltages by everything, processor time of one row", table
    if report.targets:
        yield "Targets", targets_table(report.targets, markdown=markdown)


def hosting_tables(report: HostingReport, *, markdown: bool = False) -> Iterator[tuple[str, Table]]:
    """(title, table) of everything in the report."""
    columns = {"feeder": "l", "controls": "l", "candidates": "r", "all of them, wall": "r"}
    columns |= {"power flows each": "r", "most": "r", "most, bracket known": "r", "bisection + 4": "r"}
    table = new_table(columns, markdown=markdown)
    for r in report.rows:
        known = [_NONE if x is None else str(x) for x in (r.bracket_power_flows, r.bracket_bound)]
        table.add_row(
            r.feeder, r.controls, f"{r.candidates:,}", timed(r.all_candidates.wall_s),
            f"{r.power_flows_mean:.1f}", str(r.power_flows_most), *known,
        )  # fmt: skip
    yield "Hosting capacity of every candidate to 0.1 kW, one batch", table
    columns = {"feeder": "l", "controls": "l", "one after another": "l", "candidates": "r"}
    columns |= {"power flows each": "r", "wall of one": "r", "times ours": "r", "they differ by": "r"}
    table = new_table(columns, markdown=markdown)
    for r in report.rows:
        for peer in r.peers:
            table.add_row(
                r.feeder, r.controls, peer.name, str(peer.candidates), f"{peer.power_flows_mean:.1f}",
                timed(peer.each.wall_s), f"{peer.ratio.wall.median:,.3g}", f"{peer.disagreement_kw:.2g} kW",
            )  # fmt: skip
    yield "The same, one candidate after another", table
    if report.targets:
        yield "Targets", targets_table(report.targets, markdown=markdown)


def opf_tables(report: OpfReport, *, markdown: bool = False) -> Iterator[tuple[str, Table]]:
    """(title, table) of everything in the report."""
    columns = {"feeder": "l", "buses": "r", "program": "l", "CPU": "r", "wall": "r", "times ours": "r"}
    columns |= {"losses, kW": "r", "from ours": "r", "plan to replay, pu": "r"}
    table = new_table(columns, markdown=markdown)
    for r in report.rows:
        table.add_row(
            r.feeder, f"{r.buses:,}", r.way, timed(r.timing.cpu_s), timed(r.timing.wall_s),
            "1" if r.ratio is None else f"{r.ratio.cpu.median:,.1f}", f"{r.loss_kw:.4f}",
            _NONE if r.apart is None else f"{r.apart:.0e}",
            _NONE if r.v_error_pu is None else f"{r.v_error_pu:.0e}",
        )  # fmt: skip
    yield "Least losses with six inverters, one operating point", table
    columns = {"feeder": "l", "buses": "r", "steps": "r", "storage": "r", "CPU": "r", "wall": "r"}
    columns |= {"USD": "r", "gap": "r", "plan to replay, pu": "r", "status": "l"}
    table = new_table(columns, markdown=markdown)
    for d in report.days:
        table.add_row(
            d.feeder, f"{d.buses:,}", f"{d.steps}", f"{d.storage}", timed(d.timing.cpu_s),
            timed(d.timing.wall_s), f"{d.usd:.2f}", f"{d.relative_gap:.0e}", f"{d.v_error_pu:.0e}", d.status,
        )  # fmt: skip
    yield "Cheapest day of storage, built, solved and replayed", table
    if report.targets:
        yield "Targets", targets_table(report.targets, markdown=markdown)


def _profiles(profiles: list[EnvProfile], *, markdown: bool) -> Iterator[tuple[str, Table]]:
    for p in profiles:
        digits = 1 if p.step_us >= 10.0 else 3
        title = (
            f"{p.env}: where a step's {p.step_us:.{digits}f} µs go "
            f"(stopwatch's own {p.stopwatch_us:.{digits}f} µs off)"
        )
        profile = new_table({"part": "l", "µs": "r", "share": "r"}, markdown=markdown)
        for part in p.parts:
            profile.add_row(part.name, f"{part.microseconds:.{digits}f}", f"{part.share:.0%}")
        yield title, profile
