"""The page of do nothing, rules, forecasts, optimum and bound: its numbers are those of what is kept."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from distgrid.baselines.scoring.certificates import certificates

from ..cases.scripts import ROOT, tool

PAGE = (ROOT / "docs" / "baselines.md").read_text()
PLAYED = pq.read_table(ROOT / "docs" / "baselines" / "mpc.parquet").to_pylist()


def test_the_page_is_what_its_tool_makes() -> None:
    """From shipped certificates and the days that `mpc` played."""
    made = tool("baseline_table")
    assert f"{made.BEGIN}\n{made.page_tables()}{made.END}" in PAGE


@pytest.mark.parametrize("row", PLAYED, ids=lambda row: f"{row['env']} {row['day']}")
def test_forecasts_keep_below_the_bound_and_above_rest(row: dict[str, float]) -> None:
    """Row 77: nobody passes the bound, and planning on forecasts is no worse than doing nothing.

    Where no bound is proved, forecasts gain at most a tenth more than the best that is known.
    """
    known = next(one for one in certificates(str(row["env"])).to_pylist() if one["day"] == row["day"])
    rest, best, bound = known["do_nothing"], known["best_known"], known["bound"]
    most = best + 0.1 * (best - rest) if bound is None else bound + 1e-6 * abs(bound)
    assert rest < row["return"] <= most


def test_forecasts_are_worth_more_than_the_best_rule_of_each_day() -> None:
    """On the mean of normalised scores, for each environment of the page."""
    for name in tool("baseline_table").ENVIRONMENTS:
        known = {row["day"]: row for row in certificates(name).to_pylist()}
        mine, rule = 0.0, 0.0
        for row in (one for one in PLAYED if one["env"] == name):
            day = known[row["day"]]
            gain = day["best_known"] - day["do_nothing"]
            mine += (row["return"] - day["do_nothing"]) / gain
            rule += (day["best_rule_return"] - day["do_nothing"]) / gain
        assert mine > rule, name
