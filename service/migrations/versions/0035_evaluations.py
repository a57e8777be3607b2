"""Evaluations of model packages, which the gates compare."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "model_evaluations",
        sa.Column("id", ID, nullable=False),
        sa.Column("model_name", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("truth", sa.String(length=64), nullable=False),
        sa.Column("studies", sa.Integer(), nullable=False),
        sa.Column("report", JSON, nullable=False),
        sa.Column("added_by", sa.String(length=100), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model_evaluations"),
    )
    op.create_index("ix_model_evaluations_digest_id", "model_evaluations", ["digest", "id"])


def downgrade() -> None:
    op.drop_table("model_evaluations")
