"""Names of accounts: where they come from, who may change them, and that no two are the same."""

from threading import Thread

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import insert, text, update
from sqlalchemy.exc import IntegrityError

from app.db import accounts, circuit_breaker, migrate
from app.db.engine import make_engine, reading, utc_now, writing
from app.db.tables import users
from app.errors import Kind
from app.models.accounts import Role, User
from app.models.names import LONGEST_NAME, checked_name, name_key
from app.simulator import Instance
from tests.conftest import HTMX, account
from tests.html import soup


def invited(app: FastAPI, email: str, name: str = "") -> User:
    user: User = app.state.services.accounts.invite_user(email, Role.REQUESTER, name=name)[0]
    return user


def named(app: FastAPI, email: str) -> str:
    user: User = app.state.services.accounts.user_by_email(email)
    return user.name


# -- where a name comes from -------------------------------------------------------------------


def test_a_name_that_was_given_is_kept_without_a_call(app: FastAPI, instance: Instance) -> None:
    assert invited(app, "ann@example.com", "  Ann   Meier ").name == "Ann Meier"
    assert not instance.requests


def test_without_one_the_name_in_servicenow_is_used(app: FastAPI, instance: Instance) -> None:
    instance.add_user(name="Ann Meier", email="ann@example.com")
    assert invited(app, "Ann@Example.com").name == "Ann Meier"


@pytest.mark.parametrize("rows", [(), ("true", "true"), ("false",)])
def test_without_exactly_one_active_row_it_is_the_part_before_the_at(
    app: FastAPI, instance: Instance, rows: tuple[str, ...]
) -> None:
    for number, active in enumerate(rows):
        name = f"Ann {number}"
        instance.add_user(name=name, email="ann@example.com", user_name=name, active=active)
    assert invited(app, "ann@example.com").name == "ann"


@pytest.mark.parametrize("name", ["", "ServiceNow", "ann@example.com", "x" * 81, "\u3164", "Аnn"])
def test_a_name_in_servicenow_that_cannot_be_used_is_passed_over(
    app: FastAPI, instance: Instance, name: str
) -> None:
    instance.add_user(name=name, email="ann@example.com")
    assert invited(app, "ann@example.com").name == "ann"


@pytest.mark.parametrize("fault", ["hibernate", "drop_before", "cut_json", "hang"])
def test_an_account_is_made_whatever_servicenow_answers(
    app: FastAPI, admin: TestClient, instance: Instance, fault: str
) -> None:
    instance.add_user(name="Ann Meier", email="ann@example.com")
    instance.faults.add(fault, times=None, seconds=5)
    answer = admin.post("/admin/users", data={"email": "ann@example.com"})
    instance.faults.clear()
    assert answer.status_code == 200
    assert soup(answer.text).select_one("#reset-url")
    assert named(app, "ann@example.com") == "ann"


def test_servicenow_is_not_asked_while_its_circuit_breaker_is_open(
    app: FastAPI, desk_is_resting: None, instance: Instance
) -> None:
    instance.add_user(name="Ann Meier", email="ann@example.com")
    assert invited(app, "ann@example.com").name == "ann"
    assert not instance.requests


@pytest.fixture
def desk_is_resting(app: FastAPI) -> None:
    services = app.state.services
    settings = app.state.settings.servicenow
    with writing(app.state.engine) as conn:
        for _ in range(5):
            circuit_breaker.note_failure(
                conn, settings.host, kind=Kind.NETWORK, reason="No answer.", now=app.state.now()
            )
    assert services.servicenow.connection.rest()


def test_without_servicenow_it_is_the_part_before_the_at(unconfigured: FastAPI) -> None:
    assert invited(unconfigured, "ann@example.com").name == "ann"


def test_names_that_were_not_given_get_a_number_when_they_are_taken(
    app: FastAPI, instance: Instance
) -> None:
    for number in range(3):
        email = f"ann{number}@example.com"
        instance.add_user(name="Ann Meier", email=email)
        invited(app, email)
    assert [named(app, f"ann{one}@example.com") for one in range(3)] == [
        "Ann Meier",
        "Ann Meier 2",
        "Ann Meier 3",
    ]
    hosts = ("a.example", "b.example")
    assert [invited(app, f"it@{host}").name for host in hosts] == ["it", "it 2"]
    assert invited(app, "servicenow@example.com").name == "User 2"


