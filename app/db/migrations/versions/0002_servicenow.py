"""ServiceNow: the tie of a ticket, the outbox, the mirror and the pulls."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("tickets") as tickets:
        tickets.add_column(sa.Column("sn_sys_id", sa.String(32)))
        tickets.add_column(sa.Column("sn_number", sa.String(40)))
        tickets.add_column(sa.Column("sn_last_sync_at", sa.DateTime(timezone=True)))
        tickets.add_column(sa.Column("sn_sync_status", sa.String(20)))
        tickets.add_column(sa.Column("sn_last_error", sa.Text()))
        tickets.add_column(sa.Column("sn_host", sa.String(253)))
        tickets.add_column(
            sa.Column("sn_generation", sa.Integer(), server_default=sa.text("1"), nullable=False)
        )
        tickets.add_column(sa.Column("sn_agreed", sa.JSON()))
        tickets.create_index("ix_tickets_sn_sys_id", ["sn_sys_id"], unique=True)
    with op.batch_alter_table("ticket_events") as events:
        events.add_column(sa.Column("push", sa.String(10)))
        events.add_column(sa.Column("pushed_at", sa.DateTime(timezone=True)))
    op.create_table(
        "choices",
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("element", sa.String(length=40), nullable=False),
        sa.Column("value", sa.String(length=100), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("host", "element", "value", name="pk_choices"),
    )
    op.create_table(
        "connections",
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_ok_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_error_kind", sa.String(length=20), nullable=True),
        sa.Column("last_hint", sa.Text(), nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=True),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("host", name="pk_connections"),
    )
    op.create_table(
        "incidents",
        sa.Column("sys_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("short_description", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("assignment_group", sa.Text(), nullable=False),
        sa.Column("assignment_group_name", sa.Text(), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("caller_name", sa.Text(), nullable=False),
        sa.Column("caller_email", sa.Text(), nullable=False),
        sa.Column("assigned_to", sa.Text(), nullable=False),
        sa.Column("assigned_to_name", sa.Text(), nullable=False),
        sa.Column("assigned_to_email", sa.Text(), nullable=False),
        sa.Column("close_code", sa.Text(), nullable=False),
        sa.Column("close_notes", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mod_count", sa.Integer(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("sys_id", name="pk_incidents"),
    )
    op.create_index("ix_incidents_number", "incidents", ["number"], unique=False)
    op.create_index(
        "ix_incidents_state_updated_at", "incidents", ["state", "updated_at"], unique=False
    )
    op.create_index(
        "ix_incidents_updated_at_sys_id", "incidents", ["updated_at", "sys_id"], unique=False
    )
    op.create_table(
        "sync_runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("import_tickets", sa.Boolean(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("row_limit", sa.Integer(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("incident_state", sa.String(length=40), nullable=False),
        sa.Column("created_by", sa.String(length=254), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("oldest_stamp", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_sys_id", sa.String(length=32), nullable=False),
        sa.Column("fetched", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("created", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("unchanged", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("skipped", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_sync_runs"),
    )
    op.create_index("ix_sync_runs_state", "sync_runs", ["state"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ticket_id", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=True),
        sa.Column("sys_id", sa.String(length=32), nullable=True),
        sa.Column("correlation_id", sa.String(length=100), nullable=True),
        sa.Column("assignment_group", sa.String(length=32), nullable=True),
        sa.Column("close_code", sa.String(length=80), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unconfirmed_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=254), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("error_kind", sa.String(length=20), nullable=True),
        sa.ForeignKeyConstraint(
            ["event_id"], ["ticket_events.id"], name="fk_outbox_event_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["tickets.id"], name="fk_outbox_ticket_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("event_id", name="uq_outbox_event_id"),
    )
    op.create_index("ix_outbox_state_not_before", "outbox", ["state", "not_before"], unique=False)
    op.create_index("ix_outbox_ticket_id_state", "outbox", ["ticket_id", "state"], unique=False)
    op.create_index(
        "uq_outbox_create",
        "outbox",
        ["ticket_id", "generation"],
        unique=True,
        sqlite_where=sa.text("kind = 'create' AND state <> 'discarded'"),
        postgresql_where=sa.text("kind = 'create' AND state <> 'discarded'"),
    )
