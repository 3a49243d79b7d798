"""The environment, read once. A bad value is named, a secret is never shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from app.errors import SettingsError
from app.models.time_zones import find_zone

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off"}
DEFAULT_DATABASE = "sqlite:///data/desk.db"
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@dataclass(frozen=True, slots=True)
class ServiceNowSettings:
    """The connection; usable when `missing` is empty. Secrets stay out of `repr`."""

    instance_url: str = ""
    auth_type: str = "basic"
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    client_id: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    token_url: str = ""
    assignment_group: str = ""
    caller: str = ""
    close_code: str = ""
    timeout_seconds: float = 15
    bulk_timeout_seconds: float = 65
    max_answer_mb: float = 16
    ca_file: str = ""
    read_only: bool = False
    retry_seconds: float = 60
    settle_seconds: float = 75
    pull_seconds: float = 0

    @property
    def host(self) -> str:
        return urlsplit(self.instance_url).netloc

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the variables without which ServiceNow cannot be asked."""
        needed = {"SN_INSTANCE_URL": self.instance_url}
        if self.auth_type == "basic":
            needed |= {"SN_USERNAME": self.username, "SN_PASSWORD": self.password}
        else:
            needed |= {"SN_CLIENT_ID": self.client_id, "SN_CLIENT_SECRET": self.client_secret}
            if bool(self.username) != bool(self.password) and not self.refresh_token:
                needed |= {"SN_USERNAME": self.username, "SN_PASSWORD": self.password}
        return tuple(name for name, value in needed.items() if not value)

    @property
    def configured(self) -> bool:
        return not self.missing


@dataclass(frozen=True, slots=True)
class LanguageModelSettings:
    """A chat endpoint for drafts; wanted when anything is set, usable when nothing is missing."""

    base_url: str = ""
    model: str = ""
    api_key: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the variables without which drafting stays off; none when all are empty."""
        needed = {"LLM_BASE_URL": self.base_url, "LLM_MODEL": self.model}
        if not _loopback(urlsplit(self.base_url).hostname or ""):
            needed["LLM_API_KEY"] = self.api_key
        wanted = self.base_url or self.model or self.api_key
        return tuple(name for name, value in needed.items() if wanted and not value)

    @property
    def configured(self) -> bool:
        return bool(self.base_url) and not self.missing


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The way out of the company's network; `direct` lists the hosts that need none."""

    url: str = field(default="", repr=False)
    direct: tuple[str, ...] = ()

    def for_url(self, url: str) -> str:
        """The proxy for an address, "" for none. This machine is never asked through one."""
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        if _loopback(host) or any(_covers(entry, host, parts.port) for entry in self.direct):
            return ""
        return self.url


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the app is told from outside."""

    servicenow: ServiceNowSettings = field(default_factory=ServiceNowSettings)
    llm: LanguageModelSettings = field(default_factory=LanguageModelSettings)
    proxy: ProxySettings = field(default_factory=ProxySettings)
    database_url: str = field(default=DEFAULT_DATABASE, repr=False)
    secret_key: str = field(default="", repr=False)
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = ""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = LOOPBACK
    session_idle_hours: float = 12
    time_zone: str = "UTC"
    worker_seconds: float = 5
    history_days: float = 90
    log_format: str = "auto"
    admin_email: str = ""
    admin_password: str = field(default="", repr=False)
    demo: bool = False

    def link_base(self, seen: str) -> str:
        """Where links lead: PUBLIC_URL, else the address `seen` by a request to this machine.

        Empty for a request to another host, which anyone may name.
        """
        return self.public_url or (seen if _loopback(urlsplit(seen).hostname or "") else "")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read every variable of .env.example. Raises SettingsError naming the bad one."""
        return cls(
            servicenow=_servicenow(env),
            llm=LanguageModelSettings(
                base_url=_url(env, "LLM_BASE_URL", path=True),
                model=_text(env, "LLM_MODEL"),
                api_key=_text(env, "LLM_API_KEY"),
            ),
            proxy=ProxySettings(
                url=_proxy(env, "HTTPS_PROXY") or _proxy(env, "ALL_PROXY"),
                direct=tuple(_either_case(env, "NO_PROXY").replace(",", " ").split()),
            ),
            database_url=_text(env, "DATABASE_URL") or DEFAULT_DATABASE,
            secret_key=_secret_key(env),
            host=_text(env, "HOST") or "127.0.0.1",
            port=int(_number(env, "PORT", default=8000, least=0, most=65535)),
            public_url=_url(env, "PUBLIC_URL", any_http=True),
            trusted_proxies=_networks(env, "TRUSTED_PROXIES") or LOOPBACK,
            session_idle_hours=_number(env, "SESSION_IDLE_HOURS", default=12, most=336),
            time_zone=_time_zone(env),
            worker_seconds=_number(env, "WORKER_SECONDS", default=5, least=0.05, most=3600),
            history_days=_number(env, "HISTORY_DAYS", default=90, least=1, most=3650),
            log_format=_log_format(env),
            admin_email=_text(env, "ADMIN_EMAIL"),
            admin_password=_text(env, "ADMIN_PASSWORD"),
        )


