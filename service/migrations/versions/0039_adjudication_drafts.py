"""What adjudicators have entered and not handed in."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
TABLE = "adjudication_drafts"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("case_id", ID, nullable=False),
        sa.Column("adjudicator", sa.String(length=100), nullable=False),
        sa.Column("label", JSON, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=f"fk_{TABLE}_case_id"),
        sa.PrimaryKeyConstraint("case_id", "adjudicator", name=f"pk_{TABLE}"),
    )


def downgrade() -> None:
    op.drop_table(TABLE)
