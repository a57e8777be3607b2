"""Every row of PS3.15 table E.1-1, seeded and looked at; what to expect is read from the table."""

from datetime import date, timedelta

import pytest
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from pacs_gateway.annex_e import Rule, rules
from pacs_gateway.cleaner import Cleaner, PrivateElement, capped_age
from pacs_gateway.pseudonyms import Key

KEY = Key(b"a secret of thirty-two bytes, ok?")
PATIENT = KEY.patient("10671", "HN0012345")
DAY = date(2026, 3, 14)
SEEDS = {
    "AE": b"ZZYXSCU ",
    "AS": b"067Y",
    "CS": b"ZZYX",
    "DA": b"20260314",
    "DS": b"41.5",
    "DT": b"20260314093000.250000+0700",
    "IS": b"41",
    "OB": b"ZZYX",
    "PN": b"Zzyx^Q",
    "TM": b"093000",
    "UI": b"1.2.3.4.5.6.7\0",
    "UN": b"ZZYX",
    "UR": b"http://zzyx",
    "US": b"\x05\x00",
}
TEXT = b"Zzyx BRAIN 5.0mm"
ROWS = list(rules().values())
CONCRETE = [rule for rule in ROWS if "X" not in rule.tag and rule.tag != "PRIVATE"]
IN_DATA_SETS = [rule for rule in CONCRETE if rule.tag >= "0008"]


def put(ds: Dataset, tag: int, vr: str, value: bytes) -> None:
    ds[Tag(tag)] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)


def seeded(tag: int, vr: str) -> Dataset:
    ds = Dataset()
    if vr == "SQ":
        item = Dataset()
        item.PatientName, item.StudyInstanceUID = "Zzyx^Q", "1.2.3.4"
        ds.add_new(Tag(tag), "SQ", Sequence([item]))
    else:
        put(ds, tag, vr, SEEDS.get(vr, TEXT))
    return ds


def clean(ds: Dataset) -> Dataset:
    return Cleaner(KEY, PATIENT).clean(ds)


def value_of(cleaned: Dataset, tag: int) -> bytes | Sequence | None:
    if tag not in cleaned:
        return None
    element = cleaned.get_item(tag)
    return element.value if isinstance(element, RawDataElement) else cleaned[tag].value


def expected(rule: Rule, vr: str) -> str:
    """The action letter that the row asks for under our options; C splits by what can be cleaned."""
    if "modified_dates" in rule.options and vr in ("DA", "DT", "TM"):
        return "moved"
    if rule.options.get("patient") == "K":
        return "kept"
    if "C" in (rule.options.get("descriptors"), rule.options.get("patient")):
        if vr in ("SH", "LO", "UC"):
            return "described"
        if vr == "SQ" and rule.name.endswith("Code Sequence"):
            return "items"
    last = rule.profile.split("/")[-1]
    if last == "D" and vr == "UI":
        return "U"
    return "items" if last == "U*" else last


def test_the_table_has_its_621_rows() -> None:
    assert len(ROWS) == 621
    profiles = [rule.profile for rule in ROWS]
    assert {code: profiles.count(code) for code in set(profiles)} == {
        "X": 384, "D": 92, "U": 54, "Z": 42, "X/D": 22, "X/Z": 11, "X/Z/D": 8, "Z/D": 6, "X/Z/U*": 2,
    }  # fmt: skip


@pytest.mark.parametrize("rule", IN_DATA_SETS, ids=lambda rule: rule.tag)
def test_attribute_is_treated_as_its_row_says(rule: Rule) -> None:
    tag = int(rule.tag, 16)
    vr = dictionary_VR(tag)
    vr = "US" if vr == "US or SS" else vr
    value = value_of(clean(seeded(tag, vr)), tag)
    seed = SEEDS.get(vr, TEXT)
    if tag == 0x00100020:
        assert value == PATIENT.patient_id.encode() + b" "
    elif tag in (0x00100010, 0x00100030):
        assert value == b""
    elif (wanted := expected(rule, vr)) == "X":
        assert value is None
    elif wanted == "Z":
        assert value is not None
        assert len(value) == 0
    elif wanted == "D":
        assert value is not None
        assert len(value) > 0
        assert value != seed
        assert b"zzyx" not in bytes(str(value), "utf-8").lower()
    elif wanted == "U":
        assert isinstance(value, bytes)
        assert value.rstrip(b"\0").decode() == KEY.uid("1.2.3.4.5.6.7")
    elif wanted == "moved" and vr == "TM":
        assert value == seed
    elif wanted == "moved":
        assert isinstance(value, bytes)
        assert value[:8].decode() == f"{DAY + timedelta(days=PATIENT.days):%Y%m%d}"
        assert value[8:] == seed[8:]
    elif wanted == "kept" and vr in ("LO", "SH", "CS"):
        assert value is not None  # kept as a fact, and still swept for what is known of the patient
    elif wanted == "kept":
        assert value == (5 if vr == "US" else seed)
    elif wanted == "described":
        assert value == b"BRAIN 5.0mm "
    else:
        assert wanted == "items"
        assert value is not None
        assert value[0].get("PatientName", "") == ""
        assert value[0].StudyInstanceUID == KEY.uid("1.2.3.4")


