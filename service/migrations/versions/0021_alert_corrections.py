"""Alerts that are withdrawn, and the messages that say so."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("alerts", sa.Column("withdrawn_because", sa.String(length=24), nullable=True))
    op.add_column(
        "alert_deliveries", sa.Column("corrects", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    op.drop_column("alert_deliveries", "corrects")
    op.drop_column("alerts", "withdrawn_because")
    op.drop_column("alerts", "withdrawn_at")
