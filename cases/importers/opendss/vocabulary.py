"""The classes and properties of OpenDSS that its importer knows, in the order of OpenDSS's own lists.

The order matters: a value without a name belongs to the property behind the last one, and a short form of a
name means the first property that begins with it.
"""

from __future__ import annotations

from collections.abc import Mapping

_RATING = "normamps emergamps faultrate pctperm repair basefreq"
_END = f"{_RATING} enabled like"
_SOURCE = (
    "bus1 basekv pu angle frequency phases mvasc3 mvasc1 x1r1 x0r0 isc3 isc1 r1 x1 r0 x0 scantype sequence "
    "bus2 z1 z0 z2 puz1 puz0 puz2 basemva yearly daily duty model puzideal spectrum basefreq enabled like"
)
_CODE = (
    "nphases r1 x1 r0 x0 c1 c0 units rmatrix xmatrix cmatrix basefreq normamps emergamps faultrate pctperm "
    "repair kron rg xg rho neutral b1 b0 seasons ratings linetype like"
)
_LINE = (
    "bus1 bus2 linecode length phases r1 x1 r0 x0 c1 c0 rmatrix xmatrix cmatrix switch rg xg rho geometry "
    "units spacing wires earthmodel cncables tscables b1 b0 seasons ratings linetype " + _END
)
_TRANSFORMER = (
    "phases windings wdg bus conn kv kva tap %r rneut xneut buses conns kvs kvas taps xhl xht xlt xscarray "
    "thermal n m flrise hsrise %loadloss %noloadloss normhkva emerghkva sub maxtap mintap numtaps subname "
    "%imag ppm_antifloat %rs bank xfmrcode xrconst x12 x13 x23 leadlag wdgcurrents core rdcohms seasons "
    "ratings " + _END
)
_XFMRCODE = (
    "phases windings wdg conn kv kva tap %r rneut xneut conns kvs kvas taps xhl xht xlt xscarray thermal n m "
    "flrise hsrise %loadloss %noloadloss normhkva emerghkva maxtap mintap numtaps %imag ppm_antifloat %rs "
    "x12 x13 x23 rdcohms seasons ratings like"
)
_REGCONTROL = (
    "transformer winding vreg band ptratio ctprim r x bus delay reversible revvreg revband revr revx "
    "tapdelay debugtrace maxtapchange inversetime tapwinding vlimit ptphase revthreshold revdelay "
    "revneutral eventlog remoteptratio tapnum reset ldc_z rev_z cogen basefreq enabled like"
)
_LOAD = (
    "phases bus1 kv kw pf model yearly daily duty growth conn kvar rneut xneut status class vminpu vmaxpu "
    "vminnorm vminemerg xfkva allocationfactor kva %mean %stddev cvrwatts cvrvars kwh kwhdays cfactor "
    "cvrcurve numcust zipv %seriesrl relweight vlowpu puxharm xrharm spectrum basefreq enabled like"
)
_CAPACITOR = "bus1 bus2 phases kvar kv conn cmatrix cuf r xl harm numsteps states " + _END
_CAPCONTROL = (
    "element terminal capacitor type ptratio ctratio onsetting offsetting delay voltoverride vmax vmin "
    "delayoff deadtime ctphase ptphase vbus eventlog usermodel userdata pctminkvar reset controlsignal "
    "basefreq enabled like"
)
_REACTOR = (
    "bus1 bus2 phases kvar kv conn rmatrix xmatrix parallel r x rp z1 z2 z0 z rcurve lcurve lmh " + _END
)

CLASSES: Mapping[str, tuple[str, ...]] = {
    "vsource": tuple(_SOURCE.split()),
    "linecode": tuple(_CODE.split()),
    "line": tuple(_LINE.split()),
    "transformer": tuple(_TRANSFORMER.split()),
    "xfmrcode": tuple(_XFMRCODE.split()),
    "regcontrol": tuple(_REGCONTROL.split()),
    "load": tuple(_LOAD.split()),
    "capacitor": tuple(_CAPACITOR.split()),
    "capcontrol": tuple(_CAPCONTROL.split()),
    "reactor": tuple(_REACTOR.split()),
}
PLACES = {kind: {name: at for at, name in enumerate(names)} for kind, names in CLASSES.items()}
# Classes that measure, record, draw or hold time series: nothing that they say enters a snapshot.
IGNORED_CLASSES = frozenset(
    "energymeter monitor loadshape growthshape priceshape tshape xycurve spectrum tcc_curve sensor".split()
)

