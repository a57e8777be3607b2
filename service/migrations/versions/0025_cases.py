"""Cases for labelling: rounds, assignments, reads, adjudications, data sets."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
MOMENT = sa.DateTime(timezone=True)
WORD = sa.String(length=24)
NAME = sa.String(length=100)
KEY = sa.String(length=64)
APPEND_ONLY = ("reads", "adjudications")


def upgrade() -> None:
    op.create_table(
        "cases",
        sa.Column("id", ID, nullable=False),
        sa.Column("study_id", ID, nullable=False),
        sa.Column("hcode", sa.String(length=5), nullable=True),
        sa.Column("state", WORD, nullable=False),
        sa.Column("said", JSON, nullable=False),
        sa.Column("icd10", sa.Text(), nullable=False),
        sa.Column("onset", sa.String(length=40), nullable=False),
        sa.Column("confirmed", JSON, nullable=False),
        sa.Column("excluded_by", JSON, nullable=False),
        sa.Column("doubts", JSON, nullable=False),
        sa.Column("patient_key", KEY, nullable=False),
        sa.Column("citizen_key", KEY, nullable=False),
        sa.Column("likeness_key", KEY, nullable=False),
        sa.Column("admitted_by", NAME, nullable=False),
        sa.Column("admitted_at", MOMENT, nullable=False),
        sa.Column("screened_by", NAME, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_cases_study_id"),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_cases_hcode"),
        sa.PrimaryKeyConstraint("id", name="pk_cases"),
        sa.UniqueConstraint("study_id", name="uq_cases_study_id"),
    )
    op.create_index("ix_cases_state_id", "cases", ["state", "id"])
    op.create_index("ix_cases_hcode_id", "cases", ["hcode", "id"])

    op.create_table(
        "same_patients",
        sa.Column("id", ID, nullable=False),
        sa.Column("first", KEY, nullable=False),
        sa.Column("second", KEY, nullable=False),
        sa.Column("same", sa.Boolean(), nullable=False),
        sa.Column("said_by", NAME, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_same_patients"),
    )
    op.create_index("ix_same_patients_first", "same_patients", ["first"])

    op.create_table(
        "reading_rounds",
        sa.Column("id", ID, nullable=False),
        sa.Column("design", JSON, nullable=False),
        sa.Column("shares", JSON, nullable=False),
        sa.Column("adjudicators", JSON, nullable=False),
        sa.Column("made_by", NAME, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reading_rounds"),
    )

    op.create_table(
        "assignments",
        sa.Column("id", ID, nullable=False),
        sa.Column("round_id", ID, nullable=False),
        sa.Column("case_id", ID, nullable=False),
        sa.Column("reader", NAME, nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("read_no", sa.Integer(), nullable=False),
        sa.Column("purpose", WORD, nullable=False),
        sa.Column("done_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["round_id"], ["reading_rounds.id"], name="fk_assignments_round_id"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_assignments_case_id"),
        sa.PrimaryKeyConstraint("id", name="pk_assignments"),
        sa.UniqueConstraint("case_id", "reader", "read_no", name="uq_assignments_case_id_reader_read_no"),
    )
    op.create_index("ix_assignments_round_id", "assignments", ["round_id"])
    op.create_index("ix_assignments_reader", "assignments", ["reader", "done_at", "round_id", "place"])

    op.create_table(
        "reads",
        sa.Column("id", ID, nullable=False),
        sa.Column("assignment_id", ID, nullable=False),
        sa.Column("case_id", ID, nullable=False),
        sa.Column("reader", NAME, nullable=False),
        sa.Column("read_no", sa.Integer(), nullable=False),
        sa.Column("label", JSON, nullable=False),
        sa.Column("supersedes", ID, nullable=True),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignments.id"], name="fk_reads_assignment_id"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_reads_case_id"),
        sa.PrimaryKeyConstraint("id", name="pk_reads"),
    )
    op.create_index("ix_reads_assignment_id", "reads", ["assignment_id"])
    op.create_index("ix_reads_case_id", "reads", ["case_id", "id"])

    op.create_table(
        "read_drafts",
        sa.Column("assignment_id", ID, nullable=False),
        sa.Column("label", JSON, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignments.id"], name="fk_read_drafts_assignment_id"),
        sa.PrimaryKeyConstraint("assignment_id", name="pk_read_drafts"),
    )

    op.create_table(
        "adjudications",
        sa.Column("id", ID, nullable=False),
        sa.Column("case_id", ID, nullable=False),
        sa.Column("label", JSON, nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("adjudicator", NAME, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_adjudications_case_id"),
        sa.PrimaryKeyConstraint("id", name="pk_adjudications"),
    )
    op.create_index("ix_adjudications_case_id", "adjudications", ["case_id"])

    for table in APPEND_ONLY:
        _make_append_only(table)


def _make_append_only(table: str) -> None:
    refusal = f"rows of {table} are never changed or deleted"
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{refusal}'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
    )


def downgrade() -> None:
    for table in (
        "adjudications",
        "read_drafts",
        "reads",
        "assignments",
        "reading_rounds",
        "same_patients",
        "cases",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for table in APPEND_ONLY:
            op.execute(f"DROP FUNCTION {table}_refuse()")
