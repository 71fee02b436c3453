"""What each row drew for its episode beside its day: its network, and its prices. See `randomise`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cases.profiles import Profiles
from .randomise import Randomisation

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_ONE = (1.0, 1.0)


class EpisodeDraws:
    """The draws of a batch; without a randomisation nothing is drawn, and prices are those of the profiles.

    Attributes:
        scale, shift_usd_mwh: (batch,) of the prices of each row's episode: ``scale * price + shift``.
        names: of the columns of :meth:`table`.
        low, high: their bounds.
    """

    def __init__(self, batch: int, spec: Randomisation | None, stepper: Any) -> None:
        self._spec, self._stepper = spec, stepper
        self.scale, self.shift_usd_mwh = np.ones(batch), np.zeros(batch)
        ends = {} if spec is None else _ends(spec, stepper)
        self.names = tuple(ends)
        self.low = np.array([low for low, _ in ends.values()])
        self.high = np.array([high for _, high in ends.values()])

    @property
    def varies_prices(self) -> bool:
        """Whether rows have prices of their own."""
        return self._spec is not None and self._spec.varies_prices

    def begin(self, rows: IntArray, rngs: Sequence[np.random.Generator]) -> None:
        """Episodes begin in ``rows``; each draws from its own generator."""
        if self._spec is None:
            return
        if self._spec.varies_network:
            self._stepper.begin(rows, rngs)
        if self._spec.varies_prices:
            self.scale[rows] = [rng.uniform(*self._spec.price_scale) for rng in rngs]
            self.shift_usd_mwh[rows] = [rng.uniform(*self._spec.price_shift_usd_mwh) for rng in rngs]

    def prices(self, row: int, price_usd_mwh: FloatArray) -> FloatArray:
        """Prices of the profiles as ``row`` meets them."""
        return np.asarray(price_usd_mwh * self.scale[row] + self.shift_usd_mwh[row])

    def of_rows(self, rows: IntArray, price_usd_mwh: FloatArray) -> FloatArray:
        """Prices of the profiles (rows, n) as each of ``rows`` meets them."""
        return np.asarray(price_usd_mwh * self.scale[rows, None] + self.shift_usd_mwh[rows, None])

    def price_ends(self, low: Any, high: Any) -> tuple[Any, Any]:
        """The lowest and the highest price of any episode; ``low`` and ``high`` are those of the profiles."""
        if self._spec is None or not self._spec.varies_prices:
            return low, high
        (least, most), (down, up) = self._spec.price_scale, self._spec.price_shift_usd_mwh
        return np.minimum(least * low, most * low) + down, np.maximum(least * high, most * high) + up

    def of_profiles(self, profiles: Profiles) -> tuple[float, float]:
        """:meth:`price_ends` of all prices of the profiles."""
        low, high = float(np.min(profiles.price_usd_mwh)), float(np.max(profiles.price_usd_mwh))
        ends = self.price_ends(low, high)
        return float(ends[0]), float(ends[1])

    def table(self, random_load: FloatArray) -> FloatArray:
        """(batch, columns) of what was drawn; ``random_load`` (batch, n) what the load drew, growth first."""
        known: dict[str, FloatArray] = {"price_scale": self.scale, "price_shift_usd_mwh": self.shift_usd_mwh}
        if "load_growth" in self.names:
            known["load_growth"] = random_load[:, 0]
        if self._spec is not None and self._spec.varies_network:
            known |= self._stepper.drawn()
        return np.column_stack([known[name] for name in self.names])

    def state(self) -> dict[str, FloatArray]:
        """Live arrays that the future depends on, beside those of the grid and the load."""
        return {"price_scale": self.scale, "price_shift": self.shift_usd_mwh} if self.varies_prices else {}


def _ends(spec: Randomisation, stepper: Any) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of everything that varies, by name."""
    found = {}
    for name in ("load_growth", "price_scale"):
        if getattr(spec, name) != _ONE:
            found[name] = getattr(spec, name)
    if spec.price_shift_usd_mwh != (0.0, 0.0):
        found["price_shift_usd_mwh"] = spec.price_shift_usd_mwh
    if spec.varies_network:
        drawn = stepper.drawn()
        for name in drawn:
            if name.startswith("topology"):
                found[name] = (0.0, 1.0)
        if spec.varies_lines:
            length = spec.line_length
            for name in ("line_r", "line_x"):
                low, high = getattr(spec, name)
                found[name] = (low * length[0], high * length[1])
    return found
