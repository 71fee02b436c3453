"""What both kinds of solution tell of their branch flows."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class FlowViews:
    """Active and reactive power at both ends of every branch, from what a solution computes once."""

    if TYPE_CHECKING:

        @property
        def _flows(self) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
            """Complex MVA into the from and the to end of each branch, batch first."""

        def _out(self, array: NDArray[Any]) -> Any:
            """`array` without its batch axis where the arguments had none."""

    @cached_property
    def p_from_mw(self) -> FloatArray:
        """Active power into the from end of each branch (and phase), MW."""
        return np.asarray(self._out(self._flows[0].real))

    @cached_property
    def q_from_mvar(self) -> FloatArray:
        """Reactive power into the from end, MVAr."""
        return np.asarray(self._out(self._flows[0].imag))

    @cached_property
    def p_to_mw(self) -> FloatArray:
        """Active power into the to end, MW: negative where power leaves the branch there."""
        return np.asarray(self._out(self._flows[1].real))

    @cached_property
    def q_to_mvar(self) -> FloatArray:
        """Reactive power into the to end, MVAr."""
        return np.asarray(self._out(self._flows[1].imag))
