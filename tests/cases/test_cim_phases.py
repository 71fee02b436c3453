"""CIM models with single phases (IEC 61968): what they mean, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distgrid import cases
from distgrid.baselines.workflows.importing.importing import Imported, import_feeder
from distgrid.baselines.workflows.importing.verification import nominal_voltages
from distgrid.cases import CaseError

from .cim_phases import SCRIPT, Object, ends, model, written

pytest.importorskip("dss")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """The model, imported."""
    return import_feeder(written(tmp_path_factory.mktemp("cim") / "valley.xml", model()))


def test_the_model_is_the_grid_that_it_describes(imported: Imported, tmp_path: Path) -> None:
    """Row 3 and 115: every node and phase as in a script of the same grid that was written by hand."""
    (tmp_path / "hand.dss").write_text(SCRIPT)
    by_hand = import_feeder(tmp_path / "hand.dss").feeder
    ours, theirs = nominal_voltages(imported.feeder), nominal_voltages(by_hand)
    names = {f"node {name}": row for name, row in by_hand.node_index.items()}
    rows = {
        k: names[name] for k, name in enumerate(imported.feeder.column("nodes", "node_id")) if name in names
    }
    assert len(rows) == 10  # nine nodes, and the star point of the substation
    for here, there in rows.items():
        np.testing.assert_allclose(ours[here], theirs[there], rtol=0, atol=1e-7)


def test_it_says_what_verified_it(imported: Imported) -> None:
    """The verdict does not claim more than was compared."""
    assert "OpenDSS on the script that the model becomes" in imported.verdict
    assert imported.verification is not None
    assert imported.verification.largest_pu < 1e-7


def test_ids_are_those_of_the_model(imported: Imported) -> None:
    """Row 115: mRIDs, with blanks and capitals, name the rows; resources are assets of the feeder."""
    feeder = imported.feeder
    assert {"trunk", "lateral", "branch", "pole"} <= set(feeder.column("branches", "branch_id"))
    assert {"all", "uneven A", "house s2", "village load"} <= set(feeder.column("loads", "load_id"))
    assert set(feeder.column("capacitors", "cap_id")) == {"bank", "spur bank"}
    assert feeder.column("regulators", "reg_id").tolist() == ["tap C"]
    assert feeder.name == "valley"
    assert set(feeder.column("nodes", "feeder_id")) == {"valley"}
    assert {str(row["asset_id"]) for row in imported.assets} == {"sun", "store"}
    assert all(str(row["bus_id"]) == "node village" for row in imported.assets)


def changed(mrid: str, fields: dict[str, str | None] | None = None) -> list[Object]:
    """The model with fields of one object set, or taken away (None); without fields, without the object."""
    found = []
    for kind, name, has in model():
        if name == mrid and not fields:
            continue
        new = {**has, **(fields or {})} if name == mrid else has
        found.append((kind, name, {key: value for key, value in new.items() if value is not None}))
    return found


def test_powers_may_be_consumed(imported: Imported, tmp_path: Path) -> None:
    """IEC 61970 counts powers of inverters as consumed: the panels tell in which sense a model does."""
    consumed: dict[str, str | None] = {
        "PowerElectronicsConnection.p": "-40000.0", "PowerElectronicsConnection.q": "-5000.0",
    }  # fmt: skip
    objects = changed("sun", consumed)
    other = [
        (kind, name, has | ({"PowerElectronicsConnection.p": "20000.0"} if name == "store" else {}))
        for kind, name, has in objects
    ]
    same = import_feeder(written(tmp_path / "other.xml", other)).feeder
    np.testing.assert_allclose(nominal_voltages(same), nominal_voltages(imported.feeder), rtol=0, atol=1e-9)


def test_an_open_pole_feeds_nothing(tmp_path: Path) -> None:
    """A switch whose only pole is open is an open switch, and the spur behind is dead."""
    feeder = import_feeder(
        written(tmp_path / "m.xml", changed("pole C", {"SwitchPhase.closed": "false"}))
    ).feeder
    assert not feeder.column("branches", "status")[feeder.branch_index["pole"]]
    assert np.isnan(nominal_voltages(feeder)[feeder.node_index["node spur"]]).all()


MISTAKES: list[tuple[str, dict[str, str | None], str]] = [
    ("three 31", {}, "PerLengthPhaseImpedance three.*entries for all of its 3 by 3 places"),
    ("two", {}, "PhaseImpedanceData two 11.*PhaseImpedance = two.*an object of this model"),
    ("trunk C", {}, "ACLineSegment trunk = 2: expected a line of as many phases as its matrix has"),
    ("trunk", {"ACLineSegment.PerLengthImpedance": None}, "ACLineSegment trunk.*wire data are not read"),
    ("trunk", {"Conductor.length": None}, "ACLineSegment trunk: expected Conductor.length"),
    ("trunk", {"Conductor.length": "-5"}, "ACLineSegment trunk Conductor.length = -5"),
    ("trunk T2", {}, "ACLineSegment trunk = 1 terminals: expected 2 terminals"),
    ("trunk A", {"ACLineSegmentPhase.phase": "Kind.B"}, "trunk = B, B, C: expected each phase once"),
    ("trunk A", {"ACLineSegmentPhase.phase": "Kind.X"}, "expected a phase among A, B, C, s1, s2"),
    ("sub Z", {}, "PowerTransformer sub.*an impedance between its ends 1 and 2"),
    ("sub E2", {"PowerTransformerEnd.phaseAngleClock": "5"}, "sub = 0, 5: expected phaseAngleClock"),
    ("sub E2", {"PowerTransformerEnd.connectionKind": "Kind.Z"}, "PowerTransformerEnd sub E2 = Z"),
    ("pot type 2", {}, "ShortCircuitTest pot type 12 ShortCircuitTest.GroundedEnds = pot type 2"),
    ("pot type 12", {"ShortCircuitTest.leakageImpedance": "0.1"}, "above the resistance of both windings"),
    (
        "pot 1 E1",
        {"TransformerTankEnd.orderedPhases": "Kind.none"},
        "pot 1 E1 = none: expected orderedPhases",
    ),
    ("tap C", {"TapChanger.step": "17"}, "RatioTapChanger tap C = 17.0: expected a step from -16 to 16"),
    ("tap C", {"TapChanger.ptRatio": "0"}, "RatioTapChanger tap C.*ptRatio above 0"),
    ("end", {"ConductingEquipment.BaseVoltage": None}, "EnergyConsumer end.*BaseVoltage"),
    ("end", {"EnergyConsumer.p": "much"}, "EnergyConsumer end EnergyConsumer.p = much"),
    ("uneven", {"EnergyConsumer.grounded": "false"}, "EnergyConsumer uneven.*a star point at ground"),
    ("store", {"PowerElectronicsConnection.p": "9.0"}, "a p of the same sense as that of store"),
    ("grid", {}, "Terminal grid T1 Terminal.ConductingEquipment = grid"),
]


@pytest.mark.parametrize(("mrid", "fields", "message"), MISTAKES)
def test_mistakes_are_told_with_class_object_and_field(
    mrid: str, fields: dict[str, str | None], message: str, tmp_path: Path
) -> None:
    """Row 116: each one line or a list of them, in the words of the model, with its file."""
    path = written(tmp_path / "wrong.xml", changed(mrid, fields))
    with pytest.raises(CaseError, match=message) as caught:
        import_feeder(path)
    assert "wrong.xml" in str(caught.value)
    assert "cim-" not in str(caught.value)


def test_a_model_in_kilovolts_is_refused(tmp_path: Path) -> None:
    """Multipliers of CGMES would make volts of kilovolts: told before anything is solved."""
    bases = {"base high": "115", "base": "4.16", "base low": "0.208", "base village": "0.48"}
    objects = [
        (kind, name, has | ({"BaseVoltage.nominalVoltage": bases[name]} if name in bases else {}))
        for kind, name, has in model()
    ]
    with pytest.raises(CaseError, match=r"nominalVoltage = 115: expected volts, watts and metres"):
        import_feeder(written(tmp_path / "kv.xml", objects))


def test_equipment_that_is_not_read_is_refused(tmp_path: Path) -> None:
    """A machine that draws power and is left out would be a silent wrong answer."""
    objects: list[Object] = [*model(), ("AsynchronousMachine", "motor", {})]
    with pytest.raises(CaseError, match=r"AsynchronousMachine motor.*no equipment of this class"):
        import_feeder(written(tmp_path / "motor.xml", objects))


def test_the_door_of_balanced_models_says_where_others_go(tmp_path: Path) -> None:
    """`import_cim` knows no other format, and a model with single phases is read through one."""
    path = written(tmp_path / "valley.xml", model())
    with pytest.raises(CaseError, match=r"a balanced model; distgrid\.cases\.load reads"):
        cases.import_cim(path)
    assert cases.load(path).phases == "per-phase"


def same_as(imported: Imported, objects: list[Object], folder: Path) -> None:
    """Another spelling of the model has its voltages."""
    other = import_feeder(written(folder / "same.xml", objects)).feeder
    np.testing.assert_allclose(nominal_voltages(other), nominal_voltages(imported.feeder), rtol=0, atol=1e-8)


def spelled(change: dict[str, dict[str, str | None]]) -> list[Object]:
    """The model with fields of several objects set, or taken away."""
    return [
        (kind, name, {k: v for k, v in {**has, **change.get(name, {})}.items() if v is not None})
        for kind, name, has in model()
    ]


NONE: dict[str, str | None] = {"EnergyConsumer.p": None, "EnergyConsumer.q": None}
SPELLINGS: dict[str, dict[str, dict[str, str | None]]] = {
    "fixed powers": {
        "all": {**NONE, "EnergyConsumer.pfixed": "420e3", "EnergyConsumer.qfixed": "210e3"},
        "end C": {
            "EnergyConsumerPhase.p": None, "EnergyConsumerPhase.q": None,
            "EnergyConsumerPhase.pfixed": "70e3", "EnergyConsumerPhase.qfixed": "20e3",
        },
    },
    "powers of phases alone": {"uneven": NONE, "house": NONE},
    "powers of the whole alone": {
        "end C": {"EnergyConsumerPhase.p": None, "EnergyConsumerPhase.q": None},
    },
    "resistance between the ends alone": {
        "sub E1": {"PowerTransformerEnd.r": None}, "sub E2": {"PowerTransformerEnd.r": None},
    },
    "resistance by the loss of a test": {
        **{f"reg type {k}": {"TransformerEndInfo.r": None} for k in (1, 2)},
        "reg type 12": {"ShortCircuitTest.loss": "0.1666"},
    },
    "a full battery that charges": {"cells": {"BatteryUnit.storedE": "80000.0"}},
    "a battery of unknown charge": {"cells": {"BatteryUnit.storedE": None}},
}  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
def test_models_that_say_it_otherwise_are_the_same(name: str, imported: Imported, tmp_path: Path) -> None:
    """What stands in other fields, or follows from them, is read, and nothing becomes zero in silence."""
    same_as(imported, spelled(SPELLINGS[name]), tmp_path)


def test_star_points_at_one_bus_are_apart(tmp_path: Path) -> None:
    """A bank without ground beside a transformer whose star point a reactance grounds."""
    bank: list[Object] = [
        ("LinearShuntCompensator", "apart", {
            "LinearShuntCompensator.bPerSection": "0.01", "ShuntCompensator.nomU": "4160.0",
            "ShuntCompensator.grounded": "false", "ConductingEquipment.BaseVoltage": "#base",
        }), *ends("apart", "head"),
    ]  # fmt: skip
    path = tmp_path / "hand.dss"
    path.write_text(
        SCRIPT.replace(
            "set voltagebases",
            "new capacitor.apart bus1=head bus2=head.9.9.9 kv=4.16 kvar=173.056\nset voltagebases",
        )
    )
    by_hand = import_feeder(path).feeder
    ours = import_feeder(written(tmp_path / "apart.xml", [*model(), *bank])).feeder
    v, theirs = nominal_voltages(ours), nominal_voltages(by_hand)
    for name in ("head", "mid", "house"):
        row = ours.node_index[f"node {name}"]
        np.testing.assert_allclose(v[row], theirs[by_hand.node_index[name]], rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (spelled({"all": NONE}), "EnergyConsumer all: expected p, or p of its phases"),
        (
            spelled({"uneven": {"EnergyConsumer.p": "99e3"}}),
            "EnergyConsumer uneven = 99000: expected p of 165000",
        ),
        (
            spelled({"uneven A": {"EnergyConsumerPhase.p": None, "EnergyConsumerPhase.q": None}}),
            "EnergyConsumer uneven: expected p of all of its phases, or of none",
        ),
        (
            spelled({"uneven A": {"EnergyConsumerPhase.phase": "Kind.C"}}),
            "uneven = C, B, C: expected each phase",
        ),
        (
            spelled({"reg type 1": {"TransformerEndInfo.r": None}}),
            "expected r of its ends, or of what stands",
        ),
        (
            spelled({"pot type 1": {"TransformerEndInfo.connectionKind": "Kind.Z"}}),
            "pot type 1 = Z: expected a w",
        ),
        (
            [*model(), ("EnergySourcePhase", "grid A", {})],
            "EnergySourcePhase grid A.*no equipment of this class",
        ),
    ],
)
def test_what_a_model_does_not_say_is_asked_for(objects: list[Object], message: str, tmp_path: Path) -> None:
    """Row 116: no power, resistance or phase is made up."""
    with pytest.raises(CaseError, match=message):
        import_feeder(written(tmp_path / "wrong.xml", objects))
