"""What a benchmark says: the content of its JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

NOT_INSTALLED = "not installed"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Machine(_Strict):
    """Where and when; ``load_average`` is that of the last minute before the run."""

    cpu: str
    cores: int
    usable_cores: int
    load_average: float | None
    system: str
    python: str
    versions: dict[str, str | None]
    thread_variables: dict[str, str]
    taken_at: str


class Spread(_Strict):
    """Median and quartiles over the rounds."""

    median: float
    q1: float
    q3: float


class Timing(_Strict):
    """Seconds per call, by the clock on the wall and by the processor time of the process."""

    wall_s: Spread
    cpu_s: Spread
    rounds: int
    calls_per_round: int


class Ratio(_Strict):
    """How often ours fits into theirs: peer time / our time, round by round, then the median."""

    of: str
    wall: Spread
    cpu: Spread

    @property
    def least(self) -> float:
        """The smaller of both medians: what a target is held against."""
        return min(self.wall.median, self.cpu.median)


class ReportRow(_Strict):
    """One solver on one problem. ``status`` is "ok" or says why there are no numbers."""

    solver: str
    package: str
    options: str
    status: str = "ok"
    tolerance: float | None = None
    tolerance_unit: Literal["pu", "MVA"] = "pu"
    true_error_pu: float | None = None
    iterations: float | None = None
    timing: Timing | None = None
    ratios: list[Ratio] = Field(default_factory=list)  # of this row's time to each of ours


class Target(_Strict):
    """A number that the project set itself; ``value`` is None where the peer is missing or not asked for."""

    name: str
    wanted: float
    value: float | None
    at_most: bool = False  # the wanted number is an upper bound

    @property
    def met(self) -> bool | None:
        """Whether the measured value reaches the wanted one; None where there is no value."""
        if self.value is None:
            return None
        return self.value <= self.wanted if self.at_most else self.value >= self.wanted


class Comparison(_Strict):
    """All solvers on one feeder, at equal true error.

    ``reference``: the Newton solution that errors are measured against; ``agreement_pu``: how far it is from
    distgrid's own answer at a tolerance of 1e-12. ``solves_per_call`` is the batch.
    """

    feeder: str
    buses: int
    phase_nodes: int | None = None  # of unbalanced feeders: phases of all buses together
    solves_per_call: int = 1
    target_error_pu: float
    reference: str
    agreement_pu: float
    v_min_pu: float
    rows: list[ReportRow]


class Exponent(_Strict):
    """Fit of processor time = c · buses^exponent."""

    solver: str
    exponent: float | None
    buses: list[int]


class Peaks(_Strict):
    """What one core of the machine was measured to do."""

    memory_bytes_per_s: float  # a = b + s c on arrays larger than the last cache
    flops_per_s: float  # multiply-adds in registers


class Limit(_Strict):
    """Work of one solve in a batch, the time that each part takes at least, and what was measured."""

    feeder: str
    solver: str
    rows: int
    flops: float
    cache_bytes: float
    memory_bytes: float
    block_bytes: float  # what the block of rows in work takes: decides which cache serves
    cache_bytes_per_s: float  # measured on arrays of that size
    memory_s: float
    cache_s: float
    arithmetic_s: float
    bound: Literal["memory", "cache", "arithmetic"]  # the largest of the three
    shortest_s: float
    measured_s: float  # processor time
    share: float  # shortest_s / measured_s


class Threads(_Strict):
    """A batch on one thread and on two; seconds a call by the wall clock."""

    feeder: str
    rows: int
    one_s: Spread
    two_s: Spread
    ratio: Spread  # round by round
    best_ratio: float  # of the best rounds: what others on the machine disturbed least


class PfReport(_Strict):
    """What ``distgrid bench pf`` measures."""

    schema_version: Literal["distgrid.bench.pf/2"] = "distgrid.bench.pf/2"
    quick: bool
    machine: Machine
    single: Comparison
    scaling: list[Comparison]
    exponents: list[Exponent]
    batch: list[Comparison]
    threads: list[Threads]
    peaks: Peaks | None  # None without batches
    limits: list[Limit]
    targets: list[Target]


class Pf3Report(_Strict):
    """What ``distgrid bench pf --phases 3`` measures."""

    schema_version: Literal["distgrid.bench.pf3/1"] = "distgrid.bench.pf3/1"
    quick: bool
    machine: Machine
    single: list[Comparison]
    batch: list[Comparison]
    threads: list[Threads]
    peaks: Peaks | None  # None without batches
    limits: list[Limit]
    targets: list[Target]


class TimePart(_Strict):
    """Share of one part in a step, without what the parts inside it took."""

    name: str
    microseconds: float
    share: float


class EnvRow(_Strict):
    """Steps of one environment, timed one way."""

    env: str
    way: str
    timing: Timing  # per step
    steps_per_s: float  # by the wall clock
    steps_per_cpu_s: float


class EnvProfile(_Strict):
    """Where the time of a step goes, from a second pass with a stopwatch around the parts."""

    env: str
    steps: int
    step_us: float  # the sum of the parts
    stopwatch_us: float  # taken off: what the stopwatch itself cost
    parts: list[TimePart]


class EnvReport(_Strict):
    """What ``distgrid bench env`` measures."""

    schema_version: Literal["distgrid.bench.env/1"] = "distgrid.bench.env/1"
    quick: bool
    machine: Machine
    rows: list[EnvRow]
    profiles: list[EnvProfile]
    targets: list[Target]


class VectorRow(_Strict):
    """Episodes of a batch of environments; ``timing`` is for one step of one environment."""

    env: str
    way: str
    num_envs: int
    timing: Timing
    steps_per_s: float  # by the wall clock, median of the rounds
    best_steps_per_s: float  # of the round that other programs disturbed least
    steps_per_cpu_s: float
    best_steps_per_cpu_s: float


class VectorMemory(_Strict):
    """Largest resident memory of a process that plays so many environments."""

    env: str
    num_envs: int
    peak_gb: float


class VectorReport(_Strict):
    """What ``distgrid bench vector`` measures."""

    schema_version: Literal["distgrid.bench.vector/1"] = "distgrid.bench.vector/1"
    quick: bool
    machine: Machine
    threads: int
    rows: list[VectorRow]
    profiles: list[EnvProfile]
    memory: VectorMemory
    targets: list[Target]


class RolloutRow(_Strict):
    """Whole runs of one policy; ``timing`` is for one episode."""

    env: str
    policy: str
    way: str
    episodes: int  # of one run
    timing: Timing
    episodes_per_s: float  # by the wall clock, median of the rounds
    ratio: Ratio  # time of one by one over this way's, round by round


class RolloutReport(_Strict):
    """What ``distgrid bench rollout`` measures."""

    schema_version: Literal["distgrid.bench.rollout/1"] = "distgrid.bench.rollout/1"
    quick: bool
    machine: Machine
    rows: list[RolloutRow]
    targets: list[Target]


class GradientRow(_Strict):
    """Gradients on one feeder; times are of one row."""

    feeder: str
    buses: int
    rows: int  # of the batch
    power_flow: Timing
    gradient: Timing
    power_flows: Ratio  # time of a gradient over that of a power flow, round by round
    dense: Timing | None  # None: not of batches and per-phase feeders
    dense_ratio: Ratio | None  # its time over ours
    disagreement: float | None  # of both gradients, as a share of the largest entry


class GradientReport(_Strict):
    """What ``distgrid bench gradient`` measures."""

    schema_version: Literal["distgrid.bench.gradient/1"] = "distgrid.bench.gradient/1"
    quick: bool
    machine: Machine
    rows: list[GradientRow]
    targets: list[Target]


class HostingPeer(_Strict):
    """One candidate after another, some of them; times are of one candidate."""

    name: str
    candidates: int
    each: Timing
    power_flows_mean: float
    ratio: Ratio  # its time of a candidate over ours, round by round
    disagreement_kw: float  # largest difference of the sizes found


class HostingRow(_Strict):
    """Hosting capacity of all candidates of one feeder."""

    feeder: str
    buses: int
    candidates: int
    controls: str
    all_candidates: Timing
    most_s: float | None  # what it may take
    power_flows_mean: float  # of a candidate
    power_flows_most: int
    bracket_power_flows: int | None  # most of a candidate where the bracket is known; None: controls act
    bracket_bound: int | None  # ceil(log2(range / tolerance)) + 4
    peers: list[HostingPeer]


class HostingReport(_Strict):
    """What ``distgrid bench hosting`` measures."""

    schema_version: Literal["distgrid.bench.hosting/1"] = "distgrid.bench.hosting/1"
    quick: bool
    machine: Machine
    rows: list[HostingRow]
    targets: list[Target]


class OpfRow(_Strict):
    """Least losses of one operating point by one program."""

    feeder: str
    buses: int
    way: str
    timing: Timing
    ratio: Ratio | None  # its time over that of a warm solve
    loss_kw: float  # of the nominal loads
    apart: float | None  # from ours, as a share of it
    v_error_pu: float | None  # between the plan and its AC replay; None: of peers


class ScheduleRow(_Strict):
    """The cheapest day of stores; ``timing`` is of the whole, ``solver_s`` of the conic solver."""

    feeder: str
    buses: int
    steps: int
    storage: int
    timing: Timing
    solver_s: float
    status: str
    usd: float
    relative_gap: float  # between the replay and the bound
    v_error_pu: float


class OpfReport(_Strict):
    """What ``distgrid bench opf`` measures."""

    schema_version: Literal["distgrid.bench.opf/1"] = "distgrid.bench.opf/1"
    quick: bool
    machine: Machine
    rows: list[OpfRow]
    days: list[ScheduleRow]
    targets: list[Target]
