"""What radiologists say in full: places, hindrances, withdrawals, signatures, settlements, reports, modes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
MOMENT = sa.DateTime(timezone=True)
WORD = sa.String(24)


def upgrade() -> None:
    # columns are added, not the table made anew: its triggers refuse to change rows and must stay
    op.add_column("reviews", sa.Column("hcode", sa.String(length=5), nullable=True))
    op.add_column("reviews", sa.Column("places", JSON, nullable=False, server_default="[]"))
    op.add_column("reviews", sa.Column("hindrance", WORD, nullable=True))
    op.add_column("reviews", sa.Column("disagreement", WORD, nullable=True))
    op.add_column("reviews", sa.Column("withdraws", ID, nullable=True))
    op.create_index("ix_reviews_disagreement", "reviews", ["disagreement", "id"])
    op.create_index("ix_reviews_hcode", "reviews", ["hcode", "id"])
    op.create_index("ix_reviews_withdraws", "reviews", ["withdraws"])

    op.create_table(
        "signatures",
        sa.Column("review_id", ID, nullable=False),
        sa.Column("study_id", ID, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("signer", sa.String(length=100), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["review_id"], ["reviews.id"], name="fk_signatures_review_id"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_signatures_study_id"),
        sa.PrimaryKeyConstraint("review_id", name="pk_signatures"),
    )
    op.create_index("ix_signatures_study_id", "signatures", ["study_id"])

    op.create_table(
        "settlements",
        sa.Column("review_id", ID, nullable=False),
        sa.Column("conclusion", WORD, nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("settled_by", sa.String(length=100), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["review_id"], ["reviews.id"], name="fk_settlements_review_id"),
        sa.PrimaryKeyConstraint("review_id", name="pk_settlements"),
    )
    op.create_table(
        "reports",
        sa.Column("id", ID, nullable=False),
        sa.Column("study_id", ID, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("source", WORD, nullable=False),
        sa.Column("author", sa.String(length=100), nullable=False),
        sa.Column("claims", JSON, nullable=False),
        sa.Column("concordance", WORD, nullable=False),
        sa.Column("differs_in", JSON, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_reports_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_reports"),
    )
    op.create_index("ix_reports_concordance", "reports", ["concordance", "id"])
    op.create_index("ix_reports_study_id", "reports", ["study_id"])

    op.create_table(
        "hospital_modes",
        sa.Column("hcode", sa.String(length=5), nullable=False),
        sa.Column("mode", WORD, nullable=False),
        sa.Column("switched_by", sa.String(length=100), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_hospital_modes_hcode"),
        sa.PrimaryKeyConstraint("hcode", name="pk_hospital_modes"),
    )


def downgrade() -> None:
    for table in ("hospital_modes", "reports", "settlements", "signatures"):
        op.drop_table(table)
    for index in ("ix_reviews_withdraws", "ix_reviews_hcode", "ix_reviews_disagreement"):
        op.drop_index(index, "reviews")
    for column in ("withdraws", "disagreement", "hindrance", "places", "hcode"):
        op.drop_column("reviews", column)
