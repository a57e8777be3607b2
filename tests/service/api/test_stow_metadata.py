"""STOW-RS with metadata in JSON: what is kept is the data set that the metadata and their parts describe."""

import json
from functools import partial
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from openjpeg.utils import encode_buffer
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from service.accounts import Role
from service.settings import Settings
from tests.pacs import make_slice
from tests.service.api.conftest import SignIn

pytestmark = pytest.mark.one_database  # what is received lies in the inbox; its rows are tested with intake

STUDIES = "/dicomweb/studies"
JSON = "application/dicom+json"
RELATED = f'multipart/related; type="{JSON}"; boundary=XX'
OCTETS = "application/octet-stream"
SIDE = 32


@pytest.fixture
def client(signed_in: SignIn) -> Any:
    return signed_in(Role.TECHNICIAN)


def thai_slice(number: int = 1, **attributes: Any) -> Dataset:
    ds = make_slice(
        number=number, side=SIDE, PatientName="สมชาย^ใจดี", SpecificCharacterSet="ISO_IR 192", **attributes
    )
    ds.PixelData = np.arange(SIDE * SIDE, dtype=np.int16).tobytes()
    return ds


def described(ds: Dataset, address: str | None = None) -> dict[str, Any]:
    """The metadata of an instance whose pixels come under this address."""
    bare = Dataset({element.tag: element for element in ds if element.keyword != "PixelData"})
    made: dict[str, Any] = bare.to_json_dict()
    if address is not None:
        made["7FE00010"] = {"vr": "OW", "BulkDataURI": address}
    return made


def part(content: bytes, kind: str, address: str = "") -> bytes:
    where = f"Content-Location: {address}\r\n" if address else ""
    return f"\r\n--XX\r\nContent-Type: {kind}\r\n{where}\r\n".encode() + content


def post(client: Any, metadata: Any, *parts: bytes, path: str = STUDIES) -> Any:
    body = part(json.dumps(metadata).encode(), JSON) + b"".join(parts) + b"\r\n--XX--\r\n"
    return client.post(path, content=body, headers={"Content-Type": RELATED})


def kept(settings: Settings) -> list[Dataset]:
    paths = (each for each in (settings.inbox / "instances").glob("*/*") if each.is_file())
    return sorted((dcmread(path) for path in paths), key=lambda ds: int(ds.InstanceNumber))


def content(ds: Dataset) -> dict[str, Any]:
    """What two data sets have in common that are the same, whatever class and VR pydicom has them in."""
    return {**described(ds), "PixelData": bytes(ds.PixelData)}


def test_instances_come_out_as_they_were_described(client: Any, settings: Settings) -> None:
    sent = [thai_slice(number) for number in (1, 2)]
    bulk = [part(ds.PixelData, OCTETS, f"bulk/{n}") for n, ds in enumerate(sent)]
    answer = post(client, [described(ds, f"bulk/{n}") for n, ds in enumerate(sent)], *bulk)
    assert answer.status_code == 200
    assert [each["00081155"]["Value"] for each in answer.json()["00081199"]["Value"]] == [
        ["1.2.3.1.1.1"],
        ["1.2.3.1.1.2"],
    ]
    found = kept(settings)
    assert [content(ds) for ds in found] == [content(ds) for ds in sent]
    assert all(ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian for ds in found)


def test_compressed_frames_are_parts_of_one_address(client: Any, settings: Settings) -> None:
    ds = thai_slice(NumberOfFrames=3)
    frames = [np.full((SIDE, SIDE), number, np.int16) for number in range(3)]
    encode = partial(
        encode_buffer, columns=SIDE, rows=SIDE, samples_per_pixel=1, bits_stored=16, is_signed=True,
        photometric_interpretation=2, use_mct=False,
    )  # fmt: skip
    codes = [encode(frame.tobytes()) for frame in frames]
    kind = f"image/jp2; transfer-syntax={JPEG2000Lossless}"
    answer = post(client, [described(ds, "bulk/1")], *(part(code, kind, "bulk/1") for code in codes))
    assert answer.status_code == 200
    [found] = kept(settings)
    assert found.file_meta.TransferSyntaxUID == JPEG2000Lossless
    assert np.array_equal(found.pixel_array, np.array(frames))
    assert [code.rstrip(b"\0") for code in generate_frames(found.PixelData, number_of_frames=3)] == [
        code.rstrip(b"\0") for code in codes
    ]


