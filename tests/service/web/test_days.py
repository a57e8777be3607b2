"""Each role's whole day in Chromium: real head CT sent by storescu, and the pages as people use them."""

import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from model.stroke import StrokeType
from pacs_gateway.headers import read_header
from service.accounts import OPERATOR, Role
from service.db import session_scope
from service.findings import analysis_of
from service.reviews import standing_review
from service.sight import find_study
from service.studies import mark_failed, reopen
from service.verdicts import Side, Verdict
from service.web.page import NAVIGATION
from tests.hub import real_ct, running_hub, until
from tests.service.factories import LOEI, UDON, analysed
from tests.service.web.days import House, chromium

DEFECTS = Path("scripts/defects.js").read_text(encoding="utf-8")
CLEAR, BLED = "1.2.3.1", "1.2.3.2"
ROWS = "table.list tbody tr"
CONSOLE = tuple(
    f"/console/{place}" for place in ("accounts", "audit", "forms", "moph", "neighbours", "subscriptions")
)


def uid_of(name: str) -> str:
    return read_header(real_ct(name)[0]).study_instance_uid


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A hub to which Udon Thani has sent a bleed, and two studies whose pictures are not needed."""
    bleed = real_ct("haemorrhage-ct")
    with chromium() as browser, running_hub(tmp_path_factory.mktemp("days") / "hub") as hub:
        hub.storescu(bleed)
        house = House(hub, browser)
        with session_scope(house.engine) as session:
            analysed(session, CLEAR, patient_name="บุญมี^ศรีสุข", patient_id="0700")
            analysed(session, BLED, StrokeType.SDH, patient_name="ทองดี^มาก", patient_id="0900")
        assert hub.result(uid_of("haemorrhage-ct"))["state"] == "flagged"
        yield house
        house.close()


def push(house: House, title: str, paths: list[Path], *, calling: str) -> None:
    """Send with dcmtk to any of the hub's AE titles."""
    command = ["storescu", "-xs", "-R", "-aet", calling, "-aec", title, "127.0.0.1"]
    subprocess.run(
        [*command, str(house.hub.dicom_port), *map(str, paths)], check=True, capture_output=True, timeout=60
    )


def test_a_vendors_day(house: House) -> None:
    page = house.enter(Role.VENDOR, UDON)
    expect(page).to_have_url(f"{house.hub.address}/receipts")
    row = page.locator(ROWS).first
    expect(row).to_contain_text("UDON_CT1")
    expect(row).to_contain_text("36")
    expect(row).to_contain_text("17")  # sent twice within the study, and told
    expect(page.locator("body")).not_to_contain_text("CQ500")  # no patient
    page.click("a[href='/selftest']")
    runs = page.locator("#runs > section:not(.empty)")
    expect(runs).to_have_count(0)
    push(house, "IMAGINGHUBTEST", real_ct("normal-ct")[:3], calling="UDON_CT1")
    expect(runs).to_have_count(1)  # by itself
    expect(runs.first).to_contain_text("UDON_CT1")
    expect(runs.first.locator("tr")).not_to_have_count(0)
    page.goto(f"/studies/{CLEAR}")
    expect(page.locator("h1")).to_have_text("บทบาทของท่านไม่มีสิทธิ์ในส่วนนี้")
    page.click("main a")
    expect(page).to_have_url(f"{house.hub.address}/receipts")  # a way on, not the same refusal again


def test_a_technicians_day(house: House) -> None:
    page = house.enter(Role.TECHNICIAN, LOEI)
    expect(page.locator(".empty")).to_contain_text("IMAGINGHUBTEST")
    house.hub.storescu(real_ct("contrast-ct"), calling="LOEI_CT")
    rows = page.locator(ROWS)
    expect(rows).to_have_count(1)  # while the page is open
    expect(rows.first).to_contain_text("ไม่ได้ประเมิน")
    expect(rows.first).to_contain_text("ภาพขาดหาย")
    rows.first.locator("a").first.click()
    expect(page.locator(".alarm").first).to_contain_text("ฉีดสารทึบรังสี")
    expect(page.locator("[data-viewer] output")).to_contain_text("/ 51")  # not assessed, but to be looked at
    page.wait_for_function("() => document.querySelector('[data-viewer] > img').naturalWidth > 100")
    assert page.goto(f"/studies/{uid_of('haemorrhage-ct')}").status == 404  # type: ignore[union-attr]
    page.goto("/receipts")
    expect(page.locator(ROWS).first).to_contain_text("LOEI_CT")
    expect(page.locator("body")).not_to_contain_text("UDON_CT1")


