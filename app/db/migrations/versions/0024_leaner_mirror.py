"""Fewer indexes of the mirror: each in an order of its own costs an import much of its writing."""

from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    # Nothing asks for an incident by its number alone.
    op.drop_index("ix_incidents_number", "incidents")
    # One index gives the latest first, and picks those of a state without reading the rows.
    op.drop_index("ix_incidents_updated_at_sys_id", "incidents")
    op.drop_index("ix_incidents_state_updated_at", "incidents")
    op.create_index("ix_incidents_updated_at_state", "incidents", ["updated_at", "state"])
