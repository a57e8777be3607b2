"""When images were made, and times that people type."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "acquisitions",
        sa.Column("study_id", ID, nullable=False),
        sa.Column("first_at", MOMENT, nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.Column("scanner", sa.String(length=200), nullable=False),
        sa.Column("lag_seconds", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_acquisitions_study_id"),
        sa.PrimaryKeyConstraint("study_id", name="pk_acquisitions"),
    )
    op.create_index("ix_acquisitions_scanner", "acquisitions", ["scanner", "study_id"])
    op.create_table(
        "typed_times",
        sa.Column("id", ID, nullable=False),
        sa.Column("study_id", ID, nullable=False),
        sa.Column("milestone", sa.String(length=24), nullable=False),
        sa.Column("at", MOMENT, nullable=True),
        sa.Column("typed_by", sa.String(length=100), nullable=False),
        sa.Column("typed_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_typed_times_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_typed_times"),
    )
    op.create_index("ix_typed_times_study_id_id", "typed_times", ["study_id", "id"])


def downgrade() -> None:
    op.drop_table("typed_times")
    op.drop_table("acquisitions")
