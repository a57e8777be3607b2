"""What a radiologist's free report says of each stroke type, read by rules from Thai, English and both mixed.

Terms, negation ahead of the term or behind it, doubt, and age are looked for clause by clause, after the
NegEx idea (Chapman et al., J Biomed Inform 2001;34:301-310): a negation reaches to the end of its clause or
to a word of contrast. A rule reader is weak evidence. It serves to find pairs worth a second look and to
propose labels, never to decide one.
"""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum

from model.stroke import StrokeType


class Claim(StrEnum):
    """What a report says of one stroke type; a type that it does not speak of has no claim."""

    PRESENT = "present"
    UNCERTAIN = "uncertain"
    ABSENT = "absent"


def _any(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


_BLEED = (
    r"(?:ha?emorrhages?|ha?emorrhagic|ha?ematomas?|bleed(?:s|ing)?|blood|"
    r"เลือดออก|ก้อนเลือด|ลิ่มเลือด|เลือดคั่ง)"
)
_SITE = "lobar|basal ganglia|thalamic|putam\\w+|pontine|cerebellar"
_IN_TISSUE = rf"(?:intra-?(?:parenchymal|cerebral)|parenchymal|{_SITE})"
_VENTRICLE = r"(?:ventric\w+|โพรงสมอง)"
_NOT_OLD = r"(?<!old )(?<!chronic )(?<!remote )(?<!previous )(?<!lacunar )"

ANY_BLEED = _any(_BLEED)
TERMS: Mapping[StrokeType, re.Pattern[str]] = {
    StrokeType.IPH: _any(r"\b(?:ich|iph)\b", rf"{_IN_TISSUE}\s+(?:\w+\s+)?{_BLEED}", "เลือดออกใน(?:เนื้อ)?สมอง"),
    StrokeType.IVH: _any(
        r"\bivh\b",
        rf"intra-?ventricular\s+(?:\w+\s+)?(?:{_BLEED}|extension)",
        rf"{_BLEED}\s*(?:in|into|ใน)\s*(?:\w+\s+){{0,3}}{_VENTRICLE}",
    ),
    StrokeType.SAH: _any(
        r"\bsah\b", rf"sub-?arachnoid\s+(?:space\s+)?{_BLEED}", "เลือด(?:ออก|คั่ง)ใต้เยื่อหุ้มสมองชั้นกลาง"
    ),
    StrokeType.SDH: _any(
        r"\bsdh\b",
        rf"sub-?dural\s+(?:\w+\s+)?(?:{_BLEED}|collection)",
        "เลือด(?:ออก|คั่ง)ใต้เยื่อหุ้มสมองชั้นนอก",
    ),
    StrokeType.EDH: _any(
        r"\bedh\b", rf"(?:epi|extra)-?dural\s+(?:\w+\s+)?{_BLEED}", "เลือด(?:ออก|คั่ง)เหนือเยื่อหุ้มสมอง"
    ),
    StrokeType.OLD_INFARCT: _any(
        r"(?:old|chronic|remote|previous)\s+(?:\w+\s+){0,2}(?:infarct\w*|lacun\w*)",
        "encephalomalacia",
        "สมองขาดเลือดเก่า",
        "รอยโรคเก่า",
    ),
    StrokeType.ACUTE_ISCHAEMIA: _any(
        rf"{_NOT_OLD}(?:infarct(?:ion|s)?\b|isch(?:a)?emi(?:a|c)\b)",
        r"(?<!old )(?<!chronic )lacunar infarct",
        "loss of (?:the )?gr[ea]y[- ]white",
        "insular ribbon",
        "สมองขาดเลือด(?!เก่า)",
        "เนื้อสมองตาย",
    ),
    StrokeType.HYPERDENSE_ARTERY: _any(
        r"(?:hyper-?)?dense\s+(?:\w+\s+){0,3}(?:mca|artery|basilar|vessel)(?:\s+sign)?"
    ),
    StrokeType.MASS_EFFECT: _any("mass effect", "midline shift", "herniation", "แนวกลาง.{0,6}เลื่อน", "กดเบียด"),
}

_HEADING = re.compile(
    r"^\s*(?P<name>clinical|indication|history|ประวัติ|อาการ|comparison|technique|"
    r"findings?|impression|conclusion|report|ผล|สรุป)[^:\n]{0,30}:",
    re.IGNORECASE | re.MULTILINE,
)
_NOT_SAID = re.compile(r"clinical|indication|history|ประวัติ|อาการ|comparison|technique", re.IGNORECASE)
_CLAUSE = re.compile(
    r"[.;\n!?]+|\s+(?=ไม่พบ|ไม่มี|พบ|มี(?!ประวัติ))|\b(?:but|however|except(?: for)?|although)\b|แต่", re.IGNORECASE
)
_BEFORE = re.compile(
    r"\b(?:no|without|negative for|free of|absence of|neither|nor|not? (?:show|see|demonstrate)\w*)\b"
    r"(?!\s+(?:significant\s+|interval\s+|definite\s+)*(?:change|increase|progression))|ไม่พบ|ไม่มี|ไม่เห็น",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    r"\b(?:(?:is|are|was|were) (?:not|no longer) (?:seen|identified|detected|noted|demonstrated|present)|"
    r"(?:is|are) absent|not seen|not identified|ruled out|excluded)\b|ไม่พบ$",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"\b(?:possibl[ey]|probabl[ey]|suspect(?:ed|ing|s)?|suspicious|may|might|could|questionable|equivocal|"
    r"cannot (?:be )?(?:ruled? out|excluded?)|can ?not (?:be )?(?:ruled? out|excluded?)|versus|vs|r/o|\?)|"
    r"สงสัย|อาจ|น่าจะ|ไม่แน่ใจ|ไม่สามารถตัดออก",
    re.IGNORECASE,
)
_STRENGTH = {Claim.ABSENT: 0, Claim.UNCERTAIN: 1, Claim.PRESENT: 2}


def read_report(text: str) -> dict[StrokeType, Claim]:
    """The claims of a report's findings and impression; what its clinical history says is passed over.

    Any kind of haemorrhage that is present is also present as `any_ich`. Where clauses differ, the stronger
    stands: present before uncertain before absent.
    """
    claims: dict[StrokeType, Claim] = {}
    for clause in _clauses(text):
        kinds = {kind: found for kind, term in TERMS.items() if (found := term.search(clause))}
        if bleed := ANY_BLEED.search(clause):
            kinds[StrokeType.ANY_ICH] = bleed
        for kind in (StrokeType.IPH, StrokeType.IVH, StrokeType.SAH, StrokeType.SDH, StrokeType.EDH):
            if kind in kinds:
                kinds.setdefault(StrokeType.ANY_ICH, kinds[kind])
        for kind, found in kinds.items():
            claim = _claim(clause, found)
            if kind not in claims or _STRENGTH[claim] > _STRENGTH[claims[kind]]:
                claims[kind] = claim
    return {kind: claims[kind] for kind in StrokeType if kind in claims}


def _clauses(text: str) -> Iterator[str]:
    for section in _sections(text):
        yield from (clause.strip() for clause in _CLAUSE.split(section) if clause and clause.strip())


def _sections(text: str) -> Iterator[str]:
    headings = list(_HEADING.finditer(text))
    yield text[: headings[0].start()] if headings else text
    ends = [following.start() for following in headings[1:]] + [len(text)]
    for heading, end in zip(headings, ends[: len(headings)], strict=True):
        if not _NOT_SAID.match(heading["name"]):
            yield text[heading.end() : end]


def _claim(clause: str, term: re.Match[str]) -> Claim:
    if _DOUBT.search(clause):
        return Claim.UNCERTAIN
    if _BEFORE.search(clause[: term.start()]) or _BEHIND.search(clause[term.end() :]):
        return Claim.ABSENT
    return Claim.PRESENT
