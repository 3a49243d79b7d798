"""What happens to a write on its way in: access, data policy, lookups, choices, lengths."""

from typing import TYPE_CHECKING, Any

from app.simulator import base

if TYPE_CHECKING:
    from app.simulator.instance import Instance

Record = dict[str, str]
READ_ONLY = (*base.JOURNALS, "comments_and_work_notes", "number", "sys_id")


class Refused(Exception):
    """A write that the instance refuses with 403 Operation Failed."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Rules:
    """Stock rules of incidents; every switch is an attribute."""

    def __init__(self) -> None:
        self.store_unknown_choices = False
        self.mandatory_labels = {"close_code": "Resolution code", "close_notes": "Close notes"}
        self.write_denied = False
        self.aborting_rule: str | None = None
        # A business rule that has the last word on these fields.
        self.forced: dict[str, str] = {}

    def duplicate(self, number: str) -> Refused:
        """A sys_id that is taken fails on the primary key."""
        return Refused(f"Error during insert of incident ({number})")

    def apply(
        self, instance: "Instance", record: Record, body: dict[str, Any], before: Record | None
    ) -> None:
        """Change `record` as `body` asks and the rules allow; `before` is None for a new one.

        Raises Refused.
        """
        self._check_access(new=before is None)
        for name, value in body.items():
            if name in record and name not in READ_ONLY:
                self._set(instance, record, name, value)
        record |= self.forced
        matrix = (record["impact"], record["urgency"])
        record["priority"] = base.PRIORITY.get(matrix, record["priority"])
        self._check_data_policy(record)
        self._follow_state(instance, record, before)

    def _check_access(self, *, new: bool) -> None:
        if self.write_denied:
            verb = "Insert" if new else "Update"
            raise Refused(f"ACL Exception {verb} Failed due to security constraints")
        if self.aborting_rule:
            rule = self.aborting_rule
            key = base.sys_id_of("sys_script", rule)
            raise Refused(
                f"Operation against file 'incident' was aborted by Business Rule "
                f"'{rule}^{key}'. Business Rule Stack:{rule}"
            )

    def _set(self, instance: "Instance", record: Record, name: str, value: Any) -> None:
        text = "" if value is None else str(value).lower() if value in (True, False) else str(value)
        if name in (*base.CHOICES, "close_code"):
            known = base.sys_id_of("sys_choice", name, text) in instance.table("sys_choice")
            if not text or (not known and not self.store_unknown_choices):
                return
        record[name] = text[: base.CUT_AT.get(name, len(text))]

    def _check_data_policy(self, record: Record) -> None:
        if record["state"] not in ("6", "7"):
            return
        missing = [label for name, label in self.mandatory_labels.items() if not record.get(name)]
        if missing:
            raise Refused(
                "Data Policy Exception: \n\tThe following fields are mandatory: "
                + ", ".join(missing)
            )

    def _follow_state(self, instance: "Instance", record: Record, before: Record | None) -> None:
        state = record["state"]
        record["incident_state"] = state
        record["active"] = "false" if state in ("7", "8") else "true"
        if state != "3":
            record["hold_reason"] = ""
        if before is not None and state == before["state"]:
            return
        if state == "6":
            record["resolved_at"] = record["resolved_at"] or instance.now()
        if state == "7":
            record["closed_at"] = instance.now()