def test_two_accounts_made_at_once_get_different_names(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    if app.state.engine.dialect.name == "sqlite":
        pytest.skip("one writer at a time")

    def overtaken(_: object, wanted: str) -> str:
        monkeypatch.undo()
        other = Thread(target=account, args=(app, "it@a.example", Role.AGENT))
        other.start()
        other.join()
        return wanted

    monkeypatch.setattr(accounts, "free_name", overtaken)
    assert invited(app, "it@b.example").name == "it 2"


# -- nobody takes another's name ---------------------------------------------------------------

SAME = [
    "Ann Meier",
    "ann meier",
    "ANN MEIER",
    "  Ann\tMeier\n",
    "Ann\u00a0Meier",
    "Ann\u2003\u3000Meier",
    "Ann\u2800Meier",
    "A\u200bnn Me\u200dier",
    "Ann\ufe0f Meier\u2060",
    "\u202eAnn Meier",
    "Ａｎｎ Ｍｅｉｅｒ",
    "𝐀𝐧𝐧 𝐌𝐞𝐢𝐞𝐫",
]


@pytest.mark.parametrize("spelling", SAME)
def test_a_name_is_taken_in_every_spelling(
    app: FastAPI, requester: TestClient, spelling: str
) -> None:
    invited(app, "ann@example.com", "Ann Meier")
    answer = requester.post("/account/profile", data={"display_name": spelling})
    assert answer.status_code == 422
    error = soup(answer.text).select_one("#display_name-error")
    assert error
    assert error.get_text() == "Another account has this name. Enter a different one."
    assert named(app, "requester@example.com") == "requester"


@pytest.mark.parametrize(
    ("one", "other"), [("Straße", "STRASSE"), ("Zo\u00eb", "Zoe\u0308"), ("ﬁona", "Fiona")]
)
def test_letters_that_are_written_in_two_ways_are_the_same(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize("name", ["Ann Meyer", "Anne Meier", "AnnMeier", "Анна", "安妮"])
def test_another_name_is_another(app: FastAPI, name: str) -> None:
    invited(app, "ann@example.com", "Ann Meier")
    assert invited(app, "other@example.com", name).name == name


@pytest.mark.parametrize("spelling", SAME)
def test_the_database_refuses_a_second_one(app: FastAPI, spelling: str) -> None:
    invited(app, "ann@example.com", "Ann Meier")
    other = invited(app, "bea@example.com", "Bea")
    columns = accounts.name_columns(spelling)
    values = {"email": "c@example.com", "password_hash": "!", "role": "agent"}
    for statement in (
        update(users).where(users.c.id == other.id).values(**columns),
        insert(users).values(**values, created_at=utc_now(), **columns),
    ):
        with pytest.raises(IntegrityError), writing(app.state.engine) as conn:
            conn.execute(statement)


def test_the_database_refuses_an_account_without_a_name(app: FastAPI) -> None:
    values = {"email": "c@example.com", "password_hash": "!", "role": "agent"}
    with pytest.raises(IntegrityError), writing(app.state.engine) as conn:
        conn.execute(insert(users).values(**values, created_at=utc_now()))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "\u200b",
        "\u3164",
        "...",
        "x" * (LONGEST_NAME + 1),
        "\ufdfa" * 20,
        "admin@example.com",
        "admin＠example.com",
        "Аdmin",
        "Smart IT Copilot",
        "smart it\u00a0copilot",
        "ServiceNow",
        "STAFF",
    ],
)
def test_a_name_that_misleads_is_refused(app: FastAPI, requester: TestClient, name: str) -> None:
    answer = requester.post("/account/profile", data={"display_name": name})
    assert answer.status_code == 422
    page = soup(answer.text)
    field = page.select_one("#display_name[aria-invalid]")
    assert field
    assert field["value"] == name.replace("\u200b", "").replace("\u3164", "")
    assert page.select_one("#form-errors a[href='#display_name']")
    assert named(app, "requester@example.com") == "requester"


