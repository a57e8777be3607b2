"""Which SOP classes are stored: told by their UID, without anything that speaks DICOM. PS3.4 table B.5-1."""

from pydicom._uid_dict import UID_dictionary

STANDARD_ROOT = "1.2.840.10008."
STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."


def is_storage(sop_class_uid: str) -> bool:
    """Whether instances of the class are stored: all that the standard calls storage, and private ones."""
    known = UID_dictionary.get(sop_class_uid)
    if known is None:
        return not sop_class_uid.startswith(STANDARD_ROOT) or sop_class_uid.startswith(STORAGE_ROOT)
    name, kind = known[0], known[1]
    if kind != "SOP Class" or "Commitment" in name or name == "Media Storage Directory Storage":
        return False
    return "Storage" in name or (not name and sop_class_uid.startswith(STORAGE_ROOT))