def test_a_technician_brings_a_case_from_the_archive_over_a_line_that_breaks(
    house: House, tmp_path: Path
) -> None:
    packed = tmp_path / "2566.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for number, path in enumerate(real_ct("normal-ct")[:3]):
            archive.write(path, f"{number}.dcm")
        archive.writestr("report.txt", "not an image")
    page = house.enter(Role.TECHNICIAN, LOEI)
    page.click("nav a[href='/upload']")
    page.wait_for_url("**/upload")
    page.wait_for_load_state("load")  # the script that sends is here before the line goes
    said = page.locator("#sending [role=status]")
    page.context.set_offline(True)
    page.locator("input[type=file]").first.set_input_files(packed)
    expect(said).to_contain_text("สายหลุด")
    page.context.set_offline(False)
    expect(said).to_contain_text("ส่งครบแล้ว")
    brought = page.locator("#brought")
    expect(brought).to_contain_text("report.txt")  # by itself
    expect(brought).to_contain_text("no DICOM file")
    expect(brought.locator(f"a[href='/studies/{uid_of('normal-ct')}']")).to_have_count(1)
    assert page.evaluate(f"({DEFECTS})()") == []
    assert house.hub.get(f"/api/v1/studies/{uid_of('normal-ct')}")["lane"] == "retrospective"


def test_a_radiologists_night(house: House) -> None:
    page = house.enter(Role.RADIOLOGIST, UDON)
    uid = uid_of("haemorrhage-ct")
    _walk_the_worklist(page)
    _look(page, uid)
    _review(page, house, uid)
    _report(page, house, uid)


def _walk_the_worklist(page: Page) -> None:
    rows, chosen = page.locator(ROWS), page.locator(f"{ROWS}.chosen")
    expect(rows).to_have_count(3)
    assert page.title().startswith("(2)")  # two strokes unread
    for key in "jjk":
        page.keyboard.press(key)
    expect(chosen).to_have_count(1)
    assert (
        page.evaluate(f"() => [...document.querySelectorAll('{ROWS}')].findIndex(r => r.matches('.chosen'))")
        == 0
    )
    page.keyboard.press("3")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("0700")
    page.keyboard.press("0")
    expect(rows).to_have_count(3)
    page.keyboard.press("/")
    page.keyboard.type("ศรีสุข")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("บุญมี")
    assert "ศรีสุข" not in page.url
    page.goto("/?state=flagged")
    expect(rows).to_have_count(2)
    page.locator("details.refine summary").click()
    page.locator("form[action='/views'] input[name=name]").fill("เวรดึก")
    page.locator("form[action='/views'] button").click()
    expect(page.locator(".filters a.view")).to_have_text("เวรดึก")
    page.keyboard.press("0")
    expect(rows).to_have_count(3)
    page.keyboard.press("7")  # the first saved view
    expect(rows).to_have_count(2)
    page.locator(ROWS, has_text="CQ500").locator("a").first.wait_for()
    while page.locator(f"{ROWS}.chosen", has_text="CQ500").count() == 0:
        page.keyboard.press("j")
    page.keyboard.press("Enter")


def _look(page: Page, uid: str) -> None:
    page.wait_for_url(f"**/studies/{uid}")
    first = page.locator(".keys-row img").first
    page.wait_for_function("() => document.querySelector('.keys-row img').naturalWidth > 100")
    assert first.get_attribute("src") == f"/api/v1/studies/{uid}/key-slices/1.webp"
    said, picture = page.locator("[data-viewer] output"), page.locator("[data-viewer] > img")
    page.locator(".strip a").nth(19).click()
    expect(said).to_have_text("20 / 36")
    page.keyboard.press("k")
    expect(said).to_have_text("21 / 36")
    page.click("[data-window='600,2800']")
    assert "window=600,2800" in (picture.get_attribute("src") or "")
    page.wait_for_function("() => document.querySelector('[data-viewer] > img').naturalWidth > 100")
    expect(page.locator(".findings tr.flag").first).to_contain_text("แจ้งเตือน")
    _look_at_paper(page)


def _look_at_paper(page: Page) -> None:
    """On paper: every key slice whole, who printed it and when, and nothing to be clicked or typed in."""
    page.emulate_media(media="print")
    expect(page.locator("footer .paper")).to_contain_text("พิมพ์จากหน้าจอของ")
    for what in ("button", ".button", "textarea", "select", "nav a", ".stack-viewer"):
        assert page.locator(what).filter(visible=True).count() == 0, what
    edges = page.locator(".keys-row img").evaluate_all("all => all.map(e => e.getBoundingClientRect().right)")
    assert edges
    assert max(edges) <= page.evaluate("() => innerWidth")
    page.emulate_media(media="screen")


