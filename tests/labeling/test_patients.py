"""One patient under several numbers: joined by citizen id, images, and likeness until a person decides."""

from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.patients import Identity, Link, Why, group_patients
from labeling.splits import HELD, Part, Placed, Shares, split_cases

identities = st.lists(
    st.builds(
        Identity,
        case=st.uuids().map(str),
        patient=st.sampled_from([f"p{n}" for n in range(8)]),
        citizen=st.sampled_from(["", "", "c1", "c2"]),
        likeness=st.sampled_from(["", "", "l1", "l2"]),
        images=st.frozensets(st.sampled_from(["i1", "i2", "i3"]), max_size=2),
    ),
    min_size=1,
    max_size=12,
)


class TestGroups:
    def test_one_citizen_under_two_numbers_in_two_hospitals_is_one_patient(self) -> None:
        found = group_patients(
            [Identity("a", "udon-1", "c9"), Identity("b", "loei-7", "c9"), Identity("c", "x")]
        )
        assert found.group_of == {"a": "loei-7", "b": "loei-7", "c": "x"}
        assert found.links == (Link("loei-7", "udon-1", Why.SAME_CITIZEN),)
        assert found.suspects == ()

    def test_the_same_images_under_two_numbers_are_one_patient(self) -> None:
        twice = [
            Identity("a", "1", images=frozenset({"x", "y"})),
            Identity("b", "2", images=frozenset({"y"})),
        ]
        assert group_patients(twice).group_of == {"a": "1", "b": "1"}

    def test_a_likeness_is_joined_and_offered_until_somebody_decides(self) -> None:
        alike = [Identity("a", "1", likeness="k"), Identity("b", "2", likeness="k")]
        pair = frozenset({"1", "2"})
        before, same, two = (group_patients(alike, said) for said in ({}, {pair: True}, {pair: False}))
        assert before.suspects == (Link("1", "2", Why.LIKENESS),)
        assert before.group_of["b"] == same.group_of["b"] == "1"
        assert same.suspects == two.suspects == ()
        assert two.group_of == {"a": "1", "b": "2"}

    def test_a_persons_no_does_not_part_what_the_citizen_id_joins(self) -> None:
        sure = [Identity("a", "1", "c"), Identity("b", "2", "c")]
        assert group_patients(sure, {frozenset({"1", "2"}): False}).group_of["b"] == "1"

    def test_what_is_known_already_is_not_asked(self) -> None:
        known = [Identity("a", "1", "c", "k"), Identity("b", "2", "c", "k")]
        assert group_patients(known).suspects == ()

    @settings(max_examples=50, deadline=None)
    @given(identities, st.randoms(use_true_random=False))
    def test_whatever_shares_a_mark_shares_a_group_in_any_order(
        self, given_: list[Identity], chance: object
    ) -> None:
        found = group_patients(given_)
        for one in given_:
            for other in given_:
                if (
                    one.patient == other.patient
                    or (one.citizen and one.citizen == other.citizen)
                    or (one.likeness and one.likeness == other.likeness)
                    or one.images & other.images
                ):
                    assert found.group_of[one.case] == found.group_of[other.case]
        shuffled = list(given_)
        chance.shuffle(shuffled)  # type: ignore[attr-defined]
        assert group_patients(shuffled) == found


class TestSplit:
    def test_planted_duplicates_of_a_patient_never_part(self) -> None:
        # a patient under two numbers in two hospitals, ten times over
        people = [
            Identity(f"{side}{n}", f"{side}-hn{n}", citizen=f"c{n}")
            for n in range(40)
            for side in ("udon", "loei")
        ]
        groups = group_patients(people).group_of
        placed = [Placed(each.case, groups[each.case], each.case[:4], "2026-01") for each in people]
        parts = split_cases(placed, Shares())
        assert all(parts[f"udon{n}"] is parts[f"loei{n}"] for n in range(40))
        assert set(parts.values()) == {Part.TRAIN, Part.CALIBRATION, Part.TEST}
        held = split_cases(placed, Shares(hospitals=("loei",)))
        assert {held[f"udon{n}"] for n in range(40)} == {Part.LEFT_OUT}
        assert {held[f"loei{n}"] for n in range(40)} == {Part.EXTERNAL}

    @settings(max_examples=50, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.integers(0, 20), st.sampled_from("abc"), st.sampled_from(["", "2026-01", "2026-02"])
            ),
            min_size=1,
            max_size=30,
        ),
        st.integers(0, 2),
        st.booleans(),
    )
    def test_no_patient_and_no_held_out_hospital_is_in_two_parts(
        self, rows: list[tuple[int, str, str]], months: int, hold: bool
    ) -> None:
        placed = [
            Placed(str(at), f"p{patient}", hospital, month)
            for at, (patient, hospital, month) in enumerate(rows)
        ]
        shares = Shares(hospitals=(placed[0].hospital,) if hold else (), months=months)
        parts = split_cases(placed, shares)
        assert set(parts) == {each.case for each in placed}
        for each in placed:
            same = {
                parts[other.case]
                for other in placed
                if other.patient == each.patient and parts[other.case] is not Part.LEFT_OUT
            }
            assert len(same) <= 1
            assert (parts[each.case] is Part.EXTERNAL) == (each.hospital in shares.hospitals)
            if parts[each.case] is Part.LEFT_OUT:
                assert same <= HELD
