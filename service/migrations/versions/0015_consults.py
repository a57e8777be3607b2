"""Consults and their threads."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "consults",
        sa.Column("id", ID, nullable=False),
        sa.Column("study_id", ID, nullable=False),
        sa.Column("hcode", sa.String(length=5), nullable=False),
        sa.Column("to_hcode", sa.String(length=5), nullable=False),
        sa.Column("specialty", sa.String(length=24), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("details", JSON, nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("asked_by", sa.String(length=100), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("opened_by", sa.String(length=100), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=True),
        sa.Column("open_late_at", MOMENT, nullable=True),
        sa.Column("advice_late_at", MOMENT, nullable=True),
        sa.Column("accepted_by", sa.String(length=100), nullable=False),
        sa.Column("accepted_at", MOMENT, nullable=True),
        sa.Column("answered_by", sa.String(length=100), nullable=False),
        sa.Column("answered_at", MOMENT, nullable=True),
        sa.Column("advice", JSON, nullable=True),
        sa.Column("ended_by", sa.String(length=100), nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("outcome", sa.String(length=24), nullable=True),
        sa.Column("ending", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_consults_study_id"),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_consults_hcode"),
        sa.ForeignKeyConstraint(["to_hcode"], ["hospitals.hcode"], name="fk_consults_to_hcode"),
        sa.PrimaryKeyConstraint("id", name="pk_consults"),
    )
    op.create_index("ix_consults_study_id", "consults", ["study_id"])
    op.create_index("ix_consults_hcode_id", "consults", ["hcode", "id"])
    op.create_index("ix_consults_to_hcode_id", "consults", ["to_hcode", "id"])
    op.create_index("ix_consults_state_asked_at", "consults", ["state", "asked_at"])
    op.create_table(
        "consult_messages",
        sa.Column("id", ID, nullable=False),
        sa.Column("consult_id", ID, nullable=False),
        sa.Column("hcode", sa.String(length=5), nullable=True),
        sa.Column("written_by", sa.String(length=100), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("slices", JSON, nullable=False),
        sa.ForeignKeyConstraint(["consult_id"], ["consults.id"], name="fk_consult_messages_consult_id"),
        sa.PrimaryKeyConstraint("id", name="pk_consult_messages"),
    )
    op.create_index("ix_consult_messages_consult_id", "consult_messages", ["consult_id"])


def downgrade() -> None:
    op.drop_table("consult_messages")
    op.drop_table("consults")
