"""Ticket text before it is read: HTML, signatures, misleading characters, empty words."""

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from app.copilot.engine import TriageEngine
from app.copilot.html_text import as_text
from app.copilot.text import cleaned, says_something
from app.db import tickets
from app.db.engine import reading
from app.models.characters import plain
from app.models.servicenow import PushState
from app.simulator import Instance
from tests.desk import Desk
from tests.ticking import tick

OUTLOOK = """<html><head><style>p.MsoNormal {margin:0} </style><title>no</title></head>
<body lang=EN><!-- hidden --><p class="MsoNormal">The <b>printer</b> on floor&nbsp;2
jams &amp; smokes.</p>
<ul><li>tray 1</li><li>tray 2</li></ul><table><tr><td>Model</td><td>M404</td></tr></table>
<script>alert(1)</script><p>Password: <b>hunter2</b><br>Bye</p></body></html>
"""
OUTLOOK_TEXT = """The printer on floor 2 jams & smokes.

- tray 1
- tray 2

Model M404

Password: hunter2
Bye"""


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def test_an_html_mail_is_its_words() -> None:
    assert lines(as_text(OUTLOOK)) == lines(OUTLOOK_TEXT)


@pytest.mark.parametrize(
    "text",
    [
        "The <div> tag is not closed on our page",
        "<none>",
        "a < b and b > c",
        "Look at this:\n<div>our page</div>",
        "<xml><order>4711</order></xml>",
        "<p>broken off in the mid",
        "<b>",
        "",
    ],
)
def test_a_text_that_only_quotes_tags_stays_as_it_is(text: str) -> None:
    assert as_text(text) == text


PIECES = st.sampled_from(
    [
        "<html>",
        "<p>",
        "</p>",
        "<!--",
        "-->",
        "<style>",
        "</style>",
        "<",
        ">",
        "&lt;",
        "<br>",
        "x",
        " ",
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join))
def test_any_html_ends_and_scripts_and_styles_never_show(text: str) -> None:
    found = as_text(f"<html>{text}<script>evil</script><style>evil</style></html>")
    assert "evil" not in found


@pytest.mark.parametrize(
    "signature",
    [
        "--\nJo Doe\nDatabase Administrator, Printers Ltd",
        "-- \nJo Doe\nDatabase Administrator, Printers Ltd",
        "—\nJo Doe, Engine Administrator",
        "_______________\nJo Doe, Engine Administrator",
        "Best regards\nJo Doe\nDatabase Administrator",
        "Mit freundlichen Grüßen\nJo Doe, Engine Administrator",
        "Cordiali saluti\nJo Doe, Engine Administrator",
        "Gesendet von meinem iPhone",
        "Envoyé de mon iPhone",
        "Sent from my phone",
    ],
)
def test_a_signature_is_cut_off(signature: str) -> None:
    assert (
        cleaned(f"VPN drops\nIt drops every hour.\n\n{signature}")
        == "VPN drops\nIt drops every hour."
    )


@pytest.mark.parametrize(
    "text",
    [
        "--",
        "-- the VPN drops",
        "a -- b",
        "--verbose does not work",
        "thanks to the update it fails",
    ],
)
def test_dashes_inside_a_text_cut_nothing(text: str) -> None:
    assert cleaned(text).startswith(text[:9])


def test_triage_does_not_read_the_signature(triage: TriageEngine) -> None:
    trouble = "VPN does not connect from home since this morning"
    signed = f"{trouble}\n--\nDatabase Administrator | Printers and Laptops Ltd"
    assert triage.triage("VPN", signed).category == triage.triage("VPN", trouble).category


def test_triage_reads_the_words_of_an_html_mail(triage: TriageEngine) -> None:
    html = "<html><body><p>VPN does not connect from home</p><br></body></html>"
    found = triage.triage("VPN", html).category
    assert (found.value, found) == (
        "network",
        triage.triage("VPN", "VPN does not connect from home").category,
    )


NOTHING_TO_GO_ON = """the and of|it is what it is|to be or not to be|with or without|I|why|what
|hello|please help me|thanks|4711 0815|see attachment|as discussed|it does not work|a question
|der die das und|es ist so wie es ist|bitte um Hilfe|danke|wie besprochen|geht nicht|siehe Anhang
|le la les et de|je ne sais pas|s'il vous plaît|merci beaucoup|ça ne marche pas|voir pièce jointe
|el la los y de|no lo sé|por favor ayuda|gracias|no funciona|ver adjunto
|il lo la e di|non lo so|aiuto per favore|grazie|non funziona|vedi allegato"""


