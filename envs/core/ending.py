"""How a task ends episodes before their time, and what it compares with: the grid as the episode opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..tasks import StepView, Task
from ..tasks.opening import Opened

if TYPE_CHECKING:
    from ...physics.solved_grid import SolvedGrid

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class Ending:
    """Of the rows of one grid; ``used`` is False for a task that does neither, which then costs nothing.

    Args:
        task: says whether it ends episodes, and whether it compares.
        stepper: whose state is kept.
        view: what the task is shown.
    """

    def __init__(self, task: Task, stepper: SolvedGrid, view: StepView) -> None:
        self._task, self._view = task, view
        self.ends = type(task).ends is not Task.ends
        self.compares = task.compares
        if self.compares:
            limits = stepper.v_limits_pu
            view.opened = Opened(np.zeros_like(stepper.v_pu), np.zeros_like(stepper.loading), *limits)

    def begin(self, stepper: SolvedGrid, rows: IntArray) -> None:
        """Keep the state of ``rows``, which open now, where it is compared with."""
        if not self.compares:
            return
        opened = self._view.opened
        opened.v_pu[rows], opened.loading[rows] = stepper.v_pu[rows], stepper.loading[rows]

    def close(
        self, terminated: BoolArray, truncated: BoolArray, step_index: IntArray, max_steps: int | None
    ) -> None:
        """Terminate what the task ends; a limit of time cuts that as well, as Gymnasium's does."""
        if not self.ends:
            return
        ended = np.asarray(self._task.ends(self._view))
        if ended.dtype != np.bool_ or ended.shape != terminated.shape:
            raise ValueError(
                f"{type(self._task).__name__}.ends must return {terminated.size} booleans, one for each "
                f"environment, got {ended.dtype} of shape {ended.shape}"
            )
        terminated |= ended
        truncated &= ~ended
        if max_steps is not None:
            truncated |= ended & (step_index >= max_steps)

    def state(self) -> dict[str, NDArray[Any]]:
        """Live arrays that the future of a row depends on."""
        if not self.compares:
            return {}
        opened = self._view.opened
        return {"opened_v_pu": opened.v_pu, "opened_loading": opened.loading}
