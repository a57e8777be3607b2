"""Which result objects of a referred study have been handed over."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("referrals", sa.Column("packed_object", ID, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("referrals", "packed_object")