@pytest.mark.parametrize("text", NOTHING_TO_GO_ON.replace("\n", "").split("|"))
def test_of_small_words_and_pleas_alone_triage_is_not_sure(triage: TriageEngine, text: str) -> None:
    found = triage.triage(text, "").category
    assert (found.value, found.confidence) == (None, 0.0)


@pytest.mark.parametrize(
    "text", ["it is the printer", "VPN?", "le réseau", "die Maus", "x11", "日本語"]
)
def test_one_telling_word_is_enough_to_be_read(text: str) -> None:
    assert says_something(text)


MISLEADING = "pay\u202egnp.exe\u2066 now\u200b\ufeff\x1b[31m\x00\x9b end"


def test_characters_that_mislead_are_taken_out_and_scripts_stay_readable() -> None:
    assert plain(MISLEADING) == "paygnp.exe now [31m  end"
    for text in ("Grüße, 日本語\n\tok", "می‌خواهم", "👩‍💻 شبكة\u200f VPN", "a\r\nb"):
        assert plain(text) == text


def test_pages_and_json_show_no_misleading_characters(agent: TestClient) -> None:
    """Wherever a subject is shown: the list, the ticket, its title, the JSON."""
    made = agent.post(
        "/api/tickets",
        json={
            "subject": "Door " + MISLEADING.replace("\x00", ""),
            "description": OUTLOOK,
            "requester_email": "a@b.example",
        },
    )
    ticket = made.json()
    assert ticket["subject"] == "Door paygnp.exe now [31m  end"
    assert "<p" not in ticket["description"]
    assert "Password: [password hidden]" in ticket["description"]
    for path in ("/tickets", f"/tickets/{ticket['id']}", f"/api/tickets/{ticket['id']}"):
        page = agent.get(path).text
        assert "Door paygnp.exe now" in page, path
        assert not {"\u202e", "\u2066", "\u200b", "\x1b", "\x9b", "\ufeff"} & set(page), path
        assert "MsoNormal" not in page


@pytest.mark.parametrize("subject", ["\u200b", " \u202e\u2066 ", "\x1b"])
def test_a_subject_that_nobody_sees_is_no_subject(agent: TestClient, subject: str) -> None:
    wanted = {"subject": subject, "requester_email": "a@b.example"}
    assert agent.post("/api/tickets", json=wanted).status_code == 422


def test_saving_another_field_leaves_an_html_description_as_it_was_written(
    agent: TestClient, desk: Desk
) -> None:
    ticket = desk.ticket(subject="Do\u202eor", description=OUTLOOK)
    shown = agent.get(f"/api/tickets/{ticket.id}").json()
    changes = {name: shown[name] for name in ("subject", "description")} | {"priority": "high"}
    assert agent.patch(f"/api/tickets/{ticket.id}", json=changes).status_code == 200
    with reading(desk.services.tickets._engine) as conn:
        kept = tickets.get(conn, ticket.id)
    assert (kept.subject, kept.description) == ("Do\u202eor", OUTLOOK)
    assert kept.priority == "high"


def test_what_is_pushed_has_no_tags_and_no_misleading_characters(
    desk: Desk, instance: Instance
) -> None:
    service = desk.services.servicenow
    ticket = desk.ticket(subject=f"Door {MISLEADING}".replace("\x00", ""), description=OUTLOOK)
    service.push.create_from_ticket(ticket.id, by=desk.user.email)
    [incident] = instance.incidents.values()
    assert incident["short_description"] == "Door paygnp.exe now [31m end"
    assert incident["description"].startswith("The printer on floor 2 jams & smokes.")
    assert "hunter2" not in incident["description"]
    count = incident["sys_mod_count"]
    desk.note(ticket.id, "a\u202eb", internal=True, push=True)
    tick(service)
    tick(service)
    assert incident["work_notes"] == "" or "\u202e" not in str(instance.saved())
    assert service.push.status(ticket.id).state is PushState.LINKED
    assert int(incident["sys_mod_count"]) <= int(count) + 1


def test_no_page_shows_a_misleading_character_whatever_it_shows(agent: TestClient) -> None:
    """Titles of articles too, and what was typed into a form that comes back."""
    typed = {"title": "How\u202eto", "category": "network", "body": "1. Do it\u200b"}
    for answer in (
        agent.post("/articles", data=typed),
        agent.get("/articles"),
        agent.post("/tickets", data={"subject": "\u202e", "description": "a\u202eb"}),
    ):
        assert not {"\u202e", "\u200b"} & set(answer.text), answer.url
