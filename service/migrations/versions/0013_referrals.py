"""Referrals: what hospitals state that they can do, the ways between them, and patients on their way."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "capability_statements",
        sa.Column("id", ID, nullable=False),
        sa.Column("hcode", sa.String(length=5), nullable=False),
        sa.Column("capability", sa.String(length=24), nullable=False),
        sa.Column("available", sa.Boolean(), nullable=False),
        sa.Column("stated_by", sa.String(length=100), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_capability_statements_hcode"),
        sa.PrimaryKeyConstraint("id", name="pk_capability_statements"),
    )
    op.create_index(
        "ix_capability_statements_hcode_capability",
        "capability_statements",
        ["hcode", "capability", "id"],
    )
    op.create_table(
        "travel_times",
        sa.Column("hcode_low", sa.String(length=5), nullable=False),
        sa.Column("hcode_high", sa.String(length=5), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("stated_by", sa.String(length=100), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["hcode_low"], ["hospitals.hcode"], name="fk_travel_times_hcode_low"),
        sa.ForeignKeyConstraint(["hcode_high"], ["hospitals.hcode"], name="fk_travel_times_hcode_high"),
        sa.PrimaryKeyConstraint("hcode_low", "hcode_high", name="pk_travel_times"),
    )
    op.create_table(
        "referral_serials",
        sa.Column("hcode", sa.String(length=5), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_referral_serials_hcode"),
        sa.PrimaryKeyConstraint("hcode", "year", name="pk_referral_serials"),
    )
    op.create_table(
        "referrals",
        sa.Column("id", ID, nullable=False),
        sa.Column("study_id", ID, nullable=False),
        sa.Column("follows", ID, nullable=True),
        sa.Column("from_hcode", sa.String(length=5), nullable=False),
        sa.Column("to_hcode", sa.String(length=5), nullable=False),
        sa.Column("serial", sa.String(length=10), nullable=True),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("urgency", sa.Integer(), nullable=False),
        sa.Column("needs", JSON, nullable=False),
        sa.Column("details", JSON, nullable=False),
        sa.Column("receiver_hn", sa.String(length=64), nullable=False),
        sa.Column("packed_hn", sa.String(length=64), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(length=24), nullable=True),
        sa.Column("answer_by", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_referrals_study_id"),
        sa.ForeignKeyConstraint(["follows"], ["referrals.id"], name="fk_referrals_follows"),
        sa.ForeignKeyConstraint(["from_hcode"], ["hospitals.hcode"], name="fk_referrals_from_hcode"),
        sa.ForeignKeyConstraint(["to_hcode"], ["hospitals.hcode"], name="fk_referrals_to_hcode"),
        sa.PrimaryKeyConstraint("id", name="pk_referrals"),
        sa.UniqueConstraint("from_hcode", "serial", name="uq_referrals_from_hcode_serial"),
    )
    op.create_index("ix_referrals_study_id", "referrals", ["study_id"])
    op.create_index("ix_referrals_from_hcode_id", "referrals", ["from_hcode", "id"])
    op.create_index("ix_referrals_to_hcode_state_id", "referrals", ["to_hcode", "state", "id"])
    op.create_table(
        "referral_steps",
        sa.Column("id", ID, nullable=False),
        sa.Column("referral_id", ID, nullable=False),
        sa.Column("verb", sa.String(length=24), nullable=False),
        sa.Column("by", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.String(length=24), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["referral_id"], ["referrals.id"], name="fk_referral_steps_referral_id"),
        sa.PrimaryKeyConstraint("id", name="pk_referral_steps"),
    )
    op.create_index("ix_referral_steps_referral_id", "referral_steps", ["referral_id"])


def downgrade() -> None:
    op.drop_table("referral_steps")
    op.drop_table("referrals")
    op.drop_table("referral_serials")
    op.drop_table("travel_times")
    op.drop_table("capability_statements")
