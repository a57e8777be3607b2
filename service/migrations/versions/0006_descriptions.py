"""What DICOMweb tells of each study."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "descriptions",
        sa.Column("study_id", ID, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("attributes", JSON, nullable=False),
        sa.Column("series", JSON, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_descriptions_study_id"),
        sa.PrimaryKeyConstraint("study_id", name="pk_descriptions"),
    )


def downgrade() -> None:
    op.drop_table("descriptions")
