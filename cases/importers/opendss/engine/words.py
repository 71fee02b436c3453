"""What a line of a script asks of OpenDSS, as far as one has to know before it is handed over."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_CLOSING = {"(": ")", "[": "]", "{": "}", '"': '"', "'": "'"}
_GAP = " \t,"


class Word(NamedTuple):
    """A parameter of a line: `name=value`, or a value alone (`name` is empty), and where it stands."""

    name: str
    value: str
    start: int
    end: int


# Done by the walk itself, or never.
FLOW = ("redirect", "compile", "cd", "quit")
# What shows, draws, writes or measures, and changes nothing in the circuit: left out.
LEFT_OUT = frozenset(
    "save show plot dump help panel sample about export fileedit voltages currents powers seqvoltages "
    "seqcurrents seqpowers losses phaselosses cktlosses formedit totals capacity classes userclasses "
    "zsc zsc10 zscrefresh ysc puvoltages varvalues varnames alignfile top rotate vdiff summary "
    "di_plot comparecases yearlycurves visualize closedi doscmd estimate addbusmarker clearbusmarkers "
    "uuids cvrtloadshapes nodediff obfuscate pstcalc nodelist calcincmatrix calcincmatrix_o "
    "refine_buslevels calclaplacian exportoverloads exportvviolations zsc012 allpceatbus allpdeatbus "
    "totalpowers comhelp wait abort relcalc _showcontrolqueue giscoords cleanup finishtimestep".split()
)
# What reaches beyond one circuit in one process.
REFUSED = {
    "connect": "no connection over the network",
    "disconnect": "no connection over the network",
    "newactor": "one circuit in one actor",
    "solveall": "one circuit in one actor",
    "reconductor": "no command that writes a script",
    "rephase": "no command that writes a script",
}
# Options that name files and programs, write reports or start actors: left out of `set` and `solve`.
OPTIONS_LEFT_OUT = frozenset(
    "editor datapath casename demandinterval diverbose recorder log querylog overloadreport "
    "voltexceptionreport showexport dssvisualizationtool registryupdate concatenatereports parallel "
    "numactors activeactor cpu actorprogress showreports numcpus numcores processtime totaltime "
    "steptime sampleenergymeters tracecontrol markercode nodewidth daisysize".split()
)
_FILE = re.compile(
    r"(?i)(?<![\w%])((?:pq|p|q)?csv\w*|sng\w*|dbl\w*|file\w*)\s*=\s*"
    r"(?:\"([^\"]*)\"|'([^']*)'|\[([^\]]*)\]|([^\s,)\]}\"']+))"
)
_MODEL = re.compile(r"(?i)(?<![\w%])(userm\w*|userd\w*|shaft\w*|dyndll\w*|dynam\w*dll)\s*=")
_TRACE = "debugtrace"  # of controls and resources: a file that they write as they act
_OWN_PCT = ("pctperm", "pctminkvar")
_SAVES = re.compile(r"(?i)(?<![\w%])act\w*\s*=\s*[\"'(\[{]?\s*[ds]\w*")


def words(text: str) -> list[Word]:
    """Parameters of a line up to its comment; a bracket without its end holds the rest."""
    found: list[Word] = []
    at, end = 0, len(text)
    while True:
        while at < end and text[at] in _GAP:
            at += 1
        if at >= end or _comment(text, at):
            return found
        start = at
        first, at = _token(text, at)
        ahead = at
        while ahead < end and text[ahead] in " \t":
            ahead += 1
        if ahead < end and text[ahead] == "=":
            ahead += 1
            while ahead < end and text[ahead] in " \t":
                ahead += 1
            value, at = _token(text, ahead)
            found.append(Word(first.lower(), value, start, at))
        else:
            found.append(Word("", first, start, at))
        if at == start:  # a stray closing bracket or equals sign
            at += 1


def _comment(text: str, at: int) -> bool:
    return text[at] == "!" or text.startswith("//", at)


def _token(text: str, at: int) -> tuple[str, int]:
    if at < len(text) and text[at] in _CLOSING:
        close = text.find(_CLOSING[text[at]], at + 1)
        close = len(text) if close < 0 else close
        return text[at + 1 : close], close + 1
    start = at
    while at < len(text) and text[at] not in " \t,=" and not _comment(text, at):
        at += 1
    return text[start:at], at


def command(first: Word, known: Sequence[str]) -> str:
    """The command that a line begins with, in lower case, spelled out as OpenDSS spells abbreviations out.

    Empty where the line sets a property (`line.x.r1=3`) or says something that is no command.
    """
    if first.name:
        return ""
    text = first.value.lower()
    if text in known:
        return text
    return next((name for name in known if name.startswith(text)), "") if text else ""


def option(name: str, known: Sequence[str]) -> str:
    """The option of `set` that a name stands for, abbreviations spelled out."""
    if name in known:
        return name
    return next((full for full in known if full.startswith(name)), name)


def file_references(text: str) -> list[tuple[str, int, int]]:
    """Files that properties of a line name, and where in the line the names stand."""
    found = []
    for match in _FILE.finditer(text):
        group = next(k for k in (2, 3, 4, 5) if match.group(k) is not None)
        found.append((match.group(group), match.start(group), match.end(group)))
    return found


def loads_code(text: str) -> str:
    """The property by which a line asks for a program library; empty where it does not."""
    match = _MODEL.search(text)
    return match.group(1) if match else ""


def without_traces(text: str, given: Sequence[Word]) -> tuple[str, int]:
    """The line with parameters that ask for a file of traces turned off, and how many there were."""
    asked = [
        word for word in given
        if (name := word.name.rpartition(".")[2]).startswith("deb") and _TRACE.startswith(name)
    ]  # fmt: skip
    for word in reversed(asked):
        text = f"{text[: word.start]}{word.name}=no{text[word.end :]}"
    return text, len(asked)


def with_percent_signs(text: str, given: Sequence[Word]) -> str:
    """The line with properties as this engine spells them: `%pmpp` for the `pctpmpp` of other versions."""
    for word in reversed(given):
        path, dot, name = word.name.rpartition(".")
        if name.startswith("pct") and not any(own.startswith(name) for own in _OWN_PCT):
            said = text[word.start : word.end]
            text = f"{text[: word.start]}{path}{dot}%{name[3:]}{said[len(word.name) :]}{text[word.end :]}"
    return text


def saves_files(text: str) -> bool:
    """Whether a load shape or the like is told to write itself to a file."""
    return _SAVES.search(text) is not None
