"""The volt-var tasks have work to do on held-out days, and the standard's curve does half of it."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pytest

from distgrid import baselines
from distgrid.cases import profiles


@pytest.mark.parametrize("case", ["33bw", "141"])
def test_doing_nothing_violates_a_fifth_of_the_steps_and_the_curve_half_as_many(case: str) -> None:
    """Issue 2, section 4, over every test day; no power flow fails."""
    days = len(profiles.split_days("test"))
    result = baselines.rollout(
        f"distgrid/VoltVar-{case}-v0",
        ["do-nothing", "volt-var-ieee1547", "volt-var-ieee1547-a"],
        days,
        split="test",
        progress=False,
    )
    assert set(result.steps["day"].to_pylist()) == set(profiles.split_days("test").tolist())
    assert pc.all(result.steps["pf_converged"]).as_py()
    share = {}
    for policy in ("do-nothing", "volt-var-ieee1547", "volt-var-ieee1547-a"):
        own = result.steps.filter(pc.equal(result.steps["policy"], policy))
        share[policy] = float(np.mean(own["n_voltage_violations"].to_numpy() > 0))
    assert share["do-nothing"] >= 0.20
    assert share["volt-var-ieee1547"] <= 0.5 * share["do-nothing"]
    assert share["volt-var-ieee1547-a"] <= 0.5 * share["do-nothing"]
