"""Rosters, contacts, and alerts with their messages."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "hospital_hubs",
        sa.Column("hcode", sa.String(length=5), nullable=False),
        sa.Column("hub", sa.String(length=5), nullable=False),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_hospital_hubs_hcode"),
        sa.ForeignKeyConstraint(["hub"], ["hospitals.hcode"], name="fk_hospital_hubs_hub"),
        sa.PrimaryKeyConstraint("hcode", name="pk_hospital_hubs"),
    )
    op.create_table(
        "shifts",
        sa.Column("id", ID, nullable=False),
        sa.Column("hcode", sa.String(length=5), nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("starts_at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=False),
        sa.Column("made_by", sa.String(length=100), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_shifts_hcode"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_shifts_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_shifts"),
    )
    op.create_index("ix_shifts_hcode_ends_at", "shifts", ["hcode", "ends_at"])
    op.create_index("ix_shifts_account_id", "shifts", ["account_id"])
    op.create_table(
        "contacts",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=True),
        sa.Column("hcode", sa.String(length=5), nullable=True),
        sa.Column("way", sa.String(length=24), nullable=False),
        sa.Column("address", sa.String(length=500), nullable=False),
        sa.Column("secret", sa.String(length=200), nullable=False),
        sa.Column("quiet_from", sa.Integer(), nullable=True),
        sa.Column("quiet_until", sa.Integer(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_contacts_account_id"),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_contacts_hcode"),
        sa.PrimaryKeyConstraint("id", name="pk_contacts"),
    )
    op.create_index("ix_contacts_account_id", "contacts", ["account_id"])
    op.create_index("ix_contacts_hcode", "contacts", ["hcode"])
    op.create_table(
        "alerts",
        sa.Column("id", ID, nullable=False),
        sa.Column("key", sa.String(length=150), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("hcode", sa.String(length=5), nullable=False),
        sa.Column("hub", sa.String(length=5), nullable=True),
        sa.Column("study_id", ID, nullable=False),
        sa.Column("path", sa.String(length=300), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("quiet", sa.String(length=24), nullable=False),
        sa.Column("hop", sa.Integer(), nullable=False),
        sa.Column("next_at", MOMENT, nullable=True),
        sa.Column("raised_at", MOMENT, nullable=False),
        sa.Column("acknowledged_at", MOMENT, nullable=True),
        sa.Column("acknowledged_by", sa.String(length=100), nullable=False),
        sa.Column("acknowledged_through", sa.String(length=24), nullable=False),
        sa.ForeignKeyConstraint(["hcode"], ["hospitals.hcode"], name="fk_alerts_hcode"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_alerts_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
        sa.UniqueConstraint("key", name="uq_alerts_key"),
    )
    op.create_index("ix_alerts_state_next_at", "alerts", ["state", "next_at"])
    op.create_index("ix_alerts_hcode_id", "alerts", ["hcode", "id"])
    op.create_index("ix_alerts_hub_id", "alerts", ["hub", "id"])
    op.create_index("ix_alerts_study_id", "alerts", ["study_id"])
    op.create_table(
        "alert_deliveries",
        sa.Column("id", ID, nullable=False),
        sa.Column("alert_id", ID, nullable=False),
        sa.Column("hop", sa.Integer(), nullable=False),
        sa.Column("way", sa.String(length=24), nullable=False),
        sa.Column("contact_id", ID, nullable=True),
        sa.Column("told", sa.String(length=100), nullable=False),
        sa.Column("line", sa.String(length=60), nullable=False),
        sa.Column("token", sa.String(length=43), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("proof", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("next_at", MOMENT, nullable=False),
        sa.Column("delivered_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"], name="fk_alert_deliveries_alert_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alert_deliveries"),
        sa.UniqueConstraint("token", name="uq_alert_deliveries_token"),
        sa.UniqueConstraint(
            "alert_id", "hop", "contact_id", name="uq_alert_deliveries_alert_id_hop_contact_id"
        ),
    )
    op.create_index("ix_alert_deliveries_state_line", "alert_deliveries", ["state", "line", "next_at"])


def downgrade() -> None:
    for table in ("alert_deliveries", "alerts", "contacts", "shifts", "hospital_hubs"):
        op.drop_table(table)
