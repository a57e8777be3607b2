"""The objects of a result: legal to dciodvfy, the same again for the same result, in the right place."""

import io
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from pacs_gateway.letter import wrap_pdf
from pacs_gateway.objects import build_final_report, build_objects, result_file
from pacs_gateway.results import NotReportable, Reference, Signature, StudyResult, Subject, Suspicion
from pacs_gateway.segmentation import build_segmentation
from tests.pacs_gateway.results import STATEMENTS, THAI, TILTED, cleared, images, refused, study_result

SPARSE = Subject("1.2.3.4")
SIGNED = Signature(
    "หมอ^อ่าน", "Udon Thani Hospital", "correct", ["sdh"], "thin subdural", datetime(2026, 11, 2, tzinfo=UTC)
)

RESULTS = {
    "flagged": study_result(),
    "review": study_result("review", statements=STATEMENTS[2:]),
    "clear": cleared(),
    "refused": refused(),
    "tilted": study_result(source=images(TILTED)),
    "multi-frame": study_result(source=images(multi_frame=True)),
    "no frame of reference": study_result(source=images(frame_of_reference="")),
    "name of one component": study_result(
        subject=replace(THAI, patient_name="SOMCHAI JAIDEE", referring_physician_name="หมอ")
    ),
    "attributes missing": study_result(subject=SPARSE),
    "refused, attributes missing": refused(subject=SPARSE),
}


def objects(result: StudyResult) -> dict[str, Dataset]:
    return {each.kind: dcmread(io.BytesIO(each.content)) for each in build_objects(result)}


def texts(ds: Dataset) -> list[str]:
    return list(_texts(ds))


def _texts(item: Dataset) -> Iterator[str]:
    if "TextValue" in item:
        yield str(item.TextValue)
    for child in item.get("ContentSequence", ()):
        yield from _texts(child)


def groups(report: Dataset) -> dict[str, Dataset]:
    """The measurement groups of a report by their tracking identifier."""
    (measurements,) = (
        c for c in report.ContentSequence if c.ConceptNameCodeSequence[0].CodeValue == "126010"
    )
    return {value(group, "112039").TextValue: group for group in measurements.ContentSequence}


def value(group: Dataset, code: str) -> Dataset:
    found = [c for c in group.ContentSequence if c.ConceptNameCodeSequence[0].CodeValue == code]
    assert len(found) == 1, (code, len(found))
    item: Dataset = found[0]
    return item


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not on this machine")
class TestDciodvfy:
    @pytest.mark.parametrize("name", RESULTS)
    def test_finds_no_error_in_any_object(self, name: str, tmp_path: Path) -> None:
        made = build_objects(RESULTS[name])
        assert {"sr", "sc"} <= {each.kind for each in made}
        assert [errors(each.content, tmp_path) for each in made] == [[]] * len(made)

    def test_finds_no_error_in_a_final_report_or_a_letter(self, tmp_path: Path) -> None:
        result = study_result(signature=SIGNED)
        final = build_final_report(result, Reference("1.2.840.10008.5.1.4.1.1.88.34", "2.25.1", "2.25.2"))
        letter = wrap_pdf(
            b"%PDF-1.7 one", THAI, title="ใบส่งตัว", at=result.at, key="referral 7", institution="อุดรธานี"
        )
        assert errors(final.content, tmp_path) == []
        assert errors(result_file("pdf", letter).content, tmp_path) == []


def errors(content: bytes, folder: Path) -> list[str]:
    path = folder / "object.dcm"
    path.write_bytes(content)
    said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, timeout=60)
    return [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]


