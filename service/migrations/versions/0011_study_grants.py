"""Studies that a hospital shows to another."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "study_grants",
        sa.Column("id", ID, nullable=False),
        sa.Column("study_id", ID, nullable=False),
        sa.Column("hcode", sa.String(length=5), nullable=False),
        sa.Column("because", sa.String(length=24), nullable=False),
        sa.Column("subject", ID, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=True),
        sa.Column("granted_by", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_study_grants_hcode"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_study_grants_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_study_grants"),
    )
    op.create_index("ix_study_grants_hcode", "study_grants", ["hcode", "study_id"])
    op.create_index("ix_study_grants_study_id", "study_grants", ["study_id"])
    op.create_index(
        "ix_study_grants_subject", "study_grants", ["because", "subject", "study_id", "hcode"], unique=True
    )


def downgrade() -> None:
    op.drop_table("study_grants")
