"""What drift is judged by besides scores: the kernel of the images, and how far the embedding lies."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("acquisitions", sa.Column("kernel", sa.String(length=64), nullable=False, server_default=""))
    for name in ("distance", "usual_distance"):
        op.add_column("analyses", sa.Column(name, sa.Float(53), nullable=True))


def downgrade() -> None:
    for name in ("usual_distance", "distance"):
        op.drop_column("analyses", name)
    op.drop_column("acquisitions", "kernel")
