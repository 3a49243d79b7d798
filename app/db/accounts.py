"""Users, their sessions and their reset links."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TypedDict, Unpack

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    delete,
    not_,
    select,
    update,
)

from app.db.tables import password_resets, sessions, users
from app.errors import NotFound
from app.models.accounts import Person, Role, Session, User
from app.models.names import derived_names, local_part, name_key

PUBLIC = (
    users.c.id,
    users.c.email,
    users.c.display_name,
    users.c.role,
    users.c.active,
    users.c.created_at,
    users.c.time_zone,
)


class Change(TypedDict, total=False):
    """What can be changed of an account."""

    active: bool
    role: Role
    password_hash: str
    time_zone: str | None


def _user(row: RowMapping) -> User:
    return User(
        id=row["id"],
        email=row["email"],
        name=row["display_name"],
        role=Role(row["role"]),
        active=row["active"],
        created_at=row["created_at"],
        time_zone=row["time_zone"],
    )


# -- users -----------------------------------------------------------------------------------


def add_user(
    conn: Connection, email: str, *, password_hash: str, role: Role, now: datetime, name: str = ""
) -> User:
    """An active account; without a name it gets a free one from its address.

    Raises IntegrityError when the address or the name is taken.
    """
    shown = name or free_name(conn, local_part(email))
    statement = users.insert().values(
        email=email,
        password_hash=password_hash,
        role=role,
        active=True,
        created_at=now,
        **name_columns(shown),
    )
    return _user(conn.execute(statement.returning(*PUBLIC)).mappings().one())


def free_name(conn: Connection, wanted: str) -> str:
    """`wanted` if no account has this name, else with the first number that makes it free."""
    return next(name for name in derived_names(wanted) if not has_name(conn, name))


def has_name(conn: Connection, name: str) -> bool:
    """Whether an account has this name, in whatever spelling."""
    same = select(users.c.id).where(users.c.name_key == name_key(name))
    return conn.execute(same).first() is not None


def name_columns(name: str) -> dict[str, str]:
    """What to write for a name; writing it raises IntegrityError when another account has it."""
    return {"display_name": name, "name_key": name_key(name)}


def people(conn: Connection, addresses: Collection[str]) -> dict[str, Person]:
    """Those who have an account, by address: one read, however many are asked for."""
    columns = (users.c.email, users.c.display_name, users.c.role)
    rows = conn.execute(select(*columns).where(users.c.email.in_(addresses)))
    return {
        email: Person(name, staff=Role(role).may_act_as(Role.AGENT)) for email, name, role in rows
    }


def get_user(conn: Connection, user_id: int) -> User:
    row = conn.execute(select(*PUBLIC).where(users.c.id == user_id)).mappings().first()
    if row is None:
        raise NotFound("The account was not found.")
    return _user(row)


def find_user(conn: Connection, email: str) -> User | None:
    row = conn.execute(select(*PUBLIC).where(users.c.email == email)).mappings().first()
    return _user(row) if row else None


def find_credentials(conn: Connection, email: str) -> tuple[User, str] | None:
    """The account with this address and the hash of its password."""
    query = select(*PUBLIC, users.c.password_hash).where(users.c.email == email)
    row = conn.execute(query).mappings().first()
    return (_user(row), row["password_hash"]) if row else None


def list_users(conn: Connection) -> list[User]:
    """Active ones first, by name."""
    query = select(*PUBLIC).order_by(users.c.active.desc(), users.c.name_key)
    return [_user(row) for row in conn.execute(query).mappings()]


def any_user(conn: Connection) -> bool:
    return conn.execute(select(users.c.id).limit(1)).first() is not None


def active_admin_ids(conn: Connection) -> Sequence[int]:
    """Their rows stay locked until the transaction ends, so two cannot leave at once."""
    query = select(users.c.id).where(users.c.role == Role.ADMIN, users.c.active)
    return conn.execute(query.order_by(users.c.id).with_for_update()).scalars().all()


def change_user(
    conn: Connection, user_id: int, *, name: str | None = None, **values: Unpack[Change]
) -> None:
    """Change an account, and its name if one is given.

    Raises IntegrityError when another account has the name.
    """
    named = name_columns(name) if name is not None else {}
    conn.execute(update(users).where(users.c.id == user_id).values({**values, **named}))


# -- sessions --------------------------------------------------------------------------------


def _live(now: datetime, idle_since: datetime) -> ColumnElement[bool]:
    return and_(sessions.c.expires_at > now, sessions.c.last_active_at > idle_since)


def remove_ended_sessions(conn: Connection, *, now: datetime, idle_since: datetime) -> None:
    """Forget the sessions that ended by themselves."""
    conn.execute(delete(sessions).where(not_(_live(now, idle_since))))


def add_session(
    conn: Connection,
    key_hash: str,
    user_id: int,
    *,
    now: datetime,
    expires_at: datetime,
    browser: str,
    address: str,
) -> None:
    conn.execute(
        sessions.insert().values(
            key_hash=key_hash,
            user_id=user_id,
            created_at=now,
            last_active_at=now,
            expires_at=expires_at,
            browser=browser,
            address=address,
        )
    )


def find_session(
    conn: Connection, key_hash: str, *, now: datetime, idle_since: datetime
) -> tuple[User, datetime] | None:
    """The active user of a session that has not ended, and its last activity."""
    query = select(*PUBLIC, sessions.c.last_active_at).join(
        sessions, sessions.c.user_id == users.c.id
    )
    live = (sessions.c.key_hash == key_hash, _live(now, idle_since), users.c.active)
    row = conn.execute(query.where(*live)).mappings().first()
    return (_user(row), row["last_active_at"]) if row else None


def touch_session(conn: Connection, key_hash: str, *, now: datetime) -> None:
    conn.execute(update(sessions).where(sessions.c.key_hash == key_hash).values(last_active_at=now))


def list_sessions(
    conn: Connection, user_id: int, *, current: str, now: datetime, idle_since: datetime
) -> list[Session]:
    """Those of a user that have not ended, the latest active first."""
    table = sessions.c
    columns = (table.browser, table.address, table.created_at, table.last_active_at)
    query = select(table.key_hash.label("key"), *columns)
    mine = query.where(table.user_id == user_id, _live(now, idle_since))
    rows = conn.execute(mine.order_by(table.last_active_at.desc(), table.key_hash)).mappings()
    return [Session(**row, current=row["key"] == current) for row in rows]


def remove_session(conn: Connection, key_hash: str, *, user_id: int | None = None) -> bool:
    """End a session, with `user_id` only one of this user; False when there is none."""
    one = delete(sessions).where(sessions.c.key_hash == key_hash)
    return (
        conn.execute(one if user_id is None else one.where(sessions.c.user_id == user_id)).rowcount
        == 1
    )


def remove_sessions(conn: Connection, user_id: int, *, keep: str = "") -> None:
    """End every session of a user but the one with the hash `keep`."""
    conn.execute(delete(sessions).where(sessions.c.user_id == user_id, sessions.c.key_hash != keep))


# -- reset links -----------------------------------------------------------------------------


def store_reset(conn: Connection, token: str, user_id: int, *, expires_at: datetime) -> None:
    """Remember the hash of a link; an earlier link of the same user ends."""
    remove_resets(conn, user_id)
    conn.execute(
        password_resets.insert().values(token_hash=token, user_id=user_id, expires_at=expires_at)
    )


def find_user_of_reset(conn: Connection, token: str, *, now: datetime) -> User | None:
    """The active user of a link that still works."""
    query = select(*PUBLIC).join(password_resets, password_resets.c.user_id == users.c.id)
    live = (
        password_resets.c.token_hash == token,
        password_resets.c.expires_at > now,
        users.c.active,
    )
    row = conn.execute(query.where(*live)).mappings().first()
    return _user(row) if row else None


def take_reset(conn: Connection, token: str) -> bool:
    """Use a link up; False when somebody else just did."""
    taken = delete(password_resets).where(password_resets.c.token_hash == token)
    return conn.execute(taken).rowcount == 1


def remove_resets(conn: Connection, user_id: int) -> None:
    conn.execute(delete(password_resets).where(password_resets.c.user_id == user_id))