class TestEveryObject:
    @pytest.mark.parametrize("name", RESULTS)
    def test_is_the_same_to_the_last_byte_when_made_again(self, name: str) -> None:
        assert build_objects(RESULTS[name]) == build_objects(RESULTS[name])

    def test_is_another_for_other_weights_or_another_revision(self) -> None:
        result = study_result()
        others = (
            replace(result, revision=2),
            replace(result, algorithm=replace(result.algorithm, digest="e" * 64)),
        )
        mine = {each.sop_instance_uid for each in build_objects(result)}
        for other in others:
            assert mine.isdisjoint(each.sop_instance_uid for each in build_objects(other))

    @pytest.mark.parametrize("name", ["flagged", "refused"])
    def test_names_the_patient_the_hospital_and_the_time_zone(self, name: str) -> None:
        for ds in objects(RESULTS[name]).values():
            assert str(ds.PatientName) == THAI.patient_name
            assert (ds.PatientID, ds.IssuerOfPatientID) == ("0065-1", "10671")
            assert (ds.SpecificCharacterSet, ds.TimezoneOffsetFromUTC) == ("ISO_IR 192", "+0700")
            assert (ds.StudyInstanceUID, ds.StudyDescription) == ("1.2.3.4", "CT BRAIN สมอง")
            assert ds.SeriesNumber >= 9000
            assert ds.InstanceCreationDate == "20261102", "20:30 UTC is the next day in Thailand"

    def test_leaves_a_name_of_one_component_as_it_is(self) -> None:
        for ds in objects(RESULTS["name of one component"]).values():
            assert str(ds.PatientName) == "SOMCHAI JAIDEE"

    def test_says_that_it_is_not_for_diagnosis(self) -> None:
        made = objects(study_result())
        assert "research use" in texts(made["sr"])[0] or any("research use" in t for t in texts(made["sr"]))
        assert any("ห้ามใช้วินิจฉัย" in text for text in texts(made["sr"]))
        assert made["seg"].ContentQualification == "RESEARCH"
        for kind in ("seg", "gsps", "sc"):
            assert "NOT FOR DIAGNOSTIC USE" in made[kind].SeriesDescription
        assert made["sc"].BurnedInAnnotation == "YES"


class TestReport:
    def test_is_preliminary_and_unverified(self) -> None:
        report = objects(study_result())["sr"]
        assert (report.CompletionFlag, report.PreliminaryFlag) == ("COMPLETE", "PRELIMINARY")
        assert report.VerificationFlag == "UNVERIFIED"

    def test_gives_probability_threshold_and_decision_of_each_finding(self) -> None:
        group = groups(objects(study_result())["sr"])["iph"]
        assert value(group, "122157").MeasuredValueSequence[0].NumericValue == 0.91
        assert value(group, "AI.THRESHOLD").MeasuredValueSequence[0].NumericValue == 0.4
        assert value(group, "AI.DECISION").ConceptCodeSequence[0].CodeValue == "AI.FLAG"
        assert value(group, "111001").TextValue == "stroke-ct-0.2.0"
        assert value(group, "111003").TextValue == "0.2.0"

    def test_lists_what_is_not_assessed_as_such_and_without_a_number(self) -> None:
        group = groups(objects(cleared())["sr"])["acute_ischaemia"]
        assert value(group, "AI.DECISION").ConceptCodeSequence[0].CodeValue == "AI.NONE"
        assert "NUM" not in {item.ValueType for item in group.ContentSequence}

    def test_of_a_refused_study_gives_every_reason(self) -> None:
        report = objects(refused())["sr"]
        group = groups(report)["study"]
        reasons = [
            item.ConceptCodeSequence[0].CodeMeaning
            for item in group.ContentSequence
            if item.ConceptNameCodeSequence[0].CodeValue == "REFUSAL"
        ]
        assert reasons == ["Contrast", "Missing slices"]
        assert value(group, "TRIAGE").ConceptCodeSequence[0].CodeValue == "TRIAGE.REFUSED"
        assert any("112 HU" in text for text in texts(report))

    def test_refers_to_the_segment_and_gives_its_volume(self) -> None:
        made = objects(study_result())
        group = groups(made["sr"])["suspicion"]
        (segment,) = (item for item in group.ContentSequence if "ReferencedSOPSequence" in item)
        assert segment.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == made["seg"].SOPInstanceUID
        assert value(group, "118565006").MeasuredValueSequence[0].NumericValue == 21.1

    def test_that_is_signed_is_final_verified_and_replaces_the_preliminary_one(self) -> None:
        result = study_result()
        before = build_objects(result)[0]
        previous = Reference(before.sop_class_uid, before.sop_instance_uid, before.series_instance_uid)
        file = build_final_report(replace(result, signature=SIGNED), previous)
        final = dcmread(io.BytesIO(file.content))
        assert (final.PreliminaryFlag, final.VerificationFlag) == ("FINAL", "VERIFIED")
        assert str(final.VerifyingObserverSequence[0].VerifyingObserverName) == "หมอ^อ่าน"
        replaced = final.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        assert replaced.ReferencedSOPInstanceUID == before.sop_instance_uid
        assert (file.series_instance_uid, file.instance_number) == (before.series_instance_uid, 2)
        assert "suspicion" in groups(final), "the segmentation of the preliminary report still counts"

    def test_is_not_made_of_nothing(self) -> None:
        with pytest.raises(NotReportable, match=r"1\.2\.3\.4 has no instance"):
            build_objects(refused(references=()))