def _review(page: Page, house: House, uid: str) -> None:
    page.click("button[name=verdict][value=agree]")
    expect(page.locator(".flash")).to_have_text("บันทึกการตรวจทานแล้ว")
    page.click(f"form[action='/studies/{uid}/undo'] button")
    expect(page.locator(".flash")).to_have_text("ถอนการตรวจทานแล้ว")
    correction = page.locator("details", has=page.locator("button[value=correct]"))
    correction.locator("summary").first.click()
    for kind in ("iph", "ivh"):
        correction.locator(f"input[value={kind}]").check()
    correction.locator("select[name=side]").select_option("right")
    correction.locator("input[name=first]").fill("16")
    correction.locator("input[name=last]").fill("24")
    correction.locator("input[name=comment]").fill("เลือดออกขวา แตกเข้าโพรงสมอง")
    correction.locator("button[value=correct]").click()
    expect(page.locator("blockquote")).to_have_text("เลือดออกขวา แตกเข้าโพรงสมอง")
    with session_scope(house.engine, write=False) as session:
        analysis = analysis_of(session, find_study(session, uid, OPERATOR))
        assert analysis is not None
        review = standing_review(session, analysis)
        assert review is not None
        assert (review.verdict, set(review.present)) == (Verdict.CORRECT, {"iph", "ivh"})
        assert {(each["side"], each["first_slice"], each["last_slice"]) for each in review.places} == {
            (Side.RIGHT, 15, 23)
        }
    page.click(f"form[action='/studies/{uid}/sign'] button")
    expect(page.locator(".flash")).to_have_text("ลงนามแล้ว เป็นผลสุดท้าย")
    assert house.hub.get(f"/api/v1/studies/{uid}/result")["status"] == "final"
    expect(page.locator(f"form[action='/studies/{uid}/undo']")).to_have_count(0)


def _report(page: Page, house: House, uid: str) -> None:
    page.locator("summary", has_text="เพิ่มรายงาน").click()
    page.fill("textarea[name=text]", "Acute intraparenchymal hemorrhage in the right basal ganglia with IVH.")
    page.locator(f"form[action='/studies/{uid}/report'] button").click()
    expect(page.locator("article").first).to_contain_text("right basal ganglia")
    page.goto(f"/studies/{CLEAR}")
    hindered = page.locator("details", has=page.locator("button[value=not_assessable]"))
    hindered.locator("summary").first.click()
    hindered.locator("select").select_option("motion")
    hindered.locator("button").click()
    expect(page.locator(".flash")).to_have_text("บันทึกการตรวจทานแล้ว")
    page.goto("/")
    until(lambda: page.title().startswith("(1)"), seconds=5, hint="one stroke left unread")


def test_a_referring_doctors_day_on_a_phone(house: House) -> None:
    page = house.enter(Role.REFERRER, UDON, phone=True)
    expect(page.locator(ROWS)).to_have_count(3)
    page.goto(f"/studies/{CLEAR}")
    findings = page.locator(".findings")
    expect(findings.locator("tr.clear").first).to_contain_text("ไม่พบ")
    expect(findings.locator("tr.not_assessed").first).to_contain_text("ไม่ได้ประเมิน")
    expect(page.locator("footer")).to_contain_text("มิได้แปลว่าปกติ")
    expect(page.locator("button[name=verdict]")).to_have_count(0)  # reviews are the radiologist's
    assert page.evaluate(f"({DEFECTS})()") == []
    with session_scope(house.engine) as session:
        analysed(session, "1.2.9", hcode=LOEI)
    assert page.goto("/studies/1.2.9").status == 404  # type: ignore[union-attr]
    page.goto("/")
    expect(page.locator("a[href='/studies/1.2.9']")).to_have_count(0)


def test_a_specialists_day(house: House) -> None:
    page = house.enter(Role.SPECIALIST, UDON, english=True)
    page.locator(f"a[href='/studies/{BLED}']").first.click()
    expect(page.locator("h1")).to_contain_text("Stroke?")
    page.click("button[name=verdict][value=agree]")
    expect(page.locator(".flash")).to_have_text("Your review is recorded.")


def test_the_ml_teams_day(house: House) -> None:
    page = house.enter(Role.ML)
    expect(page.locator(ROWS)).not_to_have_count(0)
    expect(page.locator("body")).not_to_contain_text("ทองดี")
    expect(page.locator("body")).not_to_contain_text("0900")
    page.click("nav a[href='/disagreements']")
    queue = page.locator("article.card")
    # the correction, and what the radiologist could not assess though the AI called it clear
    expect(queue).to_have_count(2)
    corrected = queue.filter(has=page.locator(f"a[href='/studies/{uid_of('haemorrhage-ct')}']"))
    expect(corrected).to_contain_text("เลือดออกขวา แตกเข้าโพรงสมอง")
    corrected.locator("input[name=comment]").fill("โพรงสมองไม่อยู่ในชุดที่ประเมิน")
    corrected.locator("button[value=to_label]").click()
    expect(queue).to_have_count(1)
    page.goto("/disagreements?settled=true")
    expect(queue).to_contain_text("โพรงสมองไม่อยู่ในชุดที่ประเมิน")
    assert page.goto("/console").status == 403  # type: ignore[union-attr]


