"""Accounts have a name that pages show; no two have the same."""

from itertools import count

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"

USERS = sa.table(
    "users",
    sa.column("id", sa.Integer),
    sa.column("email", sa.String),
    sa.column("display_name", sa.String),
    sa.column("name_key", sa.String),
)
RESERVED = {"servicenow", "staff", "unassigned", "nobody"}


def upgrade() -> None:
    for name, length in (("display_name", 80), ("name_key", 160)):
        op.add_column("users", sa.Column(name, sa.String(length=length)))
    conn, taken = op.get_bind(), set(RESERVED)
    for row in conn.execute(sa.select(USERS.c.id, USERS.c.email).order_by(USERS.c.id)).all():
        name = _free(row.email, taken)
        taken.add(name.lower())
        values = {"display_name": name, "name_key": name.lower()}
        conn.execute(USERS.update().where(USERS.c.id == row.id).values(values))
    with op.batch_alter_table("users", table_kwargs={"sqlite_autoincrement": True}) as users:
        users.alter_column("display_name", existing_type=sa.String(length=80), nullable=False)
        users.alter_column("name_key", existing_type=sa.String(length=160), nullable=False)
        users.create_unique_constraint("uq_users_name_key", ["name_key"])


def _free(email: str, taken: set[str]) -> str:
    """The part before the @, with a number if somebody has that name already."""
    local = email.partition("@")[0][:60]
    base = local if local.isascii() and any(map(str.isalnum, local)) else "User"
    if base != "User" and base.lower() not in taken:
        return base
    return next(name for n in count(2) if (name := f"{base} {n}").lower() not in taken)