@pytest.mark.parametrize("name", ["Ann Meier", "O'Neil, J.", "Ñandú", "王伟", "أحمد", "R2-D2"])
def test_names_of_all_alphabets_can_be_used(name: str) -> None:
    assert checked_name(name) == name


# -- who changes it ----------------------------------------------------------------------------


def test_people_change_their_own_name(app: FastAPI, requester: TestClient) -> None:
    page = soup(requester.get("/account").text)
    field = page.select_one("#profile-form input[name=display_name]")
    assert field
    assert field["value"] == "requester"
    answer = soup(requester.post("/account/profile", data={"display_name": "Rea Quest"}).text)
    assert answer.select_one("#profile-saved")
    for shown in (answer, soup(requester.get("/").text)):
        link = shown.select_one(".site-user a")
        assert link
        assert link.get_text() == "Rea Quest"
    # The same name in other letters is one's own.
    assert requester.post("/account/profile", data={"display_name": "REA QUEST"}).status_code == 200
    assert named(app, "requester@example.com") == "REA QUEST"


def test_an_admin_names_a_new_account(app: FastAPI, admin: TestClient) -> None:
    form = {"email": "ann@example.com", "name": "Ann Meier", "role": "agent"}
    assert admin.post("/admin/users", data=form).status_code == 200
    assert named(app, "ann@example.com") == "Ann Meier"
    answer = admin.post("/admin/users", data=form | {"email": "bea@example.com"})
    page = soup(answer.text)
    assert answer.status_code == 422
    field, error = page.select_one("#name[aria-invalid]"), page.select_one("#name-error")
    assert field
    assert error
    assert (field["value"], error.get_text()[:15]) == ("Ann Meier", "Another account")
    email = page.select_one("#email")
    assert email
    assert email["value"] == "bea@example.com"


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_an_admin_renames_anybody(app: FastAPI, admin: TestClient, headers: dict[str, str]) -> None:
    ann = invited(app, "ann@example.com", "Ann")
    path = f"/admin/users/{ann.id}/name"
    answer = admin.post(path, data={"name": "Ann Meier"}, headers=headers)
    assert answer.status_code == (200 if headers else 303)
    assert named(app, "ann@example.com") == "Ann Meier"
    row = soup(admin.get("/admin/users").text).select_one(f"#user-{ann.id}")
    assert row
    assert "Ann Meier" in row.get_text()
    assert "ann@example.com" in row.get_text()
    answer = admin.post(path, data={"name": "admin"}, headers=headers)
    page = soup(answer.text)
    assert answer.status_code == 422
    open_details = page.select_one(f"#user-{ann.id} details[open]")
    assert open_details
    assert open_details.select_one(f"#name-{ann.id}[aria-invalid]")
    assert page.select_one(f"#form-errors a[href='#name-{ann.id}']")
    assert admin.post("/admin/users/999/name", data={"name": "No one"}).status_code == 404


# -- accounts from before ----------------------------------------------------------------------


def test_accounts_from_before_are_named_after_their_address(empty_url: str) -> None:
    engine = make_engine(empty_url)
    migrate.upgrade(engine, "0037")
    emails = (
        "it@a.example",
        "IT@b.example",
        "it@c.example",
        "servicenow@d.example",
        "王@e.example",
    )
    with writing(engine) as conn:
        for email in emails:
            conn.execute(
                text(
                    "INSERT INTO users (email, password_hash, role, created_at)"
                    " VALUES (:email, '!', 'agent', '2026-01-01 00:00:00+00:00')"
                ),
                {"email": email},
            )
    migrate.upgrade(engine)
    with reading(engine) as conn:
        found = conn.execute(text("SELECT display_name, name_key FROM users ORDER BY id")).all()
        last = accounts.list_users(conn)
    engine.dispose()
    assert [row[0] for row in found] == ["it", "IT 2", "it 3", "servicenow 2", "User 2"]
    assert [row[1] for row in found] == [name_key(row[0]) for row in found]
    assert len(last) == len(emails)
