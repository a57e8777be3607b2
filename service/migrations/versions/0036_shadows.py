"""What models in shadow said of studies."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
WORD = sa.String(24)


def upgrade() -> None:
    op.create_table(
        "shadow_predictions",
        sa.Column("id", ID, nullable=False),
        sa.Column("analysis_id", ID, nullable=False),
        sa.Column("model_id", ID, nullable=False),
        sa.Column("study_id", ID, nullable=False),
        sa.Column("hcode", sa.String(length=5), nullable=True),
        sa.Column("decision", WORD, nullable=True),
        sa.Column("live_decision", WORD, nullable=False),
        sa.Column("differs", sa.Boolean(), nullable=False),
        sa.Column("score", sa.Float(53), nullable=True),
        sa.Column("live_score", sa.Float(53), nullable=True),
        sa.Column("scores", JSON, nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["analysis_id"], ["analyses.id"], name="fk_shadow_predictions_analysis_id"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_shadow_predictions_model_id"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_shadow_predictions_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_shadow_predictions"),
        sa.UniqueConstraint("analysis_id", "model_id", name="uq_shadow_predictions_analysis_id_model_id"),
    )
    op.create_index("ix_shadow_predictions_study_id", "shadow_predictions", ["study_id"])
    op.create_index("ix_shadow_predictions_model_id", "shadow_predictions", ["model_id", "differs", "id"])


def downgrade() -> None:
    op.drop_table("shadow_predictions")