def test_an_administrators_day(house: House) -> None:
    refused = uid_of("contrast-ct")
    with session_scope(house.engine) as session:
        study = find_study(session, refused, OPERATOR)
        reopen(session, study)
        mark_failed(session, study, "analyse", "out of memory")
    page = house.enter(Role.ADMIN, english=True)
    page.goto("/console")
    form = f"form[action='/console/hospitals/{LOEI}/mode']"
    mode, folded = page.locator(form), page.locator(f"details:not([open]):has({form})")
    if folded.count():  # nothing was flagged there yet
        folded.locator("summary").click()
    mode.locator("button[value=silent]").click()
    expect(page.locator(".flash")).to_have_text("Switched; it counts from the next study on.")
    expect(mode).to_contain_text("only watches")
    mode.locator("button[value=live]").click()
    expect(mode).to_contain_text("speaks")
    expect(page.locator("body")).to_contain_text("Of the last 2 alerts here that were read, 2 were right.")
    page.click(f"form[action='/console/studies/{refused}/again'] button")
    expect(page.locator(".flash")).to_have_text("The study is in line again.")
    assert house.hub.result(refused)["state"] == "refused"
    page.reload()
    expect(page.locator(f"form[action='/console/studies/{refused}/again']")).to_have_count(0)


def test_an_administrator_closes_an_account_and_its_person_is_out_at_once(house: House) -> None:
    theirs = house.enter(Role.VENDOR, UDON)
    name = (theirs.locator(".whoami").text_content() or "").split()[0]
    page = house.enter(Role.ADMIN, english=True)
    page.goto("/console/accounts")
    page.fill("input[name=find]", name)
    page.press("input[name=find]", "Enter")
    page.locator(ROWS, has_text=name).locator("a").click()
    page.fill("input[name=label]", "gateway")
    page.click("form[action$='/tokens'] button")
    key = page.locator("section.flash code").inner_text()
    assert house.hub.client.get("/api/v1/receipts", headers={"Authorization": f"Bearer {key}"}).is_success
    page.click("form[action$='/close'] button")
    expect(page.locator("h1 .badge")).to_be_visible()
    expect(page.locator("section.flash code")).to_have_count(0)  # shown once
    theirs.reload()
    expect(theirs.locator("input[name=password]")).to_be_visible()
    answer = house.hub.client.get("/api/v1/receipts", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 401


def test_the_clock_of_the_region_comes_by_itself(house: House) -> None:
    page = house.enter(Role.ADMIN)
    page.goto("/clock")
    expect(page.locator("#figures svg.months").first).to_be_visible()
    page.click("form[action='/clock'] button")
    expect(page.locator("#figures svg.months").first).to_be_visible()


def test_a_doctor_puts_herself_on_call(house: House) -> None:
    page = house.enter(Role.REFERRER, LOEI, phone=True, english=True)
    page.goto("/on-call")
    shifts = page.locator("form[action*='/shifts/']")
    expect(shifts).to_have_count(0)
    page.click("form[action='/on-call/shifts'] button")
    expect(shifts).to_have_count(1)
    expect(page.locator(".ladder li")).to_have_count(1)
    page.locator("form[action='/on-call/contacts'] input[name=address]").fill("doctor@example.org")
    page.click("form[action='/on-call/contacts'] button")
    expect(page.locator("main")).to_contain_text("doctor@example.org")
    shifts.locator("button").click()
    expect(shifts).to_have_count(0)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_no_page_is_wider_than_a_phone_or_too_faint(house: House, theme: str) -> None:
    page = house.enter(Role.ADMIN, phone=True)
    if theme == "light":
        page.click("button[name=theme][value=light]")
    studies = [f"/studies/{uid_of(name)}" for name in ("haemorrhage-ct", "contrast-ct")]
    for path in (*(place.path for place in NAVIGATION), *CONSOLE, *studies, "/studies/9.9"):
        page.goto(path)
        assert page.evaluate(f"({DEFECTS})()") == [], path


def test_the_look_for_defects_finds_them(house: House) -> None:
    page = house.stranger(phone=True)
    page.goto("/login")
    page.evaluate("() => { document.querySelector('h1').style.cssText = 'width:600px;color:#333' }")
    found = page.evaluate(f"({DEFECTS})()")
    assert any("wider" in each for each in found)
    assert any("contrast" in each for each in found)