# Properties that change nothing in a snapshot at the base frequency.
_ALWAYS = "faultrate pctperm repair spectrum seasons ratings eventlog debugtrace reset yearly daily duty"
IGNORED: Mapping[str, frozenset[str]] = {
    "vsource": frozenset(f"{_ALWAYS} scantype sequence basemva z2 puz2 puzideal".split()),
    "linecode": frozenset(f"{_ALWAYS} emergamps rg xg rho linetype".split()),
    "line": frozenset(f"{_ALWAYS} emergamps rg xg rho earthmodel linetype".split()),
    "transformer": frozenset(
        f"{_ALWAYS} thermal n m flrise hsrise normhkva emerghkva sub subname core rdcohms wdgcurrents "
        "normamps emergamps xrconst".split()
    ),
    "xfmrcode": frozenset(f"{_ALWAYS} thermal n m flrise hsrise normhkva emerghkva rdcohms".split()),
    "regcontrol": frozenset(_ALWAYS.split()),
    "load": frozenset(
        f"{_ALWAYS} growth class vminnorm vminemerg %mean %stddev numcust relweight puxharm xrharm "
        "%seriesrl cvrcurve vlowpu".split()
    ),
    "capacitor": frozenset(f"{_ALWAYS} normamps emergamps".split()),
    "capcontrol": frozenset(f"{_ALWAYS} pctminkvar".split()),
    "reactor": frozenset(f"{_ALWAYS} normamps emergamps".split()),
}

IGNORED_COMMANDS = frozenset(
    "plot show export visualize summary sample help about panel cleanup reset "
    "closedi interpolate calcincmatrix save doscmd cktlosses currents losses powers voltages "
    "seqvoltages seqcurrents seqpowers totals get ? varnames varvalues".split()
)
# Every command, in the order in which OpenDSS looks for one that begins with a short form.
COMMANDS = tuple(
    "new edit more m ~ select save show solve enable disable plot reset compile set dump open close // "
    "redirect help quit ? next panel sample clear about calcvoltagebases setkvbase buildy get init export "
    "fileedit voltages currents powers seqvoltages seqcurrents seqpowers losses phaselosses cktlosses "
    "allocateloads formedit totals capacity classes userclasses zsc zsc10 zscrefresh ysc puvoltages "
    "varvalues varnames buscoords makebuslist makeposseq reduce interpolate alignfile top rotate vdiff "
    "summary distribute di_plot comparecases yearlycurves cd visualize closedi doscmd estimate "
    "reconductor _initsnap _solvenocontrol _samplecontrols _docontrolactions _showcontrolqueue "
    "_solvedirect _solvepflow addbusmarker uuids setloadandgenkv cvrtloadshapes nodediff rephase setbusxy "
    "updatestorage obfuscate latlongcoords batchedit pstcalc variable reprocessbuses clearbusmarkers "
    "relcalc var cleanup finishtimestep nodelist connect disconnect remove calcincmatrix calcincmatrix_o "
    "refine_buslevels calclaplacian exportoverloads exportvviolations zsc012 allpceatbus allpdeatbus "
    "totalpowers giscoords clearall comhelp newactor wait solveall abort clone".split()
)
# Options of `set` that steer the solution or the screen. Those that would change the circuit are not here.
IGNORED_OPTIONS = frozenset(
    "maxiterations maxiter maxcontroliter tolerance controlmode mode stepsize h number hour sec time "
    "editor overloadreport voltexceptionreport demandinterval diverbose casename algorithm trapezoidal "
    "markertransformers markcapacitors markregulators nodewidth dotsize markercode markswitches showexport "
    "totaltime maxdemand registry sampleenergymeters trace_control tracecontrol daisysize "
    "markpvsystems markpvs markstorage lossweight uefactor allowduplicates log recorder emergvminpu "
    "emergvmaxpu".split()
)


def resolve(kind: str, word: str) -> str | None:
    """The property of a class that a word means: its name, or else the first that begins with it."""
    if word in PLACES[kind] or not word:
        return word or None
    return next((name for name in CLASSES[kind] if name.startswith(word)), None)
