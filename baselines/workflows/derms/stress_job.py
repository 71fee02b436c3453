"""`distgrid derms stress-test`: policies on the same scenarios of a day that goes otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import RunError
from ...jobs.files import sha256_of
from ...jobs.job import Description, Job, JobOutcome, Part, Summary, Tables
from ...jobs.manifest import InputRecord, Scalar
from ...jobs.terminal import titled_table
from ...optimal.scheduling.foresight import Foresight
from ...optimal.scheduling.scenarios import drawn
from ...optimal.scheduling.stress import Player, StressTest
from ...optimal.scheduling.worlds import Event
from .schedule_session import environment_options, schedule_session
from .stress_config import FILE, StressConfig
from .stress_env import EnvironmentPlayer
from .stress_figure import stress_png
from .stress_script import read_script
from .stress_tables import SCHEMAS, result_table, scenario_table, summary_table

PICTURE = "stress.png"
_FILES = ("feeder", "assets", "script")
_CHUNK = 5


@dataclass(frozen=True, eq=False)
class StressSession:
    """A day, the plan made for it, and what happens in its scenarios."""

    feeder: str
    day: int
    test: StressTest
    scenarios: tuple[tuple[int, tuple[Event, ...]], ...]
    foresight: Foresight
    inputs: tuple[InputRecord, ...]


class StressJob(Job[StressConfig]):
    """A stress test of one day of a feeder; its items are scenarios."""

    kind = "derms stress-test"
    config_model = StressConfig
    tables = tuple(SCHEMAS)
    pictures = (PICTURE,)
    word = "scenarios"

    def prepare(self) -> StressSession:
        """The day, the plan of the day before, and the scenarios."""
        session = schedule_session(self.config.schedule())
        day, inputs = session.days[0], session.inputs
        nominal = session.case(day)
        if self.config.script is not None:
            scenarios, record = read_script(self.config.script, nominal)
            inputs += (record,)
        else:
            scenarios = tuple(
                (k, drawn(nominal, self.config.seed, k, self.config.kinds))
                for k in range(self.config.scenarios)
            )
        players: dict[str, Player] = {}
        if self.config.played:
            options = environment_options(session)
            inputs += tuple(_record(name) for name in self.config.played if name.startswith(FILE))
            players = {name: EnvironmentPlayer(name, options, day, nominal) for name in self.config.played}
        test = StressTest.of(nominal, self.config.objective, players)
        return StressSession(session.feeder.name, day, test, scenarios, session.foresight(day), inputs)

    def parameters(self, context: StressSession) -> Mapping[str, Scalar]:
        """The configuration; feeder and files count by their content."""
        return self.config.told(*_FILES)

    def describe(self, context: StressSession) -> Description:
        """The feeder, the files, and the solver."""
        return Description(list(context.inputs), packages=("clarabel",), seed=self.config.seed)

    def items(self, context: StressSession) -> Sequence[int]:
        """Places of the scenarios."""
        return range(len(context.scenarios))

    def chunk_size(self, context: StressSession, n_items: int) -> int:
        """A few scenarios."""
        return min(_CHUNK, n_items)

    def do(self, context: StressSession, item: int) -> Part:
        """One scenario, by every policy."""
        number, events = context.scenarios[item]
        settings = self.config.rolling(number, context.foresight)
        outcomes = [
            (policy, context.test.outcome(policy, events, settings)) for policy in self.config.policies
        ]
        results = result_table(number, outcomes)
        return Part({
            "stress_results": results, "stress_scenarios": scenario_table(number, events),
            "stress_summary": SCHEMAS["stress_summary"].empty_table(),
        })  # fmt: skip

    def merge(self, context: StressSession, tables: Tables) -> Tables:
        """With the distributions over all scenarios."""
        return {**tables, "stress_summary": summary_table(tables["stress_results"], self.config.policies)}

    def summary(
        self, context: StressSession, tables: Tables, facts: Sequence[Mapping[str, Scalar]]
    ) -> Summary:
        """Mean cost of each policy, and how often limits were broken."""
        found: dict[str, Scalar] = {
            "feeder": context.feeder, "day": context.day, "scenarios": len(context.scenarios),
            "policies": len(self.config.policies),
        }  # fmt: skip
        for row in tables["stress_summary"].to_pylist():
            if row["measure"] == "cost_usd":
                found[f"{row['policy']}_cost_usd"] = row["mean"]
        return Summary(found)

    def draw(self, context: StressSession, outcome: JobOutcome) -> Mapping[str, bytes]:
        """Box plots."""
        return {PICTURE: stress_png(outcome.tables["stress_results"])}

    def show(self, context: StressSession, outcome: JobOutcome) -> Iterable[Any]:
        """Means by policy."""
        yield means_table(outcome)


def _record(policy: str) -> InputRecord:
    """Of a saved policy's file. RunError where it cannot be read."""
    path = Path(policy.removeprefix(FILE))
    try:
        return InputRecord(name=f"policy {path.name}", sha256=sha256_of(path.read_bytes()))
    except OSError as error:
        raise RunError(f"policy {policy!r}: cannot read {path}: {error.strerror}") from error


def means_table(outcome: JobOutcome) -> Any:
    """Means over scenarios, cost with its interval, for a terminal."""
    results = outcome.manifest.results
    title = f"{results['scenarios']} scenarios of day {results['day']} on {results['feeder']}: means"
    found = titled_table(
        title,
        ("Policy",),
        ("Cost USD", "± 95 %", "Curtailed MWh", "Band bus-h", "Overload h", "Unserved MWh", "Peak MW"),
    )
    rows = outcome.tables["stress_summary"].to_pylist()
    for policy in dict.fromkeys(row["policy"] for row in rows):
        of = {row["measure"]: row for row in rows if row["policy"] == policy}
        cost = of["cost_usd"]
        half = "" if cost["mean_high"] is None else f"{cost['mean_high'] - cost['mean']:.2f}"
        rest = ("curtailed_mwh", "violation_bus_h", "overload_branch_h", "unserved_mwh", "peak_import_mw")
        found.add_row(policy, f"{cost['mean']:.2f}", half, *(f"{of[name]['mean']:.3f}" for name in rest))
    return found
