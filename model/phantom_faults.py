"""The words for everything that can be wrong with a simulated study apart from stroke."""

from enum import StrEnum


class Fault(StrEnum):
    """One thing wrong with a study."""

    CONTRAST = "contrast"
    CONTRAST_UNTAGGED = "contrast_untagged"
    METAL = "metal"
    MOTION = "motion"
    SKULL_DEFECT = "skull_defect"
    CRANIOTOMY = "craniotomy"
    CHILD = "child"
    MISSING_SLICES = "missing_slices"
    DUPLICATE_SLICES = "duplicate_slices"
    MR = "mr"
    CHEST = "chest"
    TRUNCATED_PIXELS = "truncated_pixels"
    TRUNCATED_FILE = "truncated_file"
    NAME_CP874_AS_LATIN1 = "name_cp874_as_latin1"
    NAME_CP874_UNDECLARED = "name_cp874_undeclared"
    NAME_UTF8_AS_TIS620 = "name_utf8_as_tis620"
    BUDDHIST_DATES = "buddhist_dates"
    EMPTY_PATIENT_ID = "empty_patient_id"


FAULTS: tuple[Fault, ...] = tuple(Fault)
