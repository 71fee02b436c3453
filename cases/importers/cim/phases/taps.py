"""Taps and their controls of a model with single phases, as words of a script."""

from __future__ import annotations

from collections.abc import Iterator

from .models import RatioTapChanger, TapChangerControl, Terminal
from .network import Network

_ROUNDING = 1e-9


def tap(
    net: Network, taps: RatioTapChanger, name: str, number: int, terminal: Terminal, bus: str
) -> Iterator[str]:
    """The tap of a winding, and what moves it.

    Args:
        net: the network.
        taps: the tap changer.
        name: what the script calls the transformer.
        number: of the winding.
        terminal: where the winding is connected.
        bus: its bus and nodes.
    """
    low, high, now = (
        1.0 + (step - taps.neutral) * taps.step_pct / 100.0 for step in (taps.low, taps.high, taps.step)
    )
    if not 0.0 < low < high or not low - _ROUNDING <= now <= high + _ROUNDING:
        raise net.refuse(taps, f"a step from {taps.low} to {taps.high}", repr(taps.step))
    steps = f"mintap={low!r} maxtap={high!r} numtaps={taps.high - taps.low}"
    yield f"edit transformer.{name} wdg={number} {steps} tap={now!r}"
    control = net.model.get(TapChangerControl, taps.control) if taps.control else None
    if control is None or not control.enabled or not control.target_v:
        return
    if not taps.pt_ratio:
        raise net.refuse(taps, "TapChanger.ptRatio above 0 for its control")
    words = [
        f"new regcontrol.{net.names.of(taps.mrid)} transformer={name} winding={number}",
        f"vreg={control.target_v!r} band={control.band_v!r} ptratio={taps.pt_ratio!r} delay={taps.delay_s!r}",
    ]
    if control.compensates and taps.ct_rating_a:
        words.append(f"ctprim={taps.ct_rating_a!r} r={control.r_v!r} x={control.x_v!r}")
    watched = net.model.get(Terminal, control.terminal) if control.terminal else terminal
    if watched.connectivity_node != terminal.connectivity_node:
        words.append(f"bus={net.bus(watched, [int(bus.split('.')[1])])}")
    yield " ".join(words)
