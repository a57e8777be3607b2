"""Keys of hospitals for MOPH Refer, what is sent there, and the forms' templates with their versions."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "nrefer_keys",
        sa.Column("hcode", sa.String(length=5), nullable=False),
        sa.Column("api_key", sa.String(length=200), nullable=False),
        sa.Column("secret_key", sa.String(length=200), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("set_by", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_nrefer_keys_hcode"),
        sa.PrimaryKeyConstraint("hcode", name="pk_nrefer_keys"),
    )
    op.create_table(
        "moph_messages",
        sa.Column("id", ID, nullable=False),
        sa.Column("referral_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("hcode", sa.String(length=5), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("report", ID, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("next_at", MOMENT, nullable=False),
        sa.Column("give_up_at", MOMENT, nullable=False),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["referral_id"], ["referrals.id"], name="fk_moph_messages_referral_id"),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_moph_messages_hcode"),
        sa.PrimaryKeyConstraint("id", name="pk_moph_messages"),
        sa.UniqueConstraint("referral_id", "kind", name="uq_moph_messages_referral_id_kind"),
    )
    op.create_index(
        "ix_moph_messages_state_hcode_next_at", "moph_messages", ["state", "hcode", "next_at"]
    )
    op.create_table(
        "form_versions",
        sa.Column("id", ID, nullable=False),
        sa.Column("form", sa.String(length=24), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("made_by", sa.String(length=100), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_form_versions"),
    )
    op.create_index("ix_form_versions_form_id", "form_versions", ["form", "id"])


def downgrade() -> None:
    for table in ("form_versions", "moph_messages", "nrefer_keys"):
        op.drop_table(table)
