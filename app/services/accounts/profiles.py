"""What an account shows of its owner: a name that nobody else has, and the zone of its times."""

from collections.abc import Callable, Collection, Mapping
from typing import Unpack

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from app.db import accounts
from app.db.engine import reading, writing
from app.errors import Invalid
from app.models.accounts import Person, User
from app.models.names import checked_name
from app.models.time_zones import zone_names


class Profiles:
    """`full_name` asks ServiceNow for the name of an address, and answers "" when it has none."""

    def __init__(self, engine: Engine, *, full_name: Callable[[str], str]) -> None:
        self._engine = engine
        self._full_name = full_name

    def people(self, addresses: Collection[str]) -> Mapping[str, Person]:
        """Those of these addresses who have an account, in one read."""
        with reading(self._engine) as conn:
            return accounts.people(conn, addresses)

    def change(self, user: User, *, name: str, time_zone: str) -> User:
        """Set one's own name and time zone, "" for that of the browser. Raises Invalid."""
        kept = checked_name(name, field="display_name")
        if time_zone and time_zone not in zone_names():
            sentence = "Choose a time zone from the list."
            raise Invalid(sentence, fields={"time_zone": sentence})
        return self._write(user.id, name=kept, time_zone=time_zone or None)

    def rename(self, user_id: int, name: str) -> User:
        """Give an account another name. Raises Invalid, NotFound."""
        return self._write(user_id, name=checked_name(name))

    def look_up_name(self, user: User) -> User:
        """With the name that ServiceNow has for a new account, or as it was."""
        try:
            found = checked_name(self._full_name(user.email))
        except Invalid:
            return user
        with reading(self._engine) as conn:
            free = accounts.free_name(conn, found)
        try:
            return self._write(user.id, name=free)
        except Invalid:
            # Somebody took it at this moment.
            return user

    def _write(self, user_id: int, *, name: str, **values: Unpack[accounts.Change]) -> User:
        try:
            with writing(self._engine) as conn:
                accounts.change_user(conn, user_id, name=name, **values)
                return accounts.get_user(conn, user_id)
        except IntegrityError:
            raise name_taken("display_name") from None


def is_name_conflict(error: IntegrityError) -> bool:
    """Whether a name, and not an address, is taken; the first line names the constraint."""
    return "name_key" in str(error.orig).splitlines()[0]


def name_taken(field: str = "name") -> Invalid:
    sentence = "Another account has this name. Enter a different one."
    return Invalid(sentence, fields={field: sentence})
