"""Referrals by state, so that looking for those that wait does not read those that ended."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_referrals_state_changed_at", "referrals", ["state", "changed_at"])


def downgrade() -> None:
    op.drop_index("ix_referrals_state_changed_at", table_name="referrals")
