"""How the scanners of different makers spell the same head CT, and the made-up patients who lie in them."""

from dataclasses import dataclass
from datetime import date, timedelta

from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
)

from model.phantom_grid import stream


@dataclass(frozen=True, slots=True)
class Dialect:
    """One maker's way of writing a head CT."""

    name: str
    manufacturer: str
    model_name: str
    series_description: str
    bone_description: str
    localizer_description: str
    study_description: str
    protocol_name: str
    soft_kernel: tuple[str, ...]
    bone_kernel: tuple[str, ...]
    image_type: tuple[str, ...]
    transfer_syntax: UID
    signed: bool
    intercept: int
    padding: int | None
    """Stored value outside the circle of reconstruction."""
    charset: tuple[str, ...]
    """As declared in SpecificCharacterSet, and truly used unless a fault says otherwise."""
    descending: bool
    """Whether instance 1 is the topmost slice."""


TIS620 = ("ISO_IR 166",)
TIS620_EXTENDED = ("", "ISO 2022 IR 166")
UTF8 = ("ISO_IR 192",)

DIALECTS: tuple[Dialect, ...] = (
    Dialect(
        name="ge",
        manufacturer="GE MEDICAL SYSTEMS",
        model_name="Revolution EVO",
        series_description="AXIAL BRAIN 5MM STD",
        bone_description="BONE 2.5MM",
        localizer_description="SCOUT",
        study_description="CT BRAIN WITHOUT CONTRAST",
        protocol_name="1.1 ROUTINE HEAD",
        soft_kernel=("STANDARD",),
        bone_kernel=("BONEPLUS",),
        image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
        transfer_syntax=ExplicitVRLittleEndian,
        signed=True,
        intercept=-1024,
        padding=-2000,
        charset=TIS620,
        descending=False,
    ),
    Dialect(
        name="siemens",
        manufacturer="SIEMENS",
        model_name="SOMATOM go.Up",
        series_description="Head 5.0 Hr38 S2",
        bone_description="Head 5.0 Hr64 S2",
        localizer_description="Topogram 0.6 T20f",
        study_description="CT^Head_Routine (Adult)",
        protocol_name="01_Head_Routine",
        soft_kernel=("Hr38f", "2"),
        bone_kernel=("Hr64f", "2"),
        image_type=("ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM8 SEQ"),
        transfer_syntax=ExplicitVRLittleEndian,
        signed=False,
        intercept=-8192,
        padding=None,
        charset=TIS620_EXTENDED,
        descending=False,
    ),
    Dialect(
        name="philips",
        manufacturer="Philips",
        model_name="Ingenuity CT",
        series_description="HEAD ROUTINE, 5mm",
        bone_description="BONE, iDose (3)",
        localizer_description="Surview",
        study_description="Brain",
        protocol_name="Routine Brain/Head",
        soft_kernel=("UB",),
        bone_kernel=("YD",),
        image_type=("ORIGINAL", "PRIMARY", "AXIAL", "HELIX"),
        transfer_syntax=ImplicitVRLittleEndian,
        signed=False,
        intercept=-1024,
        padding=None,
        charset=UTF8,
        descending=True,
    ),
    Dialect(
        name="canon",
        manufacturer="TOSHIBA",
        model_name="Aquilion PRIME",
        series_description="Brain AXIAL 5.0",
        bone_description="BONE 5.0",
        localizer_description="Scano Lateral",
        study_description="BRAIN NC",
        protocol_name="Head NC",
        soft_kernel=("FC26",),
        bone_kernel=("FC30",),
        image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
        transfer_syntax=JPEG2000Lossless,
        signed=True,
        intercept=0,
        padding=-2048,
        charset=TIS620,
        descending=True,
    ),
    Dialect(
        name="united",
        manufacturer="UIH",
        model_name="uCT 530",
        series_description="Head_5.0_B_SOFT_B_No Cor",
        bone_description="Head_1.0_B_SHARP_C",
        localizer_description="Scout",
        study_description="Head",
        protocol_name="Head_Axial",
        soft_kernel=("B_SOFT_B",),
        bone_kernel=("B_SHARP_C",),
        image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
        transfer_syntax=RLELossless,
        signed=False,
        intercept=-1024,
        padding=None,
        charset=UTF8,
        descending=False,
    ),
    Dialect(
        name="neusoft",
        manufacturer="Neusoft Medical Systems",
        model_name="NeuViz 64 In",
        series_description="Head 5.0mm F20",
        bone_description="Head 1.0mm F60",
        localizer_description="Surview",
        study_description="CT BRAIN",
        protocol_name="Head Routine",
        soft_kernel=("F20",),
        bone_kernel=("F60",),
        image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
        transfer_syntax=JPEGLosslessSV1,
        signed=True,
        intercept=-1024,
        padding=None,
        charset=TIS620,
        descending=False,
    ),
)

GIVEN_NAMES_MALE = ("สมชาย", "บุญมี", "ประเสริฐ", "ทองดี", "วิชัย", "คำพัน", "สุรศักดิ์", "อนันต์")
GIVEN_NAMES_FEMALE = ("สมหญิง", "บัวลา", "มาลี", "ทองใบ", "วันเพ็ญ", "จันทร์แก้ว", "อรุณี", "สำราญ")
FAMILY_NAMES = ("ใจดี", "ศรีสุข", "แก้วคำ", "พรมมา", "ทองสุข", "บุญเรือง", "น้ำใส", "วงศ์จำลอง")


@dataclass(frozen=True, slots=True)
class SimulatedPatient:
    """A patient who does not exist."""

    name: str
    """Family^Given in Thai."""
    patient_id: str
    sex: str
    birth_date: date
    age: int
    study_date: date


def draw_patient(seed: int, age: float = 60.0) -> SimulatedPatient:
    """Make up a patient of a given age."""
    rng = stream(seed, "patient")
    female = bool(rng.random() < 0.5)
    given = rng.choice(GIVEN_NAMES_FEMALE if female else GIVEN_NAMES_MALE)
    study_date = date(2026, 1, 5) + timedelta(days=int(rng.integers(0, 300)))
    whole = int(age)
    birth = study_date - timedelta(days=int(whole * 365.25) + int(rng.integers(5, 355)))
    return SimulatedPatient(
        name=f"{rng.choice(FAMILY_NAMES)}^{given}",
        patient_id=f"{int(rng.integers(10**6, 10**7)):07d}",
        sex="F" if female else "M",
        birth_date=birth,
        age=whole,
        study_date=study_date,
    )
