"""`HostingCapacity-*`: new generation is sited and sized step by step, inside the limits of the feeder.

Where generation applies, a single bus could take between a half of the largest application and more than all
of it, by voltage deviation or by rating, so that what the others took decides. The price of a MW that
violates is such that connecting units at random pays less than connecting none.
"""

from __future__ import annotations

from dataclasses import replace

from ...cases.profiles import Duration
from ..resources import HostingSite
from ..tasks import HostingCapacity
from .entry import RegisteredEnv, Sizes

_LEAST = 12.0  # the smallest application is so many times smaller than the largest
_UNIT = 0.4  # of the largest application: the largest unit


def _first(name: str, case: str, sites: Sizes) -> RegisteredEnv:
    fleet = tuple(
        HostingSite(bus, p_mw=p, step_mw=round(_UNIT * p, 3), least_mw=p / _LEAST) for bus, p in sites.items()
    )
    entry = RegisteredEnv(
        name=f"HostingCapacity-{name}", version=0, case=case,
        task=HostingCapacity(episode=Duration(hours=6.0), refused_weight=10.0), resources=fleet,
        options={"v_source_pu": 1.0, "splits": "weeks-apart"},
        summary="connects new generation site by site up to the first violation, for the MW connected",
    )  # fmt: skip
    return _priced(entry, sites)


def _priced(entry: RegisteredEnv, sites: Sizes) -> RegisteredEnv:
    """With a price of failure that exceeds all that an episode can have earned, and the price of a violation.

    So a power flow that fails pays less than connecting nothing, and than the worst unit that violates.
    """
    task = entry.task
    assert isinstance(task, HostingCapacity)
    price = sum(sites.values()) + task.refused_weight * _UNIT * max(sites.values())
    return replace(entry, task=replace(task, failure_price=1.25 * price, failure_cost=price))


ENTRIES: tuple[RegisteredEnv, ...] = (
    _first(
        "33bw", "case33bw",
        {"8": 1.2, "11": 0.9, "14": 0.6, "16": 0.6, "18": 0.6, "20": 1.5, "22": 1.5, "24": 1.5, "25": 1.5,
         "28": 1.4, "30": 1.2, "33": 0.9},
    ),
    _first(
        "118zh", "case118zh",
        {"27": 2.4, "36": 3.0, "43": 2.4, "46": 2.0, "50": 2.4, "54": 1.8, "70": 1.8, "74": 1.2, "77": 1.2,
         "85": 2.4, "95": 2.4, "99": 2.4, "107": 3.0, "111": 1.8},
    ),
    _first(
        "141", "case141",
        {"26": 3.0, "30": 3.0, "50": 4.0, "59": 2.4, "69": 3.0, "74": 2.4, "80": 3.0, "84": 3.0, "87": 2.4,
         "98": 2.4, "106": 2.4, "116": 2.4, "124": 3.0, "131": 2.4, "141": 2.4},
    ),
)  # fmt: skip
