"""`DistGrid-*` and `DistGrid3Phase-*`: bare environments, reward from losses alone."""

from __future__ import annotations

from ..tasks import LossMinimisation
from .entry import Phased, RegisteredEnv, Sizes, batteries, inverters, phase_batteries, phase_inverters


def _balanced(name: str, case: str, storage: Sizes, sun: Sizes) -> RegisteredEnv:
    return RegisteredEnv(
        name=f"DistGrid-{name}", version=0, case=case, task=LossMinimisation(),
        resources=(*batteries(storage), *inverters(sun, "pq")), options={"v_source_pu": 1.0},
        summary="bare environment: four batteries and four PV inverters, reward from losses alone",
    )  # fmt: skip


def _per_phase(case: str, storage: Phased, sun: Phased, v_source_pu: float) -> RegisteredEnv:
    return RegisteredEnv(
        name=f"DistGrid3Phase-{case}", version=0, case=case, task=LossMinimisation(), per_phase=True,
        resources=(*phase_batteries(storage), *phase_inverters(sun, "pq")),
        options={"v_source_pu": v_source_pu},
        summary="bare environment, phase by phase: batteries and single-phase PV, reward from losses alone",
    )  # fmt: skip


ENTRIES: tuple[RegisteredEnv, ...] = (
    _balanced(
        "33bw", "case33bw",
        {"18": 0.2, "22": 0.2, "25": 0.3, "33": 0.3}, {"14": 0.4, "21": 0.4, "24": 0.8, "31": 0.6},
    ).priced(3.0, 14.0),
    _balanced(
        "118zh", "case118zh",
        {"27": 0.5, "54": 0.8, "77": 0.8, "111": 0.8}, {"20": 1.0, "50": 1.5, "76": 1.5, "109": 1.5},
    ).priced(16.0, 280.0),
    _balanced(
        "141", "case141",
        {"26": 0.8, "69": 0.8, "87": 0.8, "112": 0.8}, {"32": 1.0, "62": 1.5, "80": 1.5, "107": 1.5},
    ).priced(7.9, 190.0),
    _balanced(
        "533mt_hi", "case533mt_hi",
        {"100": 1.0, "200": 1.0, "350": 1.0, "500": 1.0}, {"150": 2.0, "250": 2.0, "400": 2.0, "520": 2.0},
    ).priced(6.5, 0.016),
)  # fmt: skip

ENTRIES3: tuple[RegisteredEnv, ...] = (
    _per_phase(
        "ieee13", (("671", "ABC", 0.3), ("675", "A", 0.1), ("611", "C", 0.1), ("646", "BC", 0.1)),
        (("652", "A", 0.15), ("645", "B", 0.2), ("611", "C", 0.15), ("692", "C", 0.2)), v_source_pu=0.98,
    ).priced(1.4, 240.0),
    _per_phase(
        "ieee34", (("844", "ABC", 0.15), ("890", "ABC", 0.15), ("822", "A", 0.04), ("838", "B", 0.03)),
        (("820", "A", 0.1), ("826", "B", 0.05), ("860", "C", 0.06), ("848", "A", 0.06)), v_source_pu=0.95,
    ).priced(2.9, 2700.0),
    _per_phase(
        "ieee37", (("701", "ABC", 0.2), ("737", "AB", 0.1), ("722", "BC", 0.1), ("742", "CA", 0.05)),
        (("712", "CA", 0.1), ("728", "AB", 0.1), ("735", "BC", 0.1), ("744", "AB", 0.05)), v_source_pu=0.98,
    ).priced(1.4, 6500.0),
    _per_phase(
        "ieee123",
        (("48", "ABC", 0.15), ("76", "ABC", 0.15), ("65", "AB", 0.1), ("47", "ABC", 0.1), ("114", "A", 0.03),
         ("22", "B", 0.04), ("104", "C", 0.04), ("71", "A", 0.04)),
        (("9", "A", 0.05), ("19", "A", 0.05), ("43", "B", 0.05), ("59", "B", 0.04), ("6", "C", 0.05),
         ("41", "C", 0.04), ("51", "A", 0.06), ("68", "A", 0.04), ("75", "C", 0.06), ("85", "C", 0.05),
         ("96", "B", 0.04), ("107", "B", 0.06)), v_source_pu=0.96,
    ).priced(1.0, 67.0),
    _per_phase(
        "european_lv", (("349", "A", 0.003), ("639", "B", 0.003), ("817", "A", 0.003), ("896", "A", 0.003)),
        (("208", "C", 0.004), ("320", "C", 0.004), ("563", "A", 0.004), ("682", "B", 0.004),
         ("755", "B", 0.004), ("906", "A", 0.004)), v_source_pu=1.05,
    ).priced(0.012, 5.7),
)  # fmt: skip
