"""The picture of one environment: keeps the episode so far, draws on demand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.grid import Grid
from .day_figure import DayHistory, Renderer
from .time_span import TimeSpan


class View:
    """Draws a grid of one row; ``mode`` is ``"rgb_array"`` (pixels) or ``"human"`` (a window)."""

    def __init__(self, grid: Grid, mode: str) -> None:
        self.mode = mode
        band = grid.task.v_band
        if band is None:
            low, high = grid.stepper.v_min, grid.stepper.v_max  # per node
            band = (float(low[low > 0.0].min(initial=1.0)), float(high[np.isfinite(high)].max(initial=1.0)))
        self._scene = (grid.feeder, grid.fleet, band)
        self._history = DayHistory()
        self._renderer: Renderer | None = None
        self._window: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """A copy draws on a canvas and in a window of its own."""
        return {**self.__dict__, "_renderer": None, "_window": None}

    def restart(self) -> None:
        """Forget the episode so far."""
        self._history.clear()

    def remember(self, grid: Grid) -> None:
        """Add the interval just solved to the episode so far."""
        hour = _span(grid).begin_h + float(grid.step_index[0]) * grid.dt_h
        self._history.record(hour, _voltages(grid), grid.fleet)

    def show(self, grid: Grid) -> NDArray[np.uint8] | None:
        """Pixels (height, width, 3), or None after drawing into the window."""
        calendar, day = grid.load.calendar, int(grid.day[0])
        minutes = round((int(grid.t_index[0]) - day * calendar.steps_per_day) * calendar.dt_h * 60.0)
        clock = f"{minutes // 60:02d}:{minutes % 60:02d}"
        label = calendar.day_label(day) if grid.load.dated else f"day {day}"
        if self._renderer is None:
            self._renderer = Renderer(*self._scene)
        frame = self._renderer.frame(
            _voltages(grid), loading=_loading(grid), history=self._history,
            span=_span(grid),
            title=f"{grid.feeder.name}   {label} {clock}",
        )  # fmt: skip
        if self.mode == "rgb_array":
            return frame
        self._draw_window(frame)
        return None

    def _draw_window(self, frame: NDArray[np.uint8]) -> None:
        from matplotlib import pyplot as plt

        if self._window is None:
            figure = plt.figure(figsize=(frame.shape[1] / 100, frame.shape[0] / 100))
            axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
            axes.set_axis_off()
            self._window = (figure, axes.imshow(frame))
            plt.ion()
            figure.show() if plt.get_backend().lower() != "agg" else None
        self._window[1].set_data(frame)
        self._window[0].canvas.draw_idle()
        self._window[0].canvas.flush_events()

    def close(self) -> None:
        """Close the window, if one is open."""
        if self._window is not None:
            from matplotlib import pyplot as plt

            plt.close(self._window[0])
            self._window = None


def _span(grid: Grid) -> TimeSpan:
    """The episode on the axis of time."""
    calendar = grid.load.calendar
    day, step = divmod(int(grid.t_index[0] - grid.step_index[0]), calendar.steps_per_day)
    first = calendar.time(day * calendar.steps_per_day).date() if grid.load.dated else None
    return TimeSpan(step * calendar.dt_h, grid.aside.episode_steps * calendar.dt_h, first)


def _voltages(grid: Grid) -> NDArray[np.float64]:
    """(n_nodes,) or (n_nodes, 3) magnitudes; NaN where there is none."""
    stepper = grid.stepper
    return np.ma.getdata(stepper.info_columns.voltages.filled(stepper.v_pu[0]))


def _loading(grid: Grid) -> NDArray[np.float64]:
    """(n_branches,) loading, that of the most loaded phase; 0 without a rating."""
    stepper = grid.stepper
    loading = stepper.info_columns.branch_loading.filled(stepper.loading[0])
    return np.asarray(loading if loading.ndim == 1 else loading.max(axis=1).filled(0.0))
