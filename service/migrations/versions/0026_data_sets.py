"""Data sets that were frozen, and the cases in each."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "data_sets",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("studies", sa.Integer(), nullable=False),
        sa.Column("about", JSON, nullable=False),
        sa.Column("made_by", sa.String(length=100), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_data_sets"),
        sa.UniqueConstraint("name", "version", name="uq_data_sets_name_version"),
    )
    op.create_table(
        "data_set_cases",
        sa.Column("data_set_id", ID, nullable=False),
        sa.Column("case_id", ID, nullable=False),
        sa.Column("part", sa.String(length=24), nullable=False),
        sa.ForeignKeyConstraint(["data_set_id"], ["data_sets.id"], name="fk_data_set_cases_data_set_id"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_data_set_cases_case_id"),
        sa.PrimaryKeyConstraint("data_set_id", "case_id", name="pk_data_set_cases"),
    )


def downgrade() -> None:
    op.drop_table("data_set_cases")
    op.drop_table("data_sets")
