"""Pulls, as JSON and as a form. Times are ISO 8601 UTC."""

from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from app.models.sync_runs import SyncRun
from app.schemas.servicenow import utc
from app.schemas.tickets import Storable

# Beyond them a time has no equal in every zone, and no incident has one.
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2999, 12, 31)
Day = Annotated[date, Field(ge=FIRST_DAY, le=LAST_DAY)]


def _possible(moment: datetime) -> datetime:
    if not FIRST_DAY <= moment.date() <= LAST_DAY:
        raise ValueError(f"Use a time from {FIRST_DAY} to {LAST_DAY}")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_possible)]


class PullIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    query: Annotated[str, Field(max_length=4_000)] = ""
    state: Annotated[str, Field(max_length=100)] = ""
    import_: Annotated[bool, Field(alias="import")] = False
    dry_run: bool = False
    updated_from: Moment | None = None
    updated_until: Moment | None = None


class PullForm(BaseModel):
    """The import form as it was typed; days are whole days in UTC."""

    limit: int = 1_000
    query: Annotated[str, Field(max_length=4_000), Storable] = ""
    state: Annotated[list[str], Field(max_length=10)] = []
    import_tickets: bool = False
    dry_run: bool = False
    updated_from: Day | None = None
    updated_until: Day | None = None

    @field_validator("updated_from", "updated_until", mode="before")
    @classmethod
    def _day(cls, typed: object) -> object:
        try:
            return date.fromisoformat(str(typed)) if typed else None
        except ValueError:
            raise ValueError("Enter a date such as 2026-01-31") from None

    @field_validator("limit", mode="before")
    @classmethod
    def _number(cls, typed: object) -> object:
        if not str(typed).strip().isdecimal():
            raise ValueError("Enter a whole number, such as 1000")
        return typed

    def wanted(self) -> dict[str, Any]:
        """As the service takes it."""
        first, last = self.updated_from, self.updated_until
        return {
            "limit": self.limit,
            "query": self.query,
            "state": ",".join(self.state),
            "import_tickets": self.import_tickets,
            "dry_run": self.dry_run,
            "updated_from": first and datetime.combine(first, time.min, UTC),
            "updated_until": last and datetime.combine(last, time(23, 59, 59), UTC),
        }


class RunOut(BaseModel):
    """An import run.

    `reasons` counts why rows were skipped or failed, `hidden` the rows hidden by access rules.

    A run that waits for the instance is `running` and has `waiting_until`.
    """

    id: int
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    dry_run: bool
    import_: Annotated[bool, Field(serialization_alias="import")]
    fetched: int
    hidden: int
    total: int | None
    capped: bool
    created: int
    updated: int
    unchanged: int
    skipped: int
    failed: int
    reasons: dict[str, int]
    started_at: datetime | None
    finished_at: datetime | None
    waiting_until: datetime | None
    undone_at: datetime | None
    error: str | None

    @classmethod
    def of(cls, run: SyncRun) -> "RunOut":
        return cls(
            id=run.id,
            state=run.state.value,
            dry_run=run.dry_run,
            import_=run.import_tickets,
            fetched=run.fetched,
            hidden=run.hidden,
            total=run.total,
            capped=run.capped,
            created=run.created,
            updated=run.updated,
            unchanged=run.unchanged,
            skipped=run.skipped,
            failed=run.failed,
            reasons=dict(run.reasons),
            started_at=utc(run.started_at),
            finished_at=utc(run.finished_at),
            waiting_until=utc(run.waiting_until),
            undone_at=utc(run.undone_at),
            error=run.error,
        )


class UndoOut(BaseModel):
    """Number of deleted tickets, and of tickets not deleted with the reason."""

    run_id: int
    removed: int
    kept: int
    kept_touched: int
    kept_pushed: int

    @classmethod
    def of(cls, run: SyncRun) -> "UndoOut":
        return cls(
            run_id=run.id,
            removed=run.removed,
            kept=run.kept_touched + run.kept_pushed,
            kept_touched=run.kept_touched,
            kept_pushed=run.kept_pushed,
        )
