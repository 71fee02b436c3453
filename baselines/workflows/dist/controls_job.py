"""`distgrid dist controls` as a job of one item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from .... import cases
from ...jobs.config_fields import Positional
from ...jobs.feeder_content import feeder_sha256
from ...jobs.job import Description, Job, JobConfig, JobOutcome, Part, Summary, Tables
from ...jobs.manifest import InputRecord, Scalar
from .controls import check_start, settle
from .controls_figure import controls_png

PICTURE = "controls.png"


class ControlsConfig(JobConfig):
    """Let regulators and capacitor banks act by their own relays until none wants to.

    Exit status: 0 at rest, 3 where the controls hunt or the power flow did not converge, 2 for wrong input.
    """

    feeder: Annotated[str, Positional()] = Field(
        description="Shipped per-phase feeder, .dss script, or folder of tables."
    )
    start: str = Field(default="stored", description="Taps to start from: stored or neutral.")
    voltage_bands: bool = Field(default=False, description="Loads outside their voltage band as in OpenDSS.")
    max_control_iter: int = Field(default=100, description="Power flows after which it is given up.")


class ControlsJob(Job[ControlsConfig]):
    """Local control of one feeder, until it rests."""

    kind = "dist controls"
    config_model = ControlsConfig
    tables = ("taps", "banks", "actions")
    pictures = (PICTURE,)
    keeps_parts = False

    def __init__(self, config: ControlsConfig) -> None:
        """RunError for an unknown start."""
        super().__init__(config)
        check_start(config.start)

    def prepare(self) -> cases.Feeder:
        """The feeder."""
        return cases.load(self.config.feeder)

    def parameters(self, context: cases.Feeder) -> Mapping[str, Scalar]:
        """The configuration; the feeder counts by its content."""
        return self.config.model_dump(exclude={"feeder"})

    def describe(self, context: cases.Feeder) -> Description:
        """The feeder."""
        return Description([InputRecord(name=f"feeder {context.name}", sha256=feeder_sha256(context))])

    def items(self, context: cases.Feeder) -> Sequence[str]:
        """The feeder."""
        return [context.name]

    def do(self, context: cases.Feeder, item: str) -> Part:
        """Let the controls act."""
        asked = self.config
        found = settle(
            context, start=asked.start, voltage_bands=asked.voltage_bands,
            max_control_iterations=asked.max_control_iter,
        )  # fmt: skip
        facts: dict[str, Scalar] = {
            "settled": bool(found.run.settled),
            "converged": bool(found.run.solution.converged),
            "iterations": int(found.run.iterations),
            "actions": len(found.run.actions),
            "verdict": found.verdict,
        }
        return Part({name: getattr(found, name) for name in self.tables}, [facts])

    def summary(
        self, context: cases.Feeder, tables: Tables, facts: Sequence[Mapping[str, Scalar]]
    ) -> Summary:
        """How it ended; controls that are not at rest have failed."""
        (found,) = facts
        return Summary(dict(found), None if found["settled"] else str(found["verdict"]))

    def draw(self, context: cases.Feeder, outcome: JobOutcome) -> Mapping[str, bytes]:
        """Voltages before and after, and what was moved."""
        return {PICTURE: controls_png(context, outcome.tables, self.config.voltage_bands)}

    def show(self, context: cases.Feeder, outcome: JobOutcome) -> Iterable[Any]:
        """One row per regulator; banks in the caption."""
        return [regulators_table(context, outcome)]


def regulators_table(feeder: cases.Feeder, outcome: JobOutcome) -> Any:
    """Where each regulator came to rest, for a terminal."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=f"Local control of {escape(feeder.name)}"
        + ("" if outcome.manifest.results["settled"] else ": NOT AT REST"),
        title_justify="left", title_style="bold", header_style="dim", box=box.SIMPLE_HEAD, pad_edge=False,
        caption_justify="left",
    )  # fmt: skip
    table.add_column("Regulator", no_wrap=True)
    table.add_column("Phase", no_wrap=True)
    for head in ("Start", "Tap", "Relay V", "Set V", "Band V"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in outcome.tables["taps"].to_pylist():
        notes = [word for word in ("at_limit", "reversed") if row[word]]
        notes += [] if row["in_band"] else ["out of band"]
        volts = "–" if row["relay_v"] is None else f"{row['relay_v']:.2f}"
        table.add_row(
            escape(row["reg_id"]), row["phase"], f"{row['tap_start']:+d}", f"{row['tap_pos']:+d}", volts,
            f"{row['set_v']:.1f}", f"{row['band_v']:.1f}", ", ".join(notes).replace("_", " "),
        )  # fmt: skip
    banks = outcome.tables["banks"].to_pylist()
    states = [f"{escape(row['cap_id'])} {'on' if row['on'] else 'off'}" for row in banks]
    table.caption = "Banks: " + (", ".join(states) or "none")
    return table