def _servicenow(env: Mapping[str, str]) -> ServiceNowSettings:
    instance = _url(env, "SN_INSTANCE_URL")
    auth_type = _text(env, "SN_AUTH_TYPE").lower() or "basic"
    if auth_type not in ("basic", "oauth"):
        raise SettingsError("SN_AUTH_TYPE must be basic or oauth.")
    return ServiceNowSettings(
        instance_url=instance,
        auth_type=auth_type,
        username=_text(env, "SN_USERNAME"),
        password=_text(env, "SN_PASSWORD"),
        client_id=_text(env, "SN_CLIENT_ID"),
        client_secret=_text(env, "SN_CLIENT_SECRET"),
        refresh_token=_text(env, "SN_REFRESH_TOKEN"),
        token_url=_url(env, "SN_TOKEN_URL", path=True)
        or (f"{instance}/oauth_token.do" if instance else ""),
        assignment_group=_sys_id(env, "SN_DEFAULT_ASSIGNMENT_GROUP_SYSID"),
        caller=_sys_id(env, "SN_DEFAULT_CALLER_SYSID"),
        close_code=_text(env, "SN_DEFAULT_CLOSE_CODE"),
        timeout_seconds=_number(env, "SN_TIMEOUT_SECONDS", default=15, least=0.1, most=120),
        bulk_timeout_seconds=_number(env, "SN_BULK_TIMEOUT_SECONDS", default=65, most=600),
        max_answer_mb=_number(env, "SN_MAX_ANSWER_MB", default=16, least=1, most=1024),
        ca_file=_text(env, "SN_CA_FILE"),
        read_only=_flag(env, "SN_READ_ONLY", default=False),
        retry_seconds=_number(env, "SN_RETRY_SECONDS", default=60, least=0.05, most=86400),
        settle_seconds=_number(env, "SN_SETTLE_SECONDS", default=75, least=0.05, most=86400),
        pull_seconds=_number(env, "SN_PULL_SECONDS", default=0, least=0, most=86400),
    )


def _text(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "").strip()
    if not value.isprintable():
        raise SettingsError(f"{name} contains a character that cannot be printed.")
    return value


def _flag(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = _text(env, name).lower()
    if not value:
        return default
    if value not in TRUE | FALSE:
        raise SettingsError(f"{name} must be on or off.")
    return value in TRUE


def _number(
    env: Mapping[str, str], name: str, *, default: float, least: float = 0.1, most: float
) -> float:
    value = _text(env, name)
    if not value:
        return default
    try:
        number = float(value)
    except ValueError:
        raise SettingsError(f"{name} must be a number.") from None
    if not least <= number <= most:
        raise SettingsError(f"{name} must be between {least:g} and {most:g}.")
    return number


def _url(env: Mapping[str, str], name: str, *, path: bool = False, any_http: bool = False) -> str:
    """An origin, or with `path` a full address. Plain http is for loopback, or for `any_http`."""
    value = _text(env, name).rstrip("/")
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise SettingsError(f"{name} must be a web address.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{name} must start with https:// and contain a host name.")
    if parts.username or parts.password:
        raise SettingsError(f"{name} must not contain a user name or password.")
    if (parts.path and not path) or parts.query or parts.fragment:
        raise SettingsError(f"{name} must not contain a path, ? or #.")
    if parts.scheme == "http" and not any_http and not _loopback(parts.hostname):
        raise SettingsError(f"{name} must use HTTPS. HTTP is allowed on this machine only.")
    return value


def _networks(env: Mapping[str, str], name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Addresses and networks, separated by commas."""
    named = [part.strip() for part in _text(env, name).split(",") if part.strip()]
    try:
        return tuple(ip_network(part) for part in named)
    except ValueError:
        raise SettingsError(
            f"{name} must hold IP addresses or networks, such as 10.0.0.0/8."
        ) from None


def _either_case(env: Mapping[str, str], name: str) -> str:
    """Proxy variables are written in small letters as often as in capitals."""
    return _text(env, name) or _text(env, name.lower())


def _proxy(env: Mapping[str, str], name: str) -> str:
    """An http address, with user name and password where the proxy wants them."""
    value = _either_case(env, name)
    if not value:
        return ""
    value = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise SettingsError(f"{name} must be a web address.") from None
    if parts.scheme != "http" or not parts.hostname:
        raise SettingsError(f"{name} must start with http:// and name a host.")
    return value


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY speaks of a host: *, a name, a domain, an address, a network."""
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        pass
    name, _, wanted_port = entry.lower().partition(":")
    if wanted_port and wanted_port != str(port or 443):
        return False
    name = name.removeprefix("*").removeprefix(".")
    return not name or host == name or host.endswith(f".{name}")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _sys_id(env: Mapping[str, str], name: str) -> str:
    value = _text(env, name)
    if value and (len(value) != 32 or not value.isalnum() or not value.isascii()):
        raise SettingsError(f"{name} must be a sys_id: 32 hexadecimal digits.")
    return value


def _secret_key(env: Mapping[str, str]) -> str:
    value = _text(env, "SECRET_KEY")
    if value and len(value) < 16:
        raise SettingsError("SECRET_KEY must have at least 16 characters.")
    return value


def _log_format(env: Mapping[str, str]) -> str:
    value = _text(env, "LOG_FORMAT").lower() or "auto"
    if value not in ("auto", "json", "text"):
        raise SettingsError("LOG_FORMAT must be auto, json or text.")
    return value


def _time_zone(env: Mapping[str, str]) -> str:
    value = _text(env, "TIME_ZONE") or "UTC"
    if find_zone(value) is None:
        raise SettingsError("TIME_ZONE must be a known time zone, such as Europe/Berlin.")
    return value
