"""The maps between our words and an instance's values, as one value that an admin may change."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.integrations.servicenow.mapping.choices import (
    OUR_PRIORITY,
    STATE_OF_STATUS,
    STATUS_OF_STATE,
    THEIR_PRIORITY,
)
from app.models.tickets import Priority, TicketStatus

Stored = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Maps:
    """What pushes and pulls translate by; as made without arguments, the base instance's.

    A category that is in neither map keeps its name. A state or priority that is not mapped
    says nothing here: it is listed, never guessed.
    """

    state_of_status: Mapping[TicketStatus, str] = field(default_factory=STATE_OF_STATUS.copy)
    status_of_state: Mapping[str, TicketStatus] = field(default_factory=STATUS_OF_STATE.copy)
    their_priority: Mapping[Priority, str] = field(default_factory=THEIR_PRIORITY.copy)
    our_priority: Mapping[str, Priority] = field(default_factory=OUR_PRIORITY.copy)
    their_category: Mapping[str, str] = field(default_factory=dict)
    our_category: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Stored | None) -> "Maps":
        """The maps as `stored` wrote them; the defaults when nothing was stored."""
        if stored is None:
            return cls()
        return cls(
            state_of_status={TicketStatus(k): v for k, v in stored["state_of_status"].items()},
            status_of_state={k: TicketStatus(v) for k, v in stored["status_of_state"].items()},
            their_priority={Priority(k): v for k, v in stored["their_priority"].items()},
            our_priority={k: Priority(v) for k, v in stored["our_priority"].items()},
            their_category=dict(stored["their_category"]),
            our_category=dict(stored["our_category"]),
        )

    @property
    def stored(self) -> dict[str, dict[str, str]]:
        """As plain words, for a JSON column."""
        return {
            name: {str(key): str(value) for key, value in getattr(self, name).items()}
            for name in self.__dataclass_fields__
        }
