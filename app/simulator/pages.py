"""Everything an instance answers that is not JSON."""

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.simulator.instance import Instance

HIBERNATING = """<!DOCTYPE html><html><head><title>Instance Hibernating page</title></head>
<body class="instance-hibernating-page"><h1>Your instance is hibernating</h1>
<p>Want to find out why instances hibernate?</p></body></html>"""
OFFLINE = """<!DOCTYPE html><html><head><title>Offline</title></head>
<body><h1>Your instance is currently offline</h1></body></html>"""


def error_page(status: int) -> str:
    """What a load balancer says."""
    return f"<html><head><title>{status}</title></head><body><h1>HTTP {status}</h1></body></html>"


def incident_page(instance: "Instance", sys_id: str) -> str:
    """A record for people: where the links of the demo lead."""
    record = instance.incidents.get(sys_id)
    if record is None:
        return "<!DOCTYPE html><title>Not found</title><h1>Record not found</h1>"
    rows = "".join(
        f"<tr><th align=left>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in record.items()
        if value
    )
    notes = "".join(
        f"<li><b>{escape(row['sys_created_by'])}</b> {escape(row['sys_created_on'])} "
        f"({escape(row['element'])})<pre>{escape(row['value'])}</pre></li>"
        for row in reversed(instance.journal(sys_id))
    )
    number = escape(record["number"])
    return (
        f"<!DOCTYPE html><title>{number}</title><h1>{number} (simulated instance)</h1>"
        f"<table>{rows}</table><h2>Journal</h2><ul>{notes}</ul>"
    )