def test_a_report_without_bulk_data_may_come_alone(client: Any, settings: Settings) -> None:
    ds = make_slice(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR", ContentDate="20260101")
    answer = client.post(STUDIES, content=json.dumps([described(ds)]), headers={"Content-Type": JSON})
    assert answer.status_code == 200
    assert "PixelData" not in kept(settings)[0]


def test_bulk_data_of_other_attributes_are_put_in(client: Any, settings: Settings) -> None:
    ds = thai_slice()
    metadata = described(ds, "p")
    metadata["00281201"] = {"vr": "OW", "BulkDataURI": "palette"}
    answer = post(client, [metadata], part(b"\1\0" * 900, OCTETS, "palette"), part(ds.PixelData, OCTETS, "p"))
    assert answer.status_code == 200
    assert kept(settings)[0].RedPaletteColorLookupTableData == b"\1\0" * 900


@pytest.mark.parametrize(
    ("change", "parts", "status", "reason"),
    [
        ({}, [], 409, "PixelData: no part has its BulkDataURI"),
        ({}, [("text/html", "p")], 415, "PixelData comes as text/html"),
        ({}, [("image/jp2; transfer-syntax=1.2.840.10008.1.2.4.70", "p")], 415, "comes as image/jp2"),
        ({"00280010": {"vr": "US", "Value": ["many"]}}, [(OCTETS, "p")], 409, "Rows is not as the DICOM"),
        ({"00280010": {"vr": "US", "Value": [70000]}}, [(OCTETS, "p")], 409, "Rows is not as the DICOM"),
        ({"00100010": ["Somsak"]}, [(OCTETS, "p")], 409, "PatientName is not as the DICOM JSON model"),
        ({"Rows": {"vr": "US", "Value": [1]}}, [(OCTETS, "p")], 409, "eight hexadecimal digits"),
        ({"00280008": {"vr": "IS", "Value": [3]}}, [("image/jp2", "p")] * 2, 409, "2 parts of compressed"),
        ({"7FE00010": {"vr": "OW", "InlineBinary": "?"}}, [], 409, "PixelData is not as"),
        ({"00181151": {"vr": "IS", "Value": [None, {}]}}, [(OCTETS, "p")], 409, "XRayTubeCurrent"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_says_why_and_tells_no_value(
    client: Any,
    settings: Settings,
    change: dict[str, Any],
    parts: list[tuple[str, str]],
    status: int,
    reason: str,
) -> None:
    ds = thai_slice()
    answer = post(
        client, [{**described(ds, "p"), **change}], *(part(ds.PixelData, kind, at) for kind, at in parts)
    )
    assert answer.status_code == status
    [failed] = answer.json()["00081198"]["Value"]
    assert reason in failed["00000902"]["Value"][0]
    assert "Somsak" not in answer.text
    assert kept(settings) == []
    assert list(settings.inbox.rglob("tmp*")) == []


def test_one_that_is_bad_does_not_harm_its_neighbour(client: Any, settings: Settings, app: FastAPI) -> None:
    good, bad = thai_slice(1), thai_slice(2)
    answer = post(client, [described(good, "a"), described(bad, "absent")], part(good.PixelData, OCTETS, "a"))
    assert answer.status_code == 202
    assert [content(ds) for ds in kept(settings)] == [content(good)]
    receipts = app.state.inbox().receipts()
    assert sorted((each.stored, each.refused) for each in receipts) == [(0, 1), (1, 0)]


def test_only_the_study_of_the_address_is_taken(client: Any, settings: Settings) -> None:
    ds = thai_slice()
    answer = post(client, [described(ds, "p")], part(ds.PixelData, OCTETS, "p"), path=f"{STUDIES}/1.2.9")
    assert answer.status_code == 409
    assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xC409]
    assert kept(settings) == []


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (part(b"{", JSON) + b"\r\n--XX--\r\n", "no JSON"),
        (part(b"[]", JSON) + b"\r\n--XX--\r\n", "no list of instances"),
        (part(b"[" * 100_000, JSON) + b"\r\n--XX--\r\n", "no JSON"),
        (part(b"[{}]", JSON), "closing"),
        (b"\r\n--XX--\r\n", "no JSON"),
    ],
)
def test_a_body_that_is_none_is_named(client: Any, settings: Settings, body: bytes, word: str) -> None:
    answer = client.post(STUDIES, content=body, headers={"Content-Type": RELATED})
    assert (answer.status_code, word in answer.json()["detail"]) == (400, True)
    assert kept(settings) == []


def test_what_the_hub_gives_out_it_takes_back(client: Any, settings: Settings) -> None:
    """Round trip through pydicom's own writing of the model, with inline values and sequences."""
    ds = thai_slice()
    ds.RequestAttributesSequence = [Dataset()]
    ds.RequestAttributesSequence[0].ScheduledProcedureStepID = "S1"
    ds.add_new(0x00091010, "UN", b"\1\2\3\4")
    ds.add_new(0x00090010, "LO", "VENDOR")
    whole = ds.to_json_dict()  # pixels inline
    assert "InlineBinary" in whole["7FE00010"]
    assert post(client, [whole]).status_code == 200
    [found] = kept(settings)
    assert content(found) == content(ds)
