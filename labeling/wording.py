"""The study's criteria and doubts in the words of the people who answer them, Thai and English."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Both(NamedTuple):
    """One text in both languages."""

    th: str
    en: str


QUESTIONS: Mapping[str, Both] = MappingProxyType(
    {
        "adult": Both("ผู้ป่วยอายุ 18 ปีขึ้นไป", "Is the patient 18 or older?"),
        "deficit": Both(
            "มีความผิดปกติทางระบบประสาทที่สงสัยโรคหลอดเลือดสมอง",
            "Was there a neurological deficit, sign or symptom that suggests stroke?",
        ),
        "stroke_code": Both(
            "วินิจฉัยโรคหลอดเลือดสมองเฉียบพลัน (ICD-10 I60-I64)",
            "Was acute stroke diagnosed (ICD-10 I60-I64)?",
        ),
        "within_72_h": Both("ทำ CT ภายใน 72 ชั่วโมงหลังเริ่มมีอาการ", "Was the CT made within 72 hours of onset?"),
        "diagnostic": Both(
            "ภาพ CT แปลผลได้ ไม่ถูกรบกวนด้วยสิ่งแปลกปลอมในภาพ", "Is the CT diagnostic, not spoiled by artefact?"
        ),
        "report": Both("มีรายงานผลอย่างเป็นทางการจากรังสีแพทย์", "Is there a radiologist's official report?"),
        "no_surgery": Both("ไม่เคยผ่าตัดสมอง", "Is the patient free of earlier brain surgery?"),
    }
)

REASONS: Mapping[str, Both] = MappingProxyType(
    {
        "adult": Both("อายุต่ำกว่า 18 ปี", "Under 18 years"),
        "deficit": Both("ไม่มีอาการทางระบบประสาทที่สงสัยโรคหลอดเลือดสมอง", "No deficit that suggests stroke"),
        "stroke_code": Both("รหัส ICD-10 ไม่ใช่โรคหลอดเลือดสมองเฉียบพลัน", "The ICD-10 code is not acute stroke"),
        "within_72_h": Both("ทำ CT เกิน 72 ชั่วโมงหลังเริ่มมีอาการ", "CT more than 72 hours after onset"),
        "diagnostic": Both("ภาพ CT แปลผลไม่ได้เพราะสิ่งแปลกปลอมในภาพ", "CT not diagnostic because of artefact"),
        "report": Both("ไม่มีรายงานผลอย่างเป็นทางการจากรังสีแพทย์", "No official report by a radiologist"),
        "no_surgery": Both("เคยผ่าตัดสมอง", "History of brain surgery"),
    }
)

DOUBTS: Mapping[str, Both] = MappingProxyType(
    {
        "unanswered": Both(
            "ยังไม่มีคำตอบ และข้อมูลก็ไม่ได้บอก", "Nobody has answered this, and the data do not tell."
        ),
        "age_contradicts": Both(
            "คำตอบว่าอายุ 18 ปีขึ้นไปคือ {said} แต่ข้อมูลภาพบอกอายุ {age} ปี",
            "The answer to 18 or older is {said}; the images say {age} years.",
        ),
        "ages_differ": Both(
            "PatientAge คือ {age} ปี แต่คำนวณจากวันเกิดได้ {other} ปี",
            "PatientAge is {age} years; by the birth date it is {other} years.",
        ),
        "code_contradicts": Both(
            "คำตอบว่าเป็นโรคหลอดเลือดสมองคือ {said} แต่รหัสคือ {code}",
            "The answer to acute stroke is {said}; the code is {code}.",
        ),
        "code_unreadable": Both(
            "{code} ไม่ใช่รหัส ICD-10 ที่อ่านได้", "{code} cannot be read as an ICD-10 code meant for a stroke."
        ),
        "code_injury": Both(
            "มีทั้งรหัสหลอดเลือดสมองและการบาดเจ็บที่ศีรษะ: {code}",
            "Codes of stroke and of head injury together: {code}.",
        ),
        "hours_contradict": Both(
            "คำตอบว่าภายใน 72 ชั่วโมงคือ {said} แต่คำนวณได้ {hours} ชั่วโมง",
            "The answer to within 72 hours is {said}; onset and CT are {hours} hours apart.",
        ),
        "ct_before_onset": Both(
            "CT ทำก่อนเริ่มมีอาการ {hours} ชั่วโมง", "The CT was made {hours} hours before the stated onset."
        ),
        "onset_before_birth": Both(
            "วันที่เริ่มมีอาการ {onset} อยู่ก่อนวันเกิด", "The stated onset, {onset}, is before the birth date."
        ),
        "skull_defect": Both("ภาพแสดงกะโหลกศีรษะไม่สมบูรณ์", "The images show a defect of the skull."),
        "motion": Both("ภาพแสดงการเคลื่อนไหวของผู้ป่วย", "The images show that the patient moved."),
        "report_text": Both(
            "คำตอบว่าไม่มีรายงาน แต่มีข้อความรายงานในระบบ",
            "The answer is that there is no report; the text of one has come.",
        ),
        "no_report_text": Both("ไม่พบข้อความรายงานในระบบ", "No text of a report has come."),
    }
)
