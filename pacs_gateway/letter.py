"""A given PDF, such as a referral letter, wrapped to travel with its study. PS3.3 A.45.1."""

from datetime import datetime

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, EncapsulatedPDFStorage, ExplicitVRLittleEndian

from pacs_gateway.evidence import derived_uid, subject_data_set
from pacs_gateway.marking import BANGKOK, SERIES_NUMBERS
from pacs_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs_gateway.results import MANUFACTURER, NotReportable, Subject


def wrap_pdf(
    pdf: bytes, subject: Subject, *, title: str, at: datetime, key: str, institution: str = ""
) -> Dataset:
    """Wrap a PDF as an instance of the study.

    Args:
        pdf: The document.
        subject: Whose study it goes with.
        title: DocumentTitle; Thai is fine.
        at: When the document was made.
        key: What makes the document itself: the same study and key have the same UID.
        institution: Who wrote it.

    Raises:
        NotReportable: these bytes are no PDF.
    """
    if not pdf.startswith(b"%PDF-"):
        raise NotReportable(f"a PDF begins with %PDF-, this with {pdf[:5]!r}")
    moment = at.astimezone(BANGKOK)
    ds = subject_data_set(subject)
    ds.PatientName, ds.ReferringPhysicianName = subject.patient_name, subject.referring_physician_name
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = EncapsulatedPDFStorage
    ds.SOPInstanceUID = UID(derived_uid(subject.study_instance_uid, "pdf", key))
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    ds.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    ds.SeriesInstanceUID = UID(derived_uid(subject.study_instance_uid, "pdf series", key))
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "DOC", SERIES_NUMBERS["pdf"], 1
    ds.SeriesDescription = title[:64]
    ds.Manufacturer, ds.ConversionType = MANUFACTURER, "WSD"
    if institution:
        ds.InstitutionName = institution[:64]
    ds.ContentDate, ds.ContentTime = f"{moment:%Y%m%d}", f"{moment:%H%M%S}"
    ds.AcquisitionDateTime = f"{moment:%Y%m%d%H%M%S}"
    ds.InstanceCreationDate, ds.InstanceCreationTime = ds.ContentDate, ds.ContentTime
    ds.BurnedInAnnotation = "YES"
    ds.DocumentTitle = title[:1024]
    ds.ConceptNameCodeSequence = []
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    ds.EncapsulatedDocumentLength = len(pdf)
    ds.EncapsulatedDocument = pdf + b"\x00" * (len(pdf) % 2)
    return ds
