"""The page of forms: what failed comes back as it was typed, and what passed is used."""

from service.accounts import Role
from tests.service.web.conftest import Enter

PAGE = "/console/forms/letter"
PLAIN = '#let d = json("letter.json")\r\n#d.serial < &'


def test_an_administrator_changes_a_form_and_puts_the_shipped_one_back(enter: Enter) -> None:
    admin = enter(Role.ADMIN, None)
    assert "แบบมาตรฐานของระบบ" in admin.get("/console/forms").text
    wrong = admin.post(PAGE, {"source": "#nowhere <", "seen": "0"}, page=PAGE)
    assert wrong.status_code == 422
    assert "unknown variable: nowhere" in wrong.text
    assert "#nowhere &lt;" in wrong.text
    saved = admin.post(PAGE, {"source": PLAIN, "seen": "0", "note": "สั้นลง"}, page=PAGE)
    assert (saved.status_code, saved.headers["location"]) == (303, PAGE)
    shown = admin.get(PAGE).text
    assert "#d.serial &lt; &amp;" in shown
    assert "สั้นลง" in shown
    pdf = admin.post(f"{PAGE}/preview", {"source": PLAIN, "language": "en"}, page=PAGE)
    assert pdf.headers["content-type"] == "application/pdf"
    stale = admin.post(PAGE, {"source": PLAIN, "seen": "0"}, page=PAGE)
    assert stale.status_code == 409
    assert admin.post(f"{PAGE}/put-back", {}, page=PAGE).status_code == 303
    assert "#d.serial &lt;" not in admin.get(PAGE).text
    assert "#d.serial &lt;" in admin.get(f"{PAGE}?version=1").text
