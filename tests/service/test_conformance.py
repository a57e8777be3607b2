"""The conformance statement: the committed page is what the code says."""

from pathlib import Path

from pydicom.uid import CTImageStorage, JPEGLosslessSV1

from pacs_gateway.negotiation import TRANSFER_SYNTAXES
from service.conformance import conformance_statement

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == conformance_statement(), "run: hub conformance > docs/conformance.md"


def test_it_names_what_is_negotiated() -> None:
    page = conformance_statement()
    for uid in (*TRANSFER_SYNTAXES, CTImageStorage, JPEGLosslessSV1):
        assert f"| {uid} |" in page
    for address in ("/dicomweb/studies/{study}/metadata", "/dicomweb/instances"):
        assert f"| GET | `{address}` |" in page
    assert "| POST | `/dicomweb/studies/{study}` |" in page
