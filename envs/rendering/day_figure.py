"""Pictures of an environment: the feeder as it is, and the episode so far.

matplotlib is imported inside the functions, and figures are drawn with Agg canvases of their own: no
pyplot, no global state, safe in threads and without a display.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .feeder_plot import GREY, INK, LABELS, FeederArtists, coordinates, draw_feeder, unit_colour
from .time_span import TimeSpan

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from ...cases import Feeder
    from ..resources import Fleet

__all__ = ["DayHistory", "Renderer", "coordinates", "draw", "draw_feeder"]

Floats = NDArray[np.float64]

FAN = (0.0, 10.0, 50.0, 90.0, 100.0)  # percentiles of the node voltages
FAN_COLOUR = "#0072B2"
PHASE_COLOURS = ("#0072B2", "#D55E00", "#009E73")  # A, B, C
DPI = 100
MARGINS = {"left": 0.02, "right": 0.975, "bottom": 0.115, "top": 0.875}


@dataclass
class DayHistory:
    """What the side panels show: one entry per step so far. Record it only where something is drawn."""

    hours: list[float] = field(default_factory=list)  # end of the interval, h after the first midnight
    voltage: list[Floats] = field(default_factory=list)  # percentiles FAN of the node voltages, pu; by phase
    p_mw: dict[str, list[float]] = field(default_factory=dict)  # by kind, injected
    q_mvar: dict[str, list[float]] = field(default_factory=dict)
    soc: list[Floats] = field(default_factory=list)  # share stored, storage units in fleet order

    def clear(self) -> None:
        """Forget everything: a new episode begins."""
        for series in (self.hours, self.voltage, self.p_mw, self.q_mvar, self.soc):
            series.clear()

    def record(
        self, hour: float, v_pu: Floats, fleet: Fleet | None = None, soc: Floats | None = None, row: int = 0
    ) -> None:
        """Add the interval that ends at `hour`: `v_pu` (n_nodes,) or (n_nodes, 3), what `fleet` delivered.

        Without `soc` the shares are read from the fleet's battery programs.
        """
        self.hours.append(hour)
        self.voltage.append(fan_of(v_pu) if v_pu.ndim == 1 else np.stack([fan_of(v) for v in v_pu.T]))
        if fleet is None:
            return
        kinds = np.array([u.kind for u in fleet.units()])
        for kind in dict.fromkeys(kinds.tolist()):
            mine = kinds == kind
            self.p_mw.setdefault(kind, []).append(float(fleet.delivered_p_mw[row, mine].sum()))
            self.q_mvar.setdefault(kind, []).append(float(fleet.delivered_q_mvar[row, mine].sum()))
        self.soc.append(stored_shares(fleet, row) if soc is None else np.asarray(soc, dtype=np.float64))


def fan_of(v_pu: Floats) -> Floats:
    """Percentiles FAN of what is there."""
    present = v_pu[np.isfinite(v_pu)]
    return np.percentile(present, FAN) if present.size else np.full(len(FAN), np.nan)


def worst_phase(v_pu: Floats) -> Floats:
    """(n_nodes,) the voltage furthest from 1 among the phases of each node; NaN where there are none."""
    if v_pu.ndim == 1:
        return v_pu
    away = np.where(np.isfinite(v_pu), np.abs(v_pu - 1.0), -1.0)
    return np.asarray(np.take_along_axis(v_pu, away.argmax(axis=1)[:, None], axis=1)[:, 0])


def stored_shares(fleet: Fleet, row: int = 0) -> Floats:
    """(n_storage,) share of the capacity that each storage unit holds."""
    shares = [p.state()["soc_mwh"][row] / p.energy_mwh for p in fleet.programs if "soc_mwh" in p.state()]
    return np.concatenate(shares) if shares else np.zeros(0)


class Renderer:
    """One figure, built once; `frame` redraws only what changed and returns it as (height, width, 3) uint8.

    Axes, ticks and legends are a background that is kept, which makes a frame several times cheaper than
    a picture. `band`: the voltage limits shown, pu. `size`: pixels (width, height).
    """

    def __init__(
        self,
        feeder: Feeder,
        fleet: Fleet | None = None,
        band: tuple[float, float] = (0.95, 1.05),
        size: tuple[int, int] = (1000, 600),
    ) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.band = band
        self._units = tuple(u for u in fleet.units() if u.s_mva > 0.0) if fleet is not None else ()
        marked = fleet.units() if fleet is not None else ()
        self._phases = "ABC" if feeder.phases == "per-phase" else ""
        figure = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI, facecolor="white")
        self._canvas = FigureCanvasAgg(figure)
        storage = any(u.energy_mwh is not None for u in self._units)
        strips = len(self._phases) or 1
        rows = strips + bool(self._units) + storage
        grid = figure.add_gridspec(rows, 2, width_ratios=(1.75, 1.0), wspace=0.24, hspace=0.42, **MARGINS)
        main = figure.add_subplot(grid[:, 0])
        values = np.ones(len(feeder.node_index))
        self._feeder: FeederArtists = draw_feeder(main, feeder, values, units=marked, band=band)
        panels = [figure.add_subplot(grid[k, 1]) for k in range(rows)]
        self._strips, self._panels = panels[:strips], panels[strips:]
        self._title = figure.text(0.025, 0.955, "", fontsize=13, fontweight="bold", color=INK, va="center")
        self._note = figure.text(0.025, 0.91, "", fontsize=9, color="#555555", va="center")
        self._fixed = [
            self._feeder.branches,
            self._feeder.nodes,
            *self._feeder.marks,
            self._title,
            self._note,
        ]
        for artist in self._fixed:
            artist.set_animated(True)
        self._day: list[Artist] = []
        self._background: Any = None
        self._span = TimeSpan()
        self._dress()

    def frame(
        self,
        v_pu: Floats,
        *,
        loading: Floats | None = None,
        closed: NDArray[np.bool_] | None = None,
        history: DayHistory | None = None,
        span: TimeSpan | None = None,
        title: str = "",
        note: str = "",
    ) -> NDArray[np.uint8]:
        """Draw node voltages (n_nodes,), branch loading (n_branches,), switch states and the time so far.

        Voltages may be (n_nodes, 3): nodes then show their worst phase. `span`: the hours of the time axes,
        None: as before, a day at first.
        """
        if span is not None and span != self._span:
            self._span, self._background = span, None
            self._dress_time()
        volts = np.asarray(v_pu, dtype=np.float64)
        self._feeder.update(worst_phase(volts), loading, closed)
        self._title.set_text(title)
        self._note.set_text(note or self._summary(volts))
        for artist in self._day:
            artist.remove()
        self._day = []
        if history is not None and history.hours:
            self._draw_day(history)
        if self._background is None:
            self._canvas.draw()
            self._background = self._canvas.copy_from_bbox(self._canvas.figure.bbox)
        else:
            self._canvas.restore_region(self._background)
        renderer = self._canvas.get_renderer()
        for artist in (*self._fixed, *self._day):
            artist.draw(renderer)
        return np.asarray(self._canvas.buffer_rgba())[:, :, :3].copy()

    def _summary(self, v_pu: Floats) -> str:
        seen = v_pu[np.isfinite(v_pu)]
        if not seen.size:
            return "no voltage to show"
        what = "nodes" if v_pu.ndim == 1 else "phases of nodes"
        outside = int(((seen < self.band[0]) | (seen > self.band[1])).sum())
        where = f"{outside} of {seen.size} {what} outside {self.band[0]:g}–{self.band[1]:g}"
        inside = f"all {seen.size} {what} within {self.band[0]:g}–{self.band[1]:g}"
        return f"V {seen.min():.3f}–{seen.max():.3f} pu · {where if outside else inside}"

    def _dress(self) -> None:
        voltage = [f"Voltage, phase {p} (pu)" for p in self._phases] or ["Voltage (pu)"]
        names = (*voltage, "Injected (MW, MVAr)", "State of charge (%)")
        for ax, name in zip((*self._strips, *self._panels), names, strict=False):
            ax.set_title(name, fontsize=9, loc="left", color=INK, pad=4)
            ax.tick_params(labelsize=8, color=GREY, labelcolor="#444444")
            ax.grid(True, color="#ebebeb", linewidth=0.7)
            ax.set_axisbelow(True)
            for side, spine in ax.spines.items():
                spine.set_visible(side in ("left", "bottom"))
                spine.set_color(GREY)
        self._dress_time()
        for ax in self._strips:
            ax.set_ylim(self.band[0] - 0.02, self.band[1] + 0.02)
            for limit in self.band:
                ax.axhline(limit, color=INK, linewidth=1.0, linestyle=(0, (5, 3)))
        if self._panels:
            self._dress_powers(self._panels[0])
        if len(self._panels) > 1:
            self._panels[1].set_ylim(-3.0, 103.0)

    def _dress_time(self) -> None:
        """The axes of time: those of a day, or of as many as the episode has."""
        for ax in (*self._strips, *self._panels):
            self._span.dress(ax)
        lowest = (*self._strips, *self._panels)[-1]
        two_lines = any("\n" in label for label in self._span.ticks()[1])
        for ax in (*self._strips, *self._panels)[:-1] if two_lines or self._phases else ():
            ax.tick_params(labelbottom=False)  # there is no room between the panels
        lowest.set_xlabel("" if two_lines else self._span.title, fontsize=8.5)

    def _dress_powers(self, ax: Axes) -> None:
        """Limits from the ratings: the axis stands still through the day; one legend for all frames."""
        self._style: dict[str, dict[str, Any]] = {}
        top = bottom = 0.0
        for kind in dict.fromkeys(u.kind for u in self._units):
            units = [u for u in self._units if u.kind == kind]
            name, p_max = LABELS.get(kind, kind), sum(u.p_mw for u in units)
            q_max = sum(u.q_max_mvar for u in units if u.action_q is not None or kind not in LABELS)
            top = max(top, p_max, q_max)
            bottom = min(bottom, 0.0 if kind == "pv" else -p_max, -q_max)
            colour = unit_colour(kind)
            self._style[f"{kind} p"] = {"color": colour, "linewidth": 1.6, "label": f"{name} P"}
            if q_max:
                dashed = (0, (2, 1.5))
                self._style[f"{kind} q"] = {
                    "color": colour,
                    "linewidth": 1.3,
                    "linestyle": dashed,
                    "label": f"{name} Q",
                }
        pad = 0.05 * (top - bottom)
        ax.set_ylim(bottom - pad, top + pad)
        ax.axhline(0.0, color=GREY, linewidth=0.7)
        ax.legend(
            handles=[ax.plot([], [], **style)[0] for style in self._style.values()],
            fontsize=7.5,
            frameon=False,
            ncols=4,
            loc="lower right",
            bbox_to_anchor=(1.02, 0.98),
            handlelength=1.4,
            columnspacing=0.8,
            handletextpad=0.4,
            borderaxespad=0.0,
        )

    def _draw_day(self, day: DayHistory) -> None:
        hours = np.asarray(day.hours)
        fans = np.asarray(day.voltage)
        if self._phases:
            for k, ax in enumerate(self._strips):
                self._draw_fan(ax, hours, fans[:, k], PHASE_COLOURS[k])
        else:
            self._draw_fan(self._strips[0], hours, fans, FAN_COLOUR)
        if self._panels:
            for suffix, series_of in (("p", day.p_mw), ("q", day.q_mvar)):
                for kind, series in series_of.items():
                    style = self._style.get(f"{kind} {suffix}")
                    if style is not None:
                        self._day += self._panels[0].plot(hours, series, animated=True, **style)
        if len(self._panels) > 1 and day.soc:
            shares = 100.0 * np.asarray(day.soc)
            colour = unit_colour("battery")
            self._day += self._panels[1].plot(hours, shares, animated=True, color=colour, linewidth=1.3)

    def _draw_fan(self, ax: Axes, hours: Floats, fan: Floats, colour: str) -> None:
        for k, alpha in ((0, 0.18), (1, 0.30)):
            self._day.append(
                ax.fill_between(
                    hours,
                    fan[:, k],
                    fan[:, -1 - k],
                    animated=True,
                    color=colour,
                    alpha=alpha,
                    linewidth=0.0,
                )
            )
        self._day += ax.plot(hours, fan[:, 2], animated=True, color=colour, linewidth=1.5)
        # The worst nodes are what the limits are about.
        self._day += ax.plot(hours, fan[:, [0, -1]], animated=True, color=colour, linewidth=0.9)
        seen = fan[np.isfinite(fan)]
        bottom, top = ax.get_ylim()
        if seen.size and (seen.min() < bottom or seen.max() > top):
            ax.set_ylim(min(bottom, float(seen.min()) - 0.02), max(top, float(seen.max()) + 0.02))
            self._background = None  # the ticks move


def draw(
    feeder: Feeder,
    v_pu: Floats,
    *,
    loading: Floats | None = None,
    closed: NDArray[np.bool_] | None = None,
    history: DayHistory | None = None,
    fleet: Fleet | None = None,
    band: tuple[float, float] = (0.95, 1.05),
    title: str = "",
    note: str = "",
    size: tuple[int, int] = (1000, 600),
) -> NDArray[np.uint8]:
    """One picture (height, width, 3) uint8; keep a `Renderer` where many follow."""
    renderer = Renderer(feeder, fleet, band, size)
    return renderer.frame(v_pu, loading=loading, closed=closed, history=history, title=title, note=note)
