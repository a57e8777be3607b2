"""What the ML team decided of cases, how many each hospital is to bring, and data sets that were ordered."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0031"
down_revision = "0028"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
MOMENT = sa.DateTime(timezone=True)
WORD = sa.String(length=24)
NAME = sa.String(length=100)


def upgrade() -> None:
    op.create_table(
        "screenings",
        sa.Column("id", ID, nullable=False),
        sa.Column("case_id", ID, nullable=False),
        sa.Column("confirmed", JSON, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("excluded_by", JSON, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("screened_by", NAME, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_screenings_case_id"),
        sa.PrimaryKeyConstraint("id", name="pk_screenings"),
    )
    op.create_index("ix_screenings_case_id", "screenings", ["case_id"])
    op.create_table(
        "case_quotas",
        sa.Column("hcode", sa.String(length=5), nullable=False),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("set_by", NAME, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_case_quotas_hcode"),
        sa.PrimaryKeyConstraint("hcode", name="pk_case_quotas"),
    )
    op.create_table(
        "data_set_orders",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.Column("shares", JSON, nullable=False),
        sa.Column("data_set_id", ID, nullable=True),
        sa.Column("state", WORD, nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("ordered_by", NAME, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["data_set_id"], ["data_sets.id"], name="fk_data_set_orders_data_set_id"),
        sa.PrimaryKeyConstraint("id", name="pk_data_set_orders"),
    )
    _make_append_only("screenings")


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


def downgrade() -> None:
    for table in ("data_set_orders", "case_quotas", "screenings"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION screenings_refuse()")
