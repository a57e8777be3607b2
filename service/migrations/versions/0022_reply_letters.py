"""When a reply letter was put in line for the sending hospital's PACS; those before this count as read."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("referrals", sa.Column("reply_packed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE referrals SET reply_packed_at = changed_at WHERE state = 'completed'")


def downgrade() -> None:
    op.drop_column("referrals", "reply_packed_at")
