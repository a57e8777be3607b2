"""Peers that the hub calls, and the certificates that callers show."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "peers",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("ae_title", sa.String(length=16), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("hcode", sa.String(length=5), nullable=True),
        sa.Column("tls", sa.Boolean(), nullable=False),
        sa.Column("certificate", sa.String(length=64), nullable=False),
        sa.Column("objects", JSON, nullable=False),
        sa.Column("roles", JSON, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_peers_hcode"),
        sa.PrimaryKeyConstraint("id", name="pk_peers"),
        sa.UniqueConstraint("name", name="uq_peers_name"),
    )
    op.create_index("ix_peers_hcode", "peers", ["hcode"])
    with op.batch_alter_table("callers") as callers:
        callers.add_column(sa.Column("certificates", JSON, nullable=False, server_default="[]"))
    with op.batch_alter_table("callers") as callers:
        callers.alter_column("certificates", existing_type=JSON, existing_nullable=False, server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("callers") as callers:
        callers.drop_column("certificates")
    op.drop_table("peers")
