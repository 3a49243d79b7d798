"""People on pages: by name, read once per page.

A filter leaves a mark for each address. When the page is rendered, `with_names` reads the accounts
of all marks at once and writes their names.
"""

import re
from collections.abc import Callable, Collection, Mapping
from secrets import token_hex

from markupsafe import Markup, escape

from app.models.accounts import Person, Role, User
from app.models.characters import plain
from app.models.names import local_part

# Random, so that no text on a page can contain a mark.
KEY = token_hex(16)
# An address in a sentence.
ADDRESS = re.compile(r"([^\s@“”\"<>(),:;]+@[\w-]+(?:\.[\w-]+)*)")
MARK = re.compile(rf"{KEY}-(person|name|contact)-([0-9a-f]*)-")


def person(address: str | None) -> Markup:
    """A name, with the address in its tooltip for staff; requesters see who is staff."""
    return _mark("person", address)


def name_of(address: str | None) -> Markup:
    """A name as text, for options, attributes and sentences."""
    return _mark("name", address)


def contact(address: str | None) -> Markup:
    """As `person`, with the address beside the name for staff."""
    return _mark("contact", address)


def people_in(sentence: str) -> Markup:
    """A sentence of the app with names instead of addresses."""
    parts = ADDRESS.split(plain(sentence))
    return Markup().join(name_of(part) if at % 2 else part for at, part in enumerate(parts))


def _mark(form: str, address: str | None) -> Markup:
    return Markup(f"{KEY}-{form}-{address.encode().hex()}-") if address else Markup()


def with_names(
    html: str, reader: User | None, look_up: Callable[[Collection[str]], Mapping[str, Person]]
) -> str:
    """The page with a name for each mark, as `reader` may see it."""
    found = {_address(mark) for mark in MARK.finditer(html)}
    if not found:
        return html
    people = look_up(found)
    staff = reader is not None and reader.role.may_act_as(Role.AGENT)

    def shown(mark: re.Match[str]) -> str:
        address = _address(mark)
        if mark[1] == "name":
            return str(escape(_name(people.get(address), address, staff=staff)))
        if not staff:
            return _for_requester(people.get(address), address)
        return _for_staff(people.get(address), address, contact=mark[1] == "contact")

    return MARK.sub(shown, html)


def _address(mark: re.Match[str]) -> str:
    return bytes.fromhex(mark[2]).decode()


def _name(one: Person | None, address: str, *, staff: bool) -> str:
    return plain(one.name if one else address if staff else local_part(address))


def _for_requester(one: Person | None, address: str) -> str:
    name = escape(_name(one, address, staff=False))
    return f'{name} <span class="tag">Staff</span>' if one and one.staff else str(name)


def _for_staff(one: Person | None, address: str, *, contact: bool) -> str:
    if one is None:
        return str(escape(plain(address)))
    name = Markup('<span title="{}">{}</span>').format(address, one.name)
    return name + Markup('<br><span class="muted">{}</span>').format(address) if contact else name
