"""The first tables: hospitals, accounts, studies, findings, the audit chain and the tallies."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
MOMENT = sa.DateTime(timezone=True)
WORD = sa.String(24)

APPEND_ONLY = ("audit_entries", "reviews")
"""The database itself refuses to change or delete their rows."""


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("study_id", ID, nullable=True),
        sa.Column("detail", JSON, nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entries"),
    )
    op.create_index("ix_audit_entries_actor", "audit_entries", ["actor"])
    op.create_index("ix_audit_entries_at", "audit_entries", ["at"])
    op.create_index("ix_audit_entries_study_id", "audit_entries", ["study_id"])

    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("entries", ID, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )
    op.create_table(
        "hospitals",
        sa.Column("hcode", sa.String(length=5), nullable=False),
        sa.Column("name_th", sa.String(length=200), nullable=False),
        sa.Column("name_en", sa.String(length=200), nullable=False),
        sa.Column("province_th", sa.String(length=100), nullable=False),
        sa.Column("province_en", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("uc_population", sa.Integer(), nullable=True),
        sa.Column("ct_slices", sa.Integer(), nullable=True),
        sa.Column("ct_scanners", sa.Integer(), nullable=False),
        sa.Column("ct_patients_per_month", sa.Integer(), nullable=True),
        sa.Column("pacs_vendor", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("hcode", name="pk_hospitals"),
    )
    op.create_table(
        "tallies",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("label", sa.String(length=60), nullable=False),
        sa.Column("value", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("name", "label", name="pk_tallies"),
    )
    op.create_table(
        "accounts",
        sa.Column("id", ID, nullable=False),
        sa.Column("username", sa.String(length=100), nullable=False),
        sa.Column("role", WORD, nullable=False),
        sa.Column("hcode", sa.String(length=5), nullable=True),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_accounts_hcode"),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("username", name="uq_accounts_username"),
    )
    op.create_index("ix_accounts_hcode", "accounts", ["hcode"])

    op.create_table(
        "callers",
        sa.Column("id", ID, nullable=False),
        sa.Column("ae_title", sa.String(length=16), nullable=False),
        sa.Column("hcode", sa.String(length=5), nullable=False),
        sa.Column("addresses", JSON, nullable=False),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_callers_hcode"),
        sa.PrimaryKeyConstraint("id", name="pk_callers"),
        sa.UniqueConstraint("ae_title", "hcode", name="uq_callers_ae_title_hcode"),
    )
    op.create_index("ix_callers_hcode", "callers", ["hcode"])

    op.create_table(
        "studies",
        sa.Column("id", ID, nullable=False),
        sa.Column("study_instance_uid", sa.Text(), nullable=False),
        sa.Column("hcode", sa.String(length=5), nullable=True),
        sa.Column("state", WORD, nullable=False),
        sa.Column("place", ID, nullable=False),
        sa.Column("priority", WORD, nullable=False),
        sa.Column("lane", WORD, nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("patient_name", sa.Text(), nullable=False),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("sex", sa.Text(), nullable=False),
        sa.Column("age_years", sa.Double(), nullable=True),
        sa.Column("accession_number", sa.Text(), nullable=False),
        sa.Column("study_date", sa.Date(), nullable=True),
        sa.Column("study_description", sa.Text(), nullable=False),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("repairs", JSON, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("duplicates", sa.Integer(), nullable=False),
        sa.Column("conflicts", sa.Integer(), nullable=False),
        sa.Column("completion_code", sa.String(length=60), nullable=False),
        sa.Column("completion_text", sa.Text(), nullable=False),
        sa.Column("reasons", JSON, nullable=False),
        sa.Column("notes", JSON, nullable=False),
        sa.Column("failed_step", sa.String(length=60), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("first_received_at", MOMENT, nullable=False),
        sa.Column("last_received_at", MOMENT, nullable=False),
        sa.Column("ready_at", MOMENT, nullable=True),
        sa.Column("result_at", MOMENT, nullable=True),
        sa.Column("reviewed_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_studies_hcode"),
        sa.PrimaryKeyConstraint("id", name="pk_studies"),
        sa.UniqueConstraint("study_instance_uid", name="uq_studies_study_instance_uid"),
    )
    op.create_index("ix_studies_hcode_place", "studies", ["hcode", "place", "id"])
    op.create_index("ix_studies_hcode_state_place", "studies", ["hcode", "state", "place", "id"])
    op.create_index("ix_studies_patient", "studies", ["hcode", "patient_id"])
    op.create_index("ix_studies_place", "studies", ["place", "id"])
    op.create_index("ix_studies_state_place", "studies", ["state", "place", "id"])

    op.create_table(
        "analyses",
        sa.Column("id", ID, nullable=False),
        sa.Column("study_id", ID, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("model_name", sa.String(length=200), nullable=False),
        sa.Column("model_digest", sa.String(length=64), nullable=False),
        sa.Column("engine", sa.String(length=60), nullable=False),
        sa.Column("decision", WORD, nullable=False),
        sa.Column("series_instance_uid", sa.Text(), nullable=False),
        sa.Column("runner_up", sa.Text(), nullable=True),
        sa.Column("notes", JSON, nullable=False),
        sa.Column("slices", JSON, nullable=False),
        sa.Column("seconds", JSON, nullable=False),
        sa.Column("key_slices", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_analyses_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_analyses"),
        sa.UniqueConstraint("study_id", "revision", name="uq_analyses_study_id_revision"),
    )
    op.create_table(
        "series",
        sa.Column("id", ID, nullable=False),
        sa.Column("study_id", ID, nullable=False),
        sa.Column("series_instance_uid", sa.Text(), nullable=False),
        sa.Column("instances", JSON, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_series_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_series"),
        sa.UniqueConstraint("study_id", "series_instance_uid", name="uq_series_study_id_series_instance_uid"),
    )
    op.create_table(
        "study_flags",
        sa.Column("study_id", ID, nullable=False),
        sa.Column("stroke_type", WORD, nullable=False),
        sa.Column("hcode", sa.String(length=5), nullable=True),
        sa.Column("state", WORD, nullable=False),
        sa.Column("place", ID, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_study_flags_study_id"),
        sa.PrimaryKeyConstraint("study_id", "stroke_type", name="pk_study_flags"),
    )
    op.create_index(
        "ix_study_flags_hcode_place", "study_flags", ["stroke_type", "hcode", "place", "study_id"]
    )
    op.create_index(
        "ix_study_flags_hcode_state_place",
        "study_flags",
        ["stroke_type", "hcode", "state", "place", "study_id"],
    )
    op.create_index(
        "ix_study_flags_state_place", "study_flags", ["stroke_type", "state", "place", "study_id"]
    )
    op.create_index("ix_study_flags_place", "study_flags", ["stroke_type", "place", "study_id"])

    op.create_table(
        "tokens",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_tokens_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
    )
    op.create_index("ix_tokens_account_id", "tokens", ["account_id"])

    op.create_table(
        "findings",
        sa.Column("id", ID, nullable=False),
        sa.Column("analysis_id", ID, nullable=False),
        sa.Column("study_id", ID, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("stroke_type", WORD, nullable=False),
        sa.Column("probability", sa.Double(), nullable=True),
        sa.Column("threshold", sa.Double(), nullable=True),
        sa.Column("decision", WORD, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["analysis_id"], ["analyses.id"], name="fk_findings_analysis_id"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_findings_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_findings"),
        sa.UniqueConstraint(
            "study_id", "revision", "stroke_type", name="uq_findings_study_id_revision_stroke_type"
        ),
    )
    op.create_index("ix_findings_analysis_id", "findings", ["analysis_id"])

    op.create_table(
        "reviews",
        sa.Column("id", ID, nullable=False),
        sa.Column("analysis_id", ID, nullable=False),
        sa.Column("study_id", ID, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("reviewer", sa.String(length=100), nullable=False),
        sa.Column("verdict", WORD, nullable=False),
        sa.Column("present", JSON, nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["analysis_id"], ["analyses.id"], name="fk_reviews_analysis_id"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_reviews_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
    )
    op.create_index("ix_reviews_analysis_id", "reviews", ["analysis_id"])
    op.create_index("ix_reviews_study_id", "reviews", ["study_id"])

    op.execute(f"INSERT INTO audit_head (id, entries, digest) VALUES (1, 0, '{'0' * 64}')")
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
        "reviews",
        "findings",
        "tokens",
        "study_flags",
        "series",
        "analyses",
        "studies",
        "callers",
        "accounts",
        "tallies",
        "hospitals",
        "audit_head",
        "audit_entries",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for table in APPEND_ONLY:
            op.execute(f"DROP FUNCTION {table}_refuse()")
