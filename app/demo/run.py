"""python -m app demo: the app and a simulated instance, both on loopback."""

import json
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path

from app.db.engine import utc_now
from app.db.files import private_folder
from app.demo import sample
from app.errors import SettingsError
from app.main import create_app, kept_secret, offline_services
from app.models.accounts import Role
from app.server import listen
from app.settings import ServiceNowSettings, Settings
from app.simulator import Instance, RunningSimulator
from app.simulator.sample import fill as fill_instance
from app.web import ROOT

ACCOUNTS = (
    ("agent@example.com", "agent-of-the-demo", Role.AGENT),
    ("admin@example.com", "admin-of-the-demo", Role.ADMIN),
    ("requester@example.com", "requester-of-the-demo", Role.REQUESTER),
)
TICKETS = 200
INCIDENTS = 1500
SAVE_SECONDS = 2.0


def run(settings: Settings, *, reset: bool, folder: Path = ROOT / "demo-data") -> int:
    """Serve until told to stop; the demo's data stay in `folder`. Answers the exit status."""
    if reset:
        shutil.rmtree(folder, ignore_errors=True)
    private_folder(folder)
    keeper = Keeper(folder / "instance.json")
    fresh = not keeper.load()
    try:
        simulator = RunningSimulator(keeper.instance, port=settings.port and settings.port + 1)
    except OSError:
        port = settings.port + 1
        raise SettingsError(
            f"PORT={settings.port} cannot be used: the demo's instance needs port {port}, "
            "which is taken."
        ) from None
    with simulator:
        settings = demo_settings(settings, folder, simulator.url)
        if fresh:
            print("Creating sample data (about 20 seconds) ...", flush=True)
            make_sample(settings, keeper.instance, folder)
            keeper.save()
        app = create_app(settings)
        app.state.demo_accounts = ACCOUNTS
        _say(simulator.url)
        keeper.start()
        try:
            return listen(app, settings)
        finally:
            keeper.save()


def demo_settings(settings: Settings, folder: Path, url: str) -> Settings:
    """The settings of the demo: its own database, secret and instance."""
    return replace(
        settings,
        demo=True,
        database_url=f"sqlite:///{folder / 'desk.db'}",
        secret_key=kept_secret(folder / "secret_key"),
        servicenow=ServiceNowSettings(
            instance_url=url,
            auth_type="basic",
            username="copilot",
            password="copilot-secret",
            pull_seconds=60,
        ),
    )


def make_sample(
    settings: Settings,
    instance: Instance,
    folder: Path,
    *,
    tickets: int = TICKETS,
    incidents: int = INCIDENTS,
) -> None:
    """Fill an empty instance and an empty desk."""
    for path in folder.glob("desk.db*"):
        path.unlink()
    now = utc_now()
    fill_instance(instance, count=incidents, now=now)
    clock = sample.PastClock(now)
    for email, _, role in ACCOUNTS:
        instance.add_user(name=f"Demo {role.capitalize()}", email=email)
    with offline_services(settings, now=clock) as services:
        staff = sample.make_people(services, ACCOUNTS)
        desk = sample.Desk(services, instance, clock, staff)
        sample.fill(desk, count=tickets, now=now)
    # The instance has just limited the requests of the first client; this one may go on.
    with offline_services(settings, now=clock) as services:
        services.servicenow.imports.start(by=staff[0].email, limit=incidents * 2)
        services.servicenow.imports.run_due()
        services.servicenow.connection.test()


def _say(url: str) -> None:
    print(f"Simulated ServiceNow is running at {url}", flush=True)
    print("Demo accounts:", flush=True)
    for email, password, role in ACCOUNTS:
        print(f"  {role:<10} {email:<24} {password}", flush=True)
    sys.stdout.flush()


class Keeper:
    """Keeps the simulated instance in a file, so that a demo goes on where it was."""

    def __init__(self, path: Path) -> None:
        self.instance = Instance()
        self._path = path
        self._saved = -1

    def load(self) -> bool:
        """True when there was an instance to go on with."""
        try:
            state = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        self.instance.restore(state)
        self._saved = self.instance.revision
        return True

    def save(self) -> None:
        """Write the instance down if it changed."""
        revision = self.instance.revision
        if revision == self._saved:
            return
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps(self.instance.saved()), encoding="utf-8")
        beside.replace(self._path)
        self._saved = revision

    def start(self) -> None:
        """Save now and then, in the background."""
        threading.Thread(target=self._run, name="keeper", daemon=True).start()

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(SAVE_SECONDS):
            self.save()
