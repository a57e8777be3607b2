"""Whose answer an alert wants, and for which specialty somebody is on call."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("shifts", "alerts"):
        op.add_column(table, sa.Column("specialty", sa.String(length=24), nullable=True))


def downgrade() -> None:
    for table in ("alerts", "shifts"):
        op.drop_column(table, "specialty")
