"""Studies that were asked for as priors."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "expected_priors",
        sa.Column("hcode", sa.String(length=5), nullable=False),
        sa.Column("study_instance_uid", sa.Text(), nullable=False),
        sa.Column("study_id", ID, nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_expected_priors_hcode"),
        sa.ForeignKeyConstraint(
            ["study_id"], ["studies.id"], name="fk_expected_priors_study_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("hcode", "study_instance_uid", name="pk_expected_priors"),
    )
    op.create_index("ix_expected_priors_study_id", "expected_priors", ["study_id"])


def downgrade() -> None:
    op.drop_table("expected_priors")
