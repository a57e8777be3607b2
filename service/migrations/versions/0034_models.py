"""Models that the hub has taken in, where each reads, and the history, which is never changed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
MOMENT = sa.DateTime(timezone=True)
WORD = sa.String(24)


def upgrade() -> None:
    op.create_table(
        "models",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("assessed", JSON, nullable=False),
        sa.Column("engine", sa.String(length=60), nullable=False),
        sa.Column("golden_off_by", sa.Float(53), nullable=False),
        sa.Column("registered_by", sa.String(length=100), nullable=False),
        sa.Column("registered_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.UniqueConstraint("name", name="uq_models_name"),
        sa.UniqueConstraint("digest", name="uq_models_digest"),
    )
    op.create_table(
        "model_steps",
        sa.Column("id", ID, nullable=False),
        sa.Column("model_id", ID, nullable=False),
        sa.Column("place", sa.String(length=5), nullable=False),
        sa.Column("verb", WORD, nullable=False),
        sa.Column("before", WORD, nullable=False),
        sa.Column("after", WORD, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("gates", JSON, nullable=False),
        sa.Column("by", sa.String(length=100), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_model_steps_model_id"),
        sa.PrimaryKeyConstraint("id", name="pk_model_steps"),
    )
    op.create_index("ix_model_steps_model_id", "model_steps", ["model_id"])
    op.create_index("ix_model_steps_place_id", "model_steps", ["place", "id"])
    op.create_table(
        "placements",
        sa.Column("place", sa.String(length=5), nullable=False),
        sa.Column("model_id", ID, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("after_analysis", ID, nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_placements_model_id"),
        sa.PrimaryKeyConstraint("place", "model_id", name="pk_placements"),
    )
    for state in ("live", "shadow"):
        only = sa.text(f"state = '{state}'")
        op.create_index(
            f"ix_placements_{state}",
            "placements",
            ["place"],
            unique=True,
            sqlite_where=only,
            postgresql_where=only,
        )
    _make_append_only("model_steps")


def downgrade() -> None:
    for table in ("placements", "model_steps", "models"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION model_steps_refuse()")


def _make_append_only(table: str) -> None:
    refusal = f"rows of {table} are never changed or deleted"
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{refusal}'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
    )