class TestSegmentation:
    @pytest.mark.parametrize("name", ["flagged", "tilted", "multi-frame"])
    def test_lies_on_the_images_it_was_drawn_on(self, name: str) -> None:
        result = RESULTS[name]
        ds = objects(result)["seg"]
        assert result.suspicion is not None
        frames = ds.PerFrameFunctionalGroupsSequence
        positions = [tuple(f.PlanePositionSequence[0].ImagePositionPatient) for f in frames]
        assert sorted(positions) == sorted(result.images[n].position for n in result.suspicion.masks)
        shared = ds.SharedFunctionalGroupsSequence[0]
        orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        np.testing.assert_allclose([float(v) for v in orientation], result.images[0].orientation)
        pixels = ds.pixel_array
        for position, frame, drawn in zip(positions, frames, pixels, strict=True):
            number = next(n for n, image in enumerate(result.images) if image.position == position)
            np.testing.assert_array_equal(drawn, result.suspicion.masks[number])
            source = frame.DerivationImageSequence[0].SourceImageSequence[0]
            assert source.ReferencedSOPInstanceUID == result.images[number].sop_instance_uid
            if result.images[number].frame is not None:
                assert source.ReferencedFrameNumber == result.images[number].frame

    def test_refuses_a_mask_that_is_not_of_the_image(self) -> None:
        wrong = Suspicion({2: np.ones((64, 63), np.bool_)}, 1.0)
        with pytest.raises(NotReportable, match=r"image 3 is \(64, 63\), the image \(64, 64\)"):
            build_segmentation(study_result(suspicion=wrong))

    def test_is_not_made_where_nothing_is_suspected(self) -> None:
        assert "seg" not in objects(cleared())
        assert "gsps" not in objects(cleared())
        with pytest.raises(NotReportable):
            build_segmentation(cleared())


class TestPresentation:
    def test_outlines_the_suspicion_in_pixels_of_its_slice(self) -> None:
        ds = objects(study_result())["gsps"]
        (annotation,) = ds.GraphicAnnotationSequence
        assert annotation.ReferencedImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4.1.4"
        corners = np.reshape(annotation.GraphicObjectSequence[0].GraphicData, (-1, 2))
        assert corners.min(axis=0).tolist() == [24.0, 20.0]
        assert corners.max(axis=0).tolist() == [40.0, 30.0]
        assert "suspected IPH (not for diagnosis)" in annotation.TextObjectSequence[0].UnformattedTextValue

    def test_draws_a_box_where_no_mask_is_known(self) -> None:
        masks = {5: np.ones((64, 64), np.bool_)}
        ds = objects(study_result(suspicion=Suspicion(masks, 9.0)))["gsps"]
        (drawn,) = ds.GraphicAnnotationSequence[0].GraphicObjectSequence
        assert np.reshape(drawn.GraphicData, (-1, 2)).max(axis=0).tolist() == [40.0, 30.0]

    def test_names_the_frame_of_a_multi_frame_image(self) -> None:
        ds = objects(RESULTS["multi-frame"])["gsps"]
        referenced = ds.GraphicAnnotationSequence[0].ReferencedImageSequence[0]
        assert referenced.ReferencedFrameNumber == 4


class TestCapture:
    def test_shows_each_key_slice_between_red_bands(self) -> None:
        made = [each for each in build_objects(study_result()) if each.kind == "sc"]
        assert [each.instance_number for each in made] == [1, 2]
        pixels = dcmread(io.BytesIO(made[0].content)).pixel_array
        assert pixels.shape == (564, 512, 3)
        assert pixels[2, 2].tolist() == [160, 0, 0] == pixels[-2, 2].tolist()
        assert pixels[282, 256].tolist() == [90, 90, 90]
        assert (pixels[:26] == 255).all(axis=2).any(), "the words in the band are white"

    def test_of_a_refused_study_is_a_page_of_words(self) -> None:
        (page,) = (each for each in build_objects(refused()) if each.kind == "sc")
        ds = dcmread(io.BytesIO(page.content))
        assert (ds.pixel_array[26:-26] > 200).any()
        assert "contrast, missing_slices" in ds.DerivationDescription


class TestLetter:
    def test_keeps_the_document_and_its_thai_title(self) -> None:
        made = wrap_pdf(b"%PDF-1.7 odd", THAI, title="ใบส่งตัว", at=datetime(2026, 11, 1, tzinfo=UTC), key="r1")
        ds = dcmread(io.BytesIO(result_file("pdf", made).content))
        assert ds.DocumentTitle == "ใบส่งตัว"
        assert ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength] == b"%PDF-1.7 odd"

    def test_refuses_what_is_no_pdf(self) -> None:
        with pytest.raises(NotReportable, match="begins with %PDF-"):
            wrap_pdf(b"<html>", THAI, title="x", at=datetime(2026, 11, 1, tzinfo=UTC), key="r1")
