"""Forwarded headers: whom they are believed from, and which address of a chain counts."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from app.copilot.engine import TriageEngine
from app.main import create_app
from app.proxies import Proxies, parsed
from app.settings import LOOPBACK, Settings
from tests.conftest import HTMX, SAME_ORIGIN, SignIn, signed_in
from tests.html import find, soup

PROXIES = Proxies([*LOOPBACK, ip_network("10.0.0.0/8")])
TRUSTED = st.sampled_from(["127.0.0.1", "10.1.2.3", "::1", "[::1]:443", "::ffff:10.0.0.9"])
WRITTEN_BY_STRANGERS = st.lists(st.text(st.characters(max_codepoint=255), max_size=20), max_size=5)


@given(invented=WRITTEN_BY_STRANGERS, hops=st.lists(TRUSTED, max_size=4))
def test_what_a_stranger_writes_into_the_chain_never_counts(
    invented: list[str], hops: list[str]
) -> None:
    assert PROXIES.client("10.0.0.1", [*invented, " 203.0.113.7 ", *hops]) == "203.0.113.7"


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        (["203.0.113.7:4711"], "203.0.113.7"),
        (["[2001:db8::7]:4711"], "2001:db8::7"),
        (["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
        (["203.0.113.7", "unknown"], "10.0.0.1"),
        (["203.0.113.7", "unknown", "10.0.0.2"], "10.0.0.2"),
        ([""], "10.0.0.1"),
        (["10.0.0.3", "10.0.0.2"], "10.0.0.3"),
    ],
)
def test_the_rightmost_untrusted_address_counts(chain: list[str], client: str) -> None:
    assert PROXIES.client("10.0.0.1", chain) == client


def test_only_an_address_is_an_address() -> None:
    assert [parsed(text) for text in ("", "testclient", "1.2.3", "[::1", ":", "a:b:c")] == [
        None,
        None,
        None,
        parsed("[::1"),
        None,
        None,
    ]


def tries(app: FastAPI, peer: str, *, chain: str, count: int = 40) -> list[int]:
    """Wrong log-ins for different accounts, the first address of the chain changed each time."""
    browser = TestClient(app, headers=SAME_ORIGIN, client=(peer, 4711))
    return [
        browser.post(
            "/login",
            data={"email": f"person{number}@{chain}.example", "password": "wrong"},
            headers={"X-Forwarded-For": f"192.0.2.{number}, {chain}"},
        ).status_code
        for number in range(count)
    ]


def test_an_invented_address_does_not_escape_the_throttle(app: FastAPI) -> None:
    assert 429 in tries(app, "127.0.0.1", chain="203.0.113.7")


@pytest.mark.slow
def test_people_behind_a_trusted_proxy_are_counted_each(app: FastAPI) -> None:
    for number in range(8):
        assert tries(app, "127.0.0.1", chain=f"203.0.113.{number}", count=5) == [422] * 5


def test_an_untrusted_proxy_is_named_on_the_admin_page_and_in_the_log(
    admin: TestClient, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    assert not soup(admin.get("/admin/users").text).select("#ignored-proxies")
    stranger = TestClient(app, client=("172.16.0.9", 4711))
    for _ in range(3):
        stranger.get("/healthz", headers={"X-Forwarded-Proto": "https"})
    notice = find(soup(admin.get("/admin/users").text), "#ignored-proxies").get_text()
    assert "172.16.0.9" in notice
    assert "TRUSTED_PROXIES" in notice
    told = [record for record in caplog.records if record.name == "app.proxies"]
    assert [record.fields["address"] for record in told] == ["172.16.0.9"]  # type: ignore[attr-defined]
    assert "TRUSTED_PROXIES" in told[0].getMessage()


def test_a_trusted_proxy_is_not_named(admin: TestClient, app: FastAPI) -> None:
    TestClient(app, client=("127.0.0.1", 1)).get("/healthz", headers={"X-Forwarded-For": "1.2.3.4"})
    assert not soup(admin.get("/admin/users").text).select("#ignored-proxies")


@pytest.fixture
def nameless(settings: Settings, triage: TriageEngine, engine: Engine) -> Iterator[FastAPI]:
    """An app that was not told the address people use."""
    made = create_app(replace(settings, public_url=""), load_triage=lambda: triage, engine=engine)
    yield made
    made.state.services.servicenow.close()


@pytest.fixture
def public(settings: Settings, triage: TriageEngine, engine: Engine) -> Iterator[FastAPI]:
    named = replace(settings, public_url="https://desk.example.com")
    made = create_app(named, load_triage=lambda: triage, engine=engine)
    yield made
    made.state.services.servicenow.close()


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("https://desk.example.com", True),
        ("https://desk.example.com:443", True),
        ("https://DESK.example.com", True),
        ("http://desk.example.com", False),
        ("https://desk.example.com:8443", False),
        ("http://testserver", False),
        ("https://desk.example.com.evil.example", False),
        ("https://[bad", False),
    ],
)
def test_origin_and_scheme_are_compared_with_the_public_url(
    public: FastAPI, origin: str, passes: bool
) -> None:
    browser = TestClient(public, headers={"Origin": origin}, follow_redirects=False)
    answer = browser.post("/login", data={"email": "x@example.com", "password": "wrong"})
    assert answer.status_code == (422 if passes else 403)


@pytest.mark.parametrize(
    ("origin", "passes"), [("http://testserver", True), ("https://testserver", False)]
)
def test_without_a_public_url_they_are_compared_with_the_request(
    nameless: FastAPI, origin: str, passes: bool
) -> None:
    browser = TestClient(nameless, headers={"Origin": origin})
    answer = browser.post("/login", data={"email": "x@example.com", "password": "wrong"})
    assert answer.status_code == (422 if passes else 403)


@pytest.mark.parametrize("host", ["evil.example", "testserver", "192.0.2.1"])
def test_a_reset_link_never_takes_its_host_from_the_request(nameless: FastAPI, host: str) -> None:
    admin = signed_in(nameless, "admin")
    new = {"email": "new@example.com", "role": "agent"}
    for path, form in (("/admin/users", new), ("/admin/users/1/reset", {})):
        refused = admin.post(path, data=form, headers={"Host": host})
        assert refused.status_code == 409
        assert "PUBLIC_URL" in refused.text
        assert "/reset/" not in refused.text
    assert "new@example.com" not in admin.get("/admin/users").text


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_on_this_machine_a_reset_link_needs_no_public_url(nameless: FastAPI, host: str) -> None:
    admin = signed_in(nameless, "admin")
    card = soup(admin.post("/admin/users/1/reset", headers={"Host": host, **HTMX}).text)
    assert find(card, "#reset-url").get_text().startswith(f"http://{host}/reset/")


def test_with_a_public_url_links_lead_there(public: FastAPI) -> None:
    admin = signed_in(public, "admin")
    card = soup(admin.post("/admin/users/1/reset", headers={"Host": "evil.example", **HTMX}).text)
    assert find(card, "#reset-url").get_text().startswith("https://desk.example.com/reset/")


def test_a_final_slash_leads_to_the_path_and_to_no_other_host(sign_in: SignIn) -> None:
    agent = sign_in("agent")
    moved = agent.get("/tickets/?status=open", headers={"Host": "evil.example"})
    assert (moved.status_code, moved.headers["Location"]) == (307, "/tickets?status=open")
    for path in ("//evil.example/", "/nosuch/", "//tickets/", "/static/"):
        assert agent.get(f"http://testserver{path}").status_code == 404
