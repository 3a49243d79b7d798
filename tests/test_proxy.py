"""The way out through a company's proxy: who is asked through it, and what its refusal says."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from app.errors import Kind, LanguageModelError, ServiceNowUnavailable, SettingsError
from app.integrations.llm_client import LLMClient
from app.integrations.servicenow_client import ServiceNowClient
from app.settings import ProxySettings, Settings
from app.simulator import Instance, RunningSimulator
from app.wiring import make_client
from tests.language_model import LanguageModel
from tests.recording_proxy import CERTIFICATE, RecordingProxy

CANARY = "canary-2b9f"
BASIC = "Basic ZGVzazpjYW5hcnktMmI5Zg=="  # desk:canary-2b9f


@pytest.fixture
def proxy(running_simulator: RunningSimulator, instance: Instance) -> Iterator[RecordingProxy]:
    made = RecordingProxy(int(running_simulator.url.rsplit(":", 1)[1]))
    yield made
    made.close()


def client_through(address: str, *, auth_type: str = "basic") -> ServiceNowClient:
    """A client of https://instance.test that is told of the proxy by the environment."""
    env = {
        "SN_INSTANCE_URL": "https://instance.test",
        "SN_TOKEN_URL": "https://login.instance.test/oauth_token.do",
        "SN_AUTH_TYPE": auth_type,
        "SN_USERNAME": "copilot",
        "SN_PASSWORD": "copilot-secret",
        "SN_CLIENT_ID": "copilot-client",
        "SN_CLIENT_SECRET": "client-secret",
        "SN_CA_FILE": str(CERTIFICATE),
        "SN_TIMEOUT_SECONDS": "20",
        "HTTPS_PROXY": address,
    }
    settings = Settings.from_env(env)
    client = make_client(
        settings.servicenow, now=lambda: datetime.now(UTC), proxy_for=settings.proxy.for_url
    )
    assert client is not None
    return client


@pytest.mark.parametrize("auth_type", ["basic", "oauth"])
def test_instance_and_token_endpoint_are_reached_through_the_proxy(
    proxy: RecordingProxy, instance: Instance, auth_type: str
) -> None:
    client = client_through(f"http://desk:{CANARY}@{proxy.host}", auth_type=auth_type)
    assert client.create_incident({"short_description": "Mail is down"})["number"]
    client.close()
    hosts = ["login.instance.test:443"] if auth_type == "oauth" else []
    assert proxy.asked == [(host, BASIC) for host in (*hosts, "instance.test:443")]
    assert len(instance.incidents) == 1


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (407, "it wants a user name and password"),
        (403, "refused the connection to ServiceNow (HTTP 403)"),
        (502, "refused the connection to ServiceNow (HTTP 502)"),
        (None, "Cannot reach the proxy for ServiceNow"),
    ],
)
@pytest.mark.parametrize("auth_type", ["basic", "oauth"])
def test_what_the_proxy_refuses_was_not_sent_and_has_its_own_sentence(
    proxy: RecordingProxy,
    instance: Instance,
    caplog: pytest.LogCaptureFixture,
    refusal: int | None,
    words: str,
    auth_type: str,
) -> None:
    caplog.set_level("DEBUG")
    proxy.refusal = refusal
    host = proxy.host if refusal else "127.0.0.1:9"
    client = client_through(f"http://desk:{CANARY}@{host}", auth_type=auth_type)
    with pytest.raises(ServiceNowUnavailable) as caught:
        client.create_incident({"short_description": "Mail is down"})
    client.close()
    error = caught.value
    assert error.kind is Kind.NETWORK
    assert words in error.message
    assert "PROXY" in error.hint
    assert not instance.incidents
    told = [error.message, error.hint, str(error.details), repr(error), repr(client)]
    told += [record.getMessage() + str(vars(record)) for record in caplog.records]
    assert not [text for text in told if CANARY in text or BASIC in text]


def test_the_language_model_is_reached_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    model = LanguageModel()
    proxy = RecordingProxy(int(model.url.removesuffix("/v1").rsplit(":", 1)[1]))
    way = ProxySettings(url=f"http://desk:{CANARY}@{proxy.host}")
    client = LLMClient(
        base_url="https://model.test/v1", model="m", seconds=20, proxy_for=way.for_url
    )
    assert client.complete([{"role": "user", "content": "Hello"}]) == "Fine."
    assert proxy.asked == [("model.test:443", BASIC)]
    client.close()
    proxy.refusal = 403
    client = LLMClient(
        base_url="https://model.test/v1", model="m", seconds=20, proxy_for=way.for_url
    )
    with pytest.raises(LanguageModelError, match="proxy refused the connection") as caught:
        client.complete([])
    assert CANARY not in repr(caught.value) + caught.value.hint
    for one in (client, proxy, model):
        one.close()


# -- the variables -----------------------------------------------------------------------------

PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    "env",
    [
        {"HTTPS_PROXY": PROXY},
        {"https_proxy": PROXY},
        {"ALL_PROXY": PROXY},
        {"all_proxy": PROXY, "HTTPS_PROXY": ""},
        {"HTTPS_PROXY": "proxy.example.com:3128"},
        {"HTTPS_PROXY": PROXY, "ALL_PROXY": "http://another.example.com"},
    ],
)
def test_the_usual_variables_name_the_proxy(env: dict[str, str]) -> None:
    assert Settings.from_env(env).proxy.for_url("https://acme.service-now.com/api") == PROXY


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("", "https://acme.service-now.com", False),
        ("acme.service-now.com", "https://acme.service-now.com", True),
        ("ACME.service-now.com", "https://Acme.Service-Now.com", True),
        ("service-now.com", "https://acme.service-now.com", True),
        (".service-now.com", "https://acme.service-now.com", True),
        ("*.service-now.com", "https://acme.service-now.com", True),
        ("now.com", "https://acme.service-now.com", False),
        ("other.com, acme.service-now.com", "https://acme.service-now.com", True),
        ("other.com acme.service-now.com", "https://acme.service-now.com", True),
        ("acme.service-now.com:443", "https://acme.service-now.com", True),
        ("acme.service-now.com:8443", "https://acme.service-now.com", False),
        ("*", "https://acme.service-now.com", True),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.1.2.3", "https://10.1.2.3", True),
        ("fd00::/8", "https://[fd00::1]:8443", True),
        ("", "http://127.0.0.1:11434/v1", True),
        ("", "http://localhost:8000", True),
        ("", "http://[::1]:8000", True),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_hosts_that_need_no_proxy_are_asked_straight(
    name: str, no_proxy: str, url: str, direct: bool
) -> None:
    settings = Settings.from_env({"HTTPS_PROXY": PROXY, name: no_proxy})
    assert settings.proxy.for_url(url) == ("" if direct else PROXY)


@pytest.mark.parametrize(
    "value",
    [
        f"socks5://desk:{CANARY}@proxy.example.com",
        f"https://desk:{CANARY}@proxy.example.com",
        f"http://desk:{CANARY}@proxy.example.com:many",
        f"http://desk:{CANARY}@",
        f"http://[desk:{CANARY}",
    ],
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        Settings.from_env({name: value})
    assert CANARY not in repr(caught.value)


def test_the_password_of_a_proxy_is_not_in_a_repr() -> None:
    settings = Settings.from_env({"HTTPS_PROXY": f"http://desk:{CANARY}@proxy.example.com"})
    assert CANARY not in repr(settings)
