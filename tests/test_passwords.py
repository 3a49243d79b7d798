"""Which passwords are refused, and that no rule asks for digits or signs."""

from contextlib import suppress

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from app.demo.run import ACCOUNTS
from app.errors import Invalid, SettingsError
from app.models.accounts import Role
from app.security import new_password
from app.services.accounts.passwords import checked_password
from app.services.accounts.service import AccountService
from tests.conftest import PASSWORD

EMAIL = "anna.schmidt@contoso.example"
GUESSED = (
    *("1234567890", "0123456789", "9876543210", "password12", "Password12!", "P@ssw0rd2026"),
    *("passwordpassword", "aaaaaaaaaaaa", "1212121212", "abcdefghij", "qwertyuiop", "qwertzuiop"),
    *(
        "1qaz2wsx3edc",
        "iloveyou2024",
        "Summer2026!",
        "Willkommen1",
        "passwort123",
        "trustno1trustno1",
    ),
    *(
        "Password1234567890",
        "!!letmein!!",
        "m0nkey123456",
        "          ",
        "..........",
        "ＰＡＳＳＷＯＲＤ12",
    ),
    *("P@ssword123", "Pa$$word2025!", "$ummer2026", "$un5hine1234", "!l0veyou99"),
)
OWN = (
    *(EMAIL, EMAIL.upper(), "anna.schmidt", "Schmidt2026!", "annaschmidt1", "Anna_Schmidt_99"),
    *(
        "contoso123",
        "contoso.example",
        "anna@contoso",
        "Servicenow1!",
        "copilot2026",
        "smartcopilot",
    ),
)
GOOD = (
    *("correct horse battery", "a much better password", "kaffee tasse regen", "xk3qv9zt2m"),
    *(
        "zzz-trees-over-water",
        "грустный зелёный чай",
        "長い秘密の言葉を使う人",
        "anna likes green tea",
    ),
)


@pytest.mark.parametrize("password", [*GUESSED, *OWN])
def test_what_is_guessed_first_is_refused(password: str) -> None:
    with pytest.raises(Invalid) as caught:
        checked_password(password, email=EMAIL, field="new")
    assert list(caught.value.fields) == ["new"]


@pytest.mark.parametrize("password", GOOD)
def test_no_rule_asks_for_digits_or_signs(password: str) -> None:
    assert checked_password(password, email=EMAIL) == password


@pytest.mark.parametrize(("email", "password", "role"), ACCOUNTS)
def test_the_accounts_of_the_demo_may_have_theirs(email: str, password: str, role: Role) -> None:
    assert checked_password(password, email=email)


@given(st.text(min_size=10, max_size=40), st.emails())
def test_any_text_is_a_password_or_refused(password: str, email: str) -> None:
    with suppress(Invalid):
        assert checked_password(password, email=email) == password


@given(st.builds(new_password))
def test_one_that_was_made_may_be_used(password: str) -> None:
    assert checked_password(password, email=EMAIL)


def test_every_way_to_set_one_checks_it(agent: TestClient, admin: TestClient) -> None:
    for password in ("1234567890", "agent@example.com"):
        changed = {"current": PASSWORD, "new": password}
        assert agent.post("/account/password", data=changed).status_code == 422
    accounts: AccountService = agent.app.state.services.accounts  # type: ignore[attr-defined]
    user = accounts.user_by_email("agent@example.com")
    reset = f"/reset/{accounts.reset_token(user.id)}"
    for password in ("1234567890", "agent@example.com"):
        assert agent.post(reset, data={"password": password}).status_code == 422
    with pytest.raises(Invalid):
        accounts.create_user("new@example.com", Role.AGENT, "password12")


def test_the_first_admin_is_told_which_variable_is_wrong(app: object) -> None:
    accounts: AccountService = app.state.services.accounts  # type: ignore[attr-defined]
    with pytest.raises(SettingsError, match="ADMIN_PASSWORD: This password is easy to guess"):
        accounts.ensure_admin("boss@example.com", "password12")
    with pytest.raises(SettingsError, match="ADMIN_EMAIL"):
        accounts.ensure_admin("boss", PASSWORD)
