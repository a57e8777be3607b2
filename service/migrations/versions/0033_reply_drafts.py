"""Reply letters that are being written."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "reply_drafts",
        sa.Column("referral_id", ID, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("by", sa.String(length=100), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["referral_id"], ["referrals.id"], name="fk_reply_drafts_referral_id"),
        sa.PrimaryKeyConstraint("referral_id", name="pk_reply_drafts"),
    )


def downgrade() -> None:
    op.drop_table("reply_drafts")
