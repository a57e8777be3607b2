"""Other hubs, the hospitals that live there, and the referrals that two hubs have."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "neighbours",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("url", sa.String(length=300), nullable=False),
        sa.Column("secret", sa.String(length=200), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_neighbours"),
        sa.UniqueConstraint("name", name="uq_neighbours_name"),
    )
    op.create_table(
        "neighbour_hospitals",
        sa.Column("hcode", sa.String(length=5), nullable=False),
        sa.Column("neighbour_id", ID, nullable=False),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_neighbour_hospitals_hcode"),
        sa.ForeignKeyConstraint(
            ["neighbour_id"], ["neighbours.id"], name="fk_neighbour_hospitals_neighbour_id"
        ),
        sa.PrimaryKeyConstraint("hcode", name="pk_neighbour_hospitals"),
    )
    op.create_index("ix_neighbour_hospitals_neighbour_id", "neighbour_hospitals", ["neighbour_id"])
    op.create_table(
        "referral_links",
        sa.Column("referral_id", ID, nullable=False),
        sa.Column("neighbour_id", ID, nullable=False),
        sa.Column("remote", sa.String(length=64), nullable=True),
        sa.Column("home", sa.Boolean(), nullable=False),
        sa.Column("sent_step", ID, nullable=False),
        sa.Column("sent_hn", sa.String(length=64), nullable=False),
        sa.Column("sent_version", sa.Integer(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["referral_id"], ["referrals.id"], name="fk_referral_links_referral_id"),
        sa.ForeignKeyConstraint(["neighbour_id"], ["neighbours.id"], name="fk_referral_links_neighbour_id"),
        sa.PrimaryKeyConstraint("referral_id", name="pk_referral_links"),
        sa.UniqueConstraint("neighbour_id", "remote", name="uq_referral_links_neighbour_id_remote"),
    )
    op.add_column(
        "referral_steps", sa.Column("brought", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    op.drop_column("referral_steps", "brought")
    for table in ("referral_links", "neighbour_hospitals", "neighbours"):
        op.drop_table(table)
