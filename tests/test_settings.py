"""Settings: every variable is told of, a bad one is named, a secret never shown."""

import os
import re
from itertools import pairwise
from pathlib import Path

import pytest

from app.__main__ import main
from app.errors import SettingsError
from app.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
BASIC = {
    "SN_INSTANCE_URL": "https://acme.service-now.com",
    "SN_AUTH_TYPE": "basic",
    "SN_USERNAME": "copilot",
    "SN_PASSWORD": "canary-password",
}


def variables_read() -> set[str]:
    source = (ROOT / "app" / "settings.py").read_text(encoding="utf-8")
    return set(re.findall(r'\(env, "([A-Z_]+)"', source)) | {"SECRET_KEY", "TIME_ZONE"}


def variables_told() -> set[str]:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return set(re.findall(r"^([A-Z_]+)=", text, re.MULTILINE))


def test_the_example_names_every_variable_and_no_other() -> None:
    assert variables_told() == variables_read()


def test_every_variable_of_the_example_has_a_line_of_its_own() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    for above, line in pairwise(lines):
        if re.match(r"[A-Z_]+=", line):
            assert above.startswith("# "), f"{line} is not explained"


def test_the_example_itself_can_be_used() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    pairs = re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE)
    assert Settings.from_env(dict(pairs)).servicenow.missing


def test_nothing_at_all_is_enough_to_start() -> None:
    settings = Settings.from_env({})
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.servicenow.missing == ("SN_INSTANCE_URL", "SN_USERNAME", "SN_PASSWORD")


@pytest.mark.parametrize(
    ("env", "missing"),
    [
        (BASIC, ()),
        (BASIC | {"SN_PASSWORD": ""}, ("SN_PASSWORD",)),
        (BASIC | {"SN_AUTH_TYPE": "oauth"}, ("SN_CLIENT_ID", "SN_CLIENT_SECRET")),
        (
            BASIC | {"SN_AUTH_TYPE": "oauth", "SN_CLIENT_ID": "a", "SN_CLIENT_SECRET": "b"},
            (),
        ),
    ],
)
def test_half_set_variables_are_named(env: dict[str, str], missing: tuple[str, ...]) -> None:
    assert Settings.from_env(env).servicenow.missing == missing


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("SN_AUTH_TYPE", "kerberos"),
        ("SN_INSTANCE_URL", "http://acme.service-now.com"),
        ("SN_INSTANCE_URL", "acme"),
        ("SN_INSTANCE_URL", "https://user:secret@acme.service-now.com"),
        ("SN_READ_ONLY", "maybe"),
        ("SN_TIMEOUT_SECONDS", "nan"),
        ("SN_DEFAULT_CALLER_SYSID", "abel"),
        ("SECRET_KEY", "short"),
        ("TIME_ZONE", "Mars/Olympus"),
        ("PUBLIC_URL", "desk"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({name: value})
    assert caught.value.message.startswith(name)
    assert "secret" not in caught.value.message


def test_plain_http_is_for_this_machine_only() -> None:
    settings = Settings.from_env({"SN_INSTANCE_URL": "http://127.0.0.1:8081"})
    assert settings.servicenow.instance_url == "http://127.0.0.1:8081"


def test_secrets_are_not_in_a_repr() -> None:
    env = BASIC | {
        "SN_CLIENT_SECRET": "canary-client",
        "SN_REFRESH_TOKEN": "canary-refresh",
        "SECRET_KEY": "canary-secret-key",
        "ADMIN_PASSWORD": "canary-admin",
        "DATABASE_URL": "postgresql://desk:canary-db@127.0.0.1/desk",
    }
    assert "canary" not in repr(Settings.from_env(env))


DATABASES = "DATABASE_URL must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME."


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "eighty", "PORT must be a number."),
        (
            "DATABASE_URL",
            "postgresql://desk:canary@127.0.0.1:9/desk",
            "DATABASE_URL: the PostgreSQL server at 127.0.0.1:9 refused the connection. "
            "Check host and port, and that it runs.",
        ),
        ("DATABASE_URL", "nonsense", DATABASES),
        ("DATABASE_URL", "mysql://x/y", DATABASES),
        ("DATABASE_URL", "sqlite://", DATABASES),
        ("SN_CA_FILE", "nosuch.pem", "SN_CA_FILE must be a certificate file (PEM)."),
    ],
)
def test_a_bad_setting_stops_the_start_with_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in variables_told() & set(os.environ):
        monkeypatch.delenv(variable)
    for variable, text in (BASIC | {"DATABASE_URL": "sqlite:///desk.db"} | {name: value}).items():
        monkeypatch.setenv(variable, text)
    assert main([]) == 2
    assert capsys.readouterr().err.strip() == said


LLM = {
    "LLM_BASE_URL": "https://api.example.com/v1",
    "LLM_MODEL": "small",
    "LLM_API_KEY": "canary-llm-key",
}


@pytest.mark.parametrize(
    ("env", "missing"),
    [
        ({}, ()),
        (LLM, ()),
        (LLM | {"LLM_API_KEY": ""}, ("LLM_API_KEY",)),
        (LLM | {"LLM_API_KEY": "", "LLM_BASE_URL": "http://127.0.0.1:11434/v1"}, ()),
        ({"LLM_MODEL": "small"}, ("LLM_BASE_URL", "LLM_API_KEY")),
    ],
)
def test_a_language_model_is_on_when_nothing_is_missing(
    env: dict[str, str], missing: tuple[str, ...]
) -> None:
    llm = Settings.from_env(env).llm
    assert llm.missing == missing
    assert llm.configured is bool(env and not missing)
    assert "canary" not in repr(llm)


def test_a_language_model_elsewhere_is_asked_over_https_only() -> None:
    with pytest.raises(SettingsError, match="LLM_BASE_URL must use HTTPS"):
        Settings.from_env(LLM | {"LLM_BASE_URL": "http://api.example.com/v1"})