def test_no_element_of_a_command_file_meta_or_directory_group_gets_into_a_data_set() -> None:
    for rule in CONCRETE:
        if rule.tag < "0008":
            assert value_of(clean(seeded(int(rule.tag, 16), "UI")), int(rule.tag, 16)) is None


def test_curves_overlays_and_private_elements_are_taken_out_whatever_their_group() -> None:
    ds = Dataset()
    for tag, vr in ((0x50000005, "US"), (0x50023000, "OW"), (0x60000010, "US"),
                    (0x60023000, "OW"), (0x601E4000, "LT"), (0x00090010, "LO"), (0x00091001, "LO"),
                    (0x7FE10010, "OB")):  # fmt: skip
        put(ds, tag, vr, b"ZZYX")
    ds.Rows = 4
    cleaned = clean(ds)
    assert {tag >> 16 for tag in cleaned.keys()} == {0x0010, 0x0028}  # noqa: SIM118


def test_a_private_number_on_the_list_stays_with_its_block_and_private_text_never_does() -> None:
    ds = Dataset()
    put(ds, 0x00430010, "LO", b"GEMS_PARM_01")
    put(ds, 0x00431027, "DS", b"0.5 ")
    put(ds, 0x00431028, "LO", b"Zzyx")
    put(ds, 0x00431029, "DS", b"Zzyx")
    listed = frozenset(PrivateElement("GEMS_PARM_01", 0x0043, last) for last in (0x27, 0x28, 0x29))
    cleaned = Cleaner(KEY, PATIENT, listed).clean(ds)
    assert value_of(cleaned, 0x00431027) == b"0.5 "
    assert value_of(cleaned, 0x00430010) == b"GEMS_PARM_01"
    assert 0x00431028 not in cleaned
    assert 0x00431029 not in cleaned


def test_rules_hold_at_any_depth() -> None:
    ds = Dataset()
    inner = ds
    for _ in range(6):
        item = Dataset()
        item.PatientName, item.StudyDate, item.SOPInstanceUID = "Zzyx^Q", "20260314", "1.2.3.4.5"
        put(item, 0x00091001, "LO", b"Zzyx")
        inner.SharedFunctionalGroupsSequence = Sequence([item])
        inner = item
    inner = clean(ds)
    for _ in range(6):
        inner = inner.SharedFunctionalGroupsSequence[0]
        assert value_of(inner, 0x00100010) == b""
        assert inner.SOPInstanceUID == KEY.uid("1.2.3.4.5")
        assert inner.StudyDate == f"{DAY + timedelta(days=PATIENT.days):%Y%m%d}"
        assert 0x00091001 not in inner


@pytest.mark.parametrize(
    ("age", "shown"),
    [("089Y", "089Y"), ("090Y", "090Y"), ("104Y", "090Y"), ("006M", "006M"), ("old", None), ("", "")],
)
def test_ages_from_ninety_on_are_one(age: str, shown: str | None) -> None:
    assert capped_age(age) == shown


def test_age_is_computed_where_only_the_birth_date_tells_it() -> None:
    ds = Dataset()
    ds.PatientBirthDate, ds.StudyDate = "25010314", "20260315"
    assert clean(ds).PatientAge == "068Y"
    ds.PatientBirthDate = "19200101"
    assert clean(ds).PatientAge == "090Y"


def test_codes_of_public_schemes_stay_and_others_are_swept() -> None:
    ds = Dataset()
    public, own = Dataset(), Dataset()
    public.CodeValue, public.CodingSchemeDesignator, public.CodeMeaning = "69536005", "SCT", "Head"
    own.CodeValue, own.CodingSchemeDesignator, own.CodeMeaning = "69536005", "99HN", "Head"
    ds.AnatomicRegionSequence = Sequence([public, own])
    first, second = clean(ds).AnatomicRegionSequence
    assert first.CodeValue == "69536005"
    assert "CodeValue" not in second
