"""python -m app: start the app, run the demo, create accounts, measure triage accuracy."""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from dotenv import dotenv_values

from app.errors import AppError
from app.models.accounts import Role, Scope
from app.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers the exit status. A bad setting is one sentence on stderr."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.from_env({**_dotenv(), **os.environ})
        status: int = options.run(settings, options)
    except AppError as exc:
        print(exc.message, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return status


def _dotenv() -> dict[str, str]:
    return {name: value for name, value in dotenv_values(".env").items() if value is not None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    parser.set_defaults(run=serve)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    commands.add_parser("serve", help="start the app (the default)").set_defaults(run=serve)
    demo = commands.add_parser(
        "demo", help="start the app with a simulated ServiceNow and sample data"
    )
    demo.add_argument(
        "--reset", action="store_true", help="delete the demo data and create it again"
    )
    demo.set_defaults(run=run_demo)
    user = commands.add_parser("create-user", help="create an account")
    user.add_argument("email")
    user.add_argument(
        "--name", default="", help="as pages show it; else from ServiceNow or the e-mail address"
    )
    user.add_argument("--role", choices=[role.value for role in Role], required=True)
    user.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input"
    )
    user.set_defaults(run=create_user)
    token = commands.add_parser("create-token", help="create an API token and print only the token")
    token.add_argument("email")
    token.add_argument("--name", required=True)
    token.add_argument("--scope", choices=[scope.value for scope in Scope], default="admin")
    token.add_argument("--days", type=int, default=0, help="0: it does not expire")
    token.set_defaults(run=create_token)
    _add_evaluate(commands)
    return parser


def _add_evaluate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    evaluate = commands.add_parser("evaluate", help="measure triage accuracy on a CSV export")
    evaluate.add_argument("file", type=Path, metavar="FILE.csv[.gz]")
    evaluate.add_argument("--text", required=True, metavar="COLUMN[,COLUMN]")
    evaluate.add_argument("--label", required=True, metavar="COLUMN")
    evaluate.add_argument("--json", action="store_true", help="print the metrics as JSON")
    evaluate.add_argument(
        "--learning-curve", action="store_true", help="also measure with smaller training sets"
    )
    evaluate.set_defaults(run=run_evaluate)


def serve(settings: Settings, _options: argparse.Namespace) -> int:
    """Migrate, make the first admin if there is nobody, and listen."""
    from app.main import create_app
    from app.server import listen

    app = create_app(settings)
    accounts = app.state.services.accounts
    password = accounts.ensure_admin(settings.admin_email, settings.admin_password)
    if password:
        email = settings.admin_email or "admin@localhost"
        print(f"First administrator: {email}, password {password} (shown only once)", flush=True)
    return listen(app, settings)


def run_demo(settings: Settings, options: argparse.Namespace) -> int:
    """The app and a simulated instance on loopback, with sample data."""
    from app.demo.run import run

    return run(settings, reset=bool(options.reset))


def create_user(settings: Settings, options: argparse.Namespace) -> int:
    """Make an account; a generated password is printed once."""
    from app.main import offline_services

    password = sys.stdin.readline().rstrip("\r\n") if options.password_stdin else None
    with offline_services(settings) as services:
        role = Role(options.role)
        user, generated = services.accounts.create_user(
            options.email, role, password, name=options.name
        )
    print(f"{user.email} ({user.role})" + (f", password {generated}" if generated else ""))
    return 0


def create_token(settings: Settings, options: argparse.Namespace) -> int:
    """Make an API token; standard output is the token alone."""
    from app.main import offline_services

    with offline_services(settings) as services:
        accounts = services.accounts
        owner = accounts.user_by_email(options.email)
        lasts = timedelta(days=max(0, options.days)) or None
        _, secret = accounts.create_token(
            owner, options.name, scope=Scope(options.scope), lasts=lasts
        )
    print(secret)
    return 0


def run_evaluate(_settings: Settings, options: argparse.Namespace) -> int:
    """Figures on standard output, progress on standard error."""
    from app.copilot.evaluation.export import read_export
    from app.copilot.evaluation.measure import evaluate
    from app.copilot.evaluation.report import as_json, as_text

    def say(sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    say(f"Reading {options.file} ...")
    columns = [column.strip() for column in options.text.split(",") if column.strip()]
    export = read_export(options.file, text=columns, label=options.label.strip())
    found = evaluate(export, learning_curve=options.learning_curve, say=say)
    print(as_json(found) if options.json else as_text(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
