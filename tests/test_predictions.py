"""Predictions on tickets: kept with their reasons, shown as set, settled by people."""

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db import predictions, tables, tickets
from app.db.engine import reading, writing
from app.models.tickets import TicketStatus
from app.models.triage import Field, Mode, StoredPrediction, Verdict
from app.simulator import Instance
from tests.conftest import Clock
from tests.desk import Desk
from tests.html import find, soup

VPN = {"subject": "VPN does not connect from home", "description": "The VPN client times out."}
NONSENSE = {"subject": "qwxz zzkp", "description": "vvfq"}


def opened(agent: TestClient, **values: str) -> str:
    answer = agent.post("/tickets", data=VPN | values)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def kept(engine: Engine, ticket_id: int, field: Field = Field.CATEGORY) -> list[StoredPrediction]:
    with reading(engine) as conn:
        return [one for one in predictions.of_ticket(conn, ticket_id) if one.said.field is field]


def number(path: str) -> int:
    return int(path.rsplit("/", 1)[-1])


def card(agent: TestClient, path: str, field: str = "category") -> str:
    found = soup(agent.get(path).text).select_one(f"#prediction-{field}")
    return found.get_text(" ", strip=True) if found else ""


def press(agent: TestClient, path: str, what: str, field: str = "category", **data: str) -> int:
    """Send one of the forms of the triage card as it is on the page."""
    form = soup(agent.get(path).text).select_one(f"#prediction-{field} form[action$={what}]")
    assert form is not None, f"no form to {what} the {field}"
    return agent.post(str(form["action"]), data=data).status_code


def test_what_triage_says_is_kept_and_shown_with_its_record(
    agent: TestClient, engine: Engine
) -> None:
    path = opened(agent)
    (said,) = kept(engine, number(path))
    assert (said.said.value, said.said.sure, said.mode) == ("network", True, Mode.AUTOFILL)
    assert said.shown
    assert said.verdict is None
    text = card(agent, path)
    assert "Category: Network" in text
    assert f"{said.said.confidence:.0%} confidence" in text
    assert "Not enough history yet to measure accuracy." in text
    assert "Similar tickets" not in text


def test_not_sure_fills_nothing_and_counts_as_such(agent: TestClient, engine: Engine) -> None:
    path = opened(agent, **NONSENSE)
    assert "Category: Not sure" in card(agent, path)
    (said,) = kept(engine, number(path))
    assert (said.verdict, said.shown) == (Verdict.NOT_SURE, False)
    facts = soup(agent.get(path).text).select_one("#ticket-facts")
    assert facts is not None
    assert "Not set" in facts.get_text()


def test_accepting_takes_one_click(agent: TestClient, engine: Engine, clock: Clock) -> None:
    path = opened(agent)
    assert press(agent, path, "accept") == 303
    (said,) = kept(engine, number(path))
    assert (said.verdict, said.settled_by) == (Verdict.ACCEPTED, "agent@example.com")
    assert (said.settled_from, said.settled_to) == ("network", "network")
    assert said.settled_at == clock.moment
    assert "Accepted by agent ," in card(agent, path)
    assert agent.get(f"/api{path}").json()["category"] == "network"


def test_replacing_keeps_who_when_from_and_to(
    agent: TestClient, engine: Engine, clock: Clock
) -> None:
    path = opened(agent)
    assert press(agent, path, "replace", value="access") == 303
    (said,) = kept(engine, number(path))
    assert (said.verdict, said.settled_by) == (Verdict.REPLACED, "agent@example.com")
    assert (said.settled_from, said.settled_to) == ("network", "access")
    assert said.settled_at == clock.moment
    assert "Corrected to access by agent ," in card(agent, path)


def test_a_choice_taken_back_leaves_the_prediction_open(
    agent: TestClient, engine: Engine, api: TestClient
) -> None:
    path = opened(agent)
    api.patch(f"/api{path}", json={"category": "access"})
    api.patch(f"/api{path}", json={"category": None})
    (said,) = kept(engine, number(path))
    assert (said.verdict, said.settled_by, said.settled_to) == (None, None, None)


def test_resolving_without_a_word_counts_as_untouched(
    agent: TestClient, engine: Engine, desk: Desk
) -> None:
    ticket = desk.ticket(**VPN, status="resolved")
    (said,) = kept(engine, ticket.id)
    assert (said.verdict, said.settled_to) == (Verdict.UNTOUCHED, "network")
    text = card(agent, f"/tickets/{ticket.id}")
    assert "Unchanged when the ticket was resolved" in text
    assert "Accept" in text


def test_a_value_given_at_once_decides_about_a_prediction_nobody_saw(
    agent: TestClient, engine: Engine
) -> None:
    same = kept(engine, number(opened(agent, category="network")))[0]
    other = kept(engine, number(opened(agent, category="access")))[0]
    assert (same.verdict, other.verdict) == (Verdict.ACCEPTED, Verdict.REPLACED)


def test_the_record_counts_what_was_decided_at_about_this_confidence(
    agent: TestClient, engine: Engine, clock: Clock, desk: Desk
) -> None:
    ticket = desk.ticket(**VPN)
    (said,) = kept(engine, ticket.id)
    with writing(engine) as conn:
        for count in range(50):
            after = "network" if count < 41 else "access"
            verdict = Verdict.ACCEPTED if count < 41 else Verdict.REPLACED
            predictions.add(conn, ticket.id, said.said, mode=Mode.AUTOFILL, now=clock.moment)
            last = predictions.find_current(conn, ticket.id, Field.CATEGORY)
            assert last is not None
            predictions.settle(
                conn, last.id, verdict, by="a", at=clock.moment, before=None, after=after
            )
        predictions.add(conn, ticket.id, said.said, mode=Mode.AUTOFILL, now=clock.moment)
    text = card(agent, f"/tickets/{ticket.id}")
    assert "Correct in 41 of 50 similar cases." in text
    assert "Triaged 52 times" in text


def test_scripts_read_predictions_and_requesters_do_not(
    api: TestClient, requester: TestClient, desk: Desk
) -> None:
    ticket = desk.ticket(**VPN, requester="requester@example.com")
    found = api.get(f"/api/tickets/{ticket.id}").json()["predictions"]
    assert [one["field"] for one in found] == ["category", "priority"]
    assert found[0]["value"] == "network"
    assert found[0]["record"] == {"right": 0, "total": 0}
    assert requester.get(f"/api/tickets/{ticket.id}").json()["predictions"] == []
    assert not soup(requester.get(f"/tickets/{ticket.id}").text).select("#triage")


def test_a_prediction_that_is_not_said_any_more_cannot_be_accepted(
    agent: TestClient, engine: Engine, app: FastAPI
) -> None:
    path = opened(agent)
    ticket_id = number(path)
    (old,) = kept(engine, ticket_id)
    with writing(engine) as conn:
        tickets.fill(conn, ticket_id, triaged_at=None)
    assert app.state.services.triage.catch_up() == 1
    answer = agent.post(f"{path}/predictions/{old.id}/accept")
    assert answer.status_code == 409
    assert "This prediction has changed" in answer.text
    assert agent.post(f"{path}/predictions/99999/accept").status_code == 404


def test_a_changed_text_is_triaged_again_and_its_history_kept(
    api: TestClient, agent: TestClient, app: FastAPI, engine: Engine
) -> None:
    path = opened(agent)
    changed = {"subject": "Printer on floor 2 has a paper jam", "description": "Toner everywhere"}
    assert api.patch(f"/api{path}", json=changed).status_code == 200
    assert app.state.services.triage.catch_up() == 1
    assert app.state.services.triage.catch_up() == 0
    now, before = kept(engine, number(path))
    assert (now.said.value, before.said.value) == ("hardware", "network")
    assert (now.superseded_at, before.superseded_at is None) == (None, False)
    assert api.get(f"/api{path}").json()["predicted_category"] == "hardware"


def test_what_is_over_is_not_triaged_until_it_is_open_again(
    app: FastAPI, engine: Engine, desk: Desk
) -> None:
    over, open_one = desk.ticket(**VPN, status="resolved"), desk.ticket("Key card", "Lost")
    with writing(engine) as conn:
        for ticket in (over, open_one):
            tickets.fill(conn, ticket.id, triaged_at=None)
    waited: list[bool] = []
    assert app.state.services.triage.catch_up(pause=lambda: waited.append(True)) == 1
    assert waited == [True]
    with writing(engine) as conn:
        assert over.id in tickets.still_untriaged(conn, [over.id])
    desk.set_status(over.id, TicketStatus.OPEN)
    assert app.state.services.triage.catch_up() == 1
    with writing(engine) as conn:
        assert not tickets.still_untriaged(conn, [over.id])


def test_tickets_without_triage_are_read_behind_and_what_people_chose_is_not_guessed_at(
    app: FastAPI, engine: Engine, desk: Desk
) -> None:
    bare, chosen = desk.ticket(**VPN), desk.ticket("Key card", category="access")
    with writing(engine) as conn:
        conn.execute(tables.predictions.delete())
        for ticket in (bare, chosen):
            tickets.fill(conn, ticket.id, triaged_at=None, predicted_category=None)
    assert app.state.services.triage.catch_up() == 2
    assert len(kept(engine, bare.id)) == 1
    assert kept(engine, chosen.id) == []
    assert len(kept(engine, chosen.id, Field.PRIORITY)) == 1
    with reading(engine) as conn:
        assert tickets.get(conn, bare.id).predicted_category == "network"


def pushed(app: FastAPI, instance: Instance, ticket_id: int) -> dict[str, str]:
    """The incident that a ticket becomes."""
    services = app.state.services
    services.servicenow.push.create_from_ticket(ticket_id, by="agent@example.com")
    return instance.incidents[services.servicenow.push.status(ticket_id).ticket.sn_sys_id]


def test_the_nearest_labelled_tickets_stand_beside_it(agent: TestClient, desk: Desk) -> None:
    text = {"subject": "VPN client fails with error 809 from home", "description": "Since Monday."}
    near = desk.ticket(**text, category="network", status="resolved")
    desk.ticket(**text, status="resolved")
    path = opened(agent, subject="VPN error 809 from home office", description="VPN client fails")
    (said,) = agent.get(f"/api{path}").json()["predictions"][0]["neighbours"]
    assert (said["ticket_id"], said["label"]) == (near.id, "network")
    links = soup(agent.get(path).text).select("#prediction-category li a")
    assert [link["href"] for link in links] == [f"/tickets/{near.id}"]


# -- modes -------------------------------------------------------------------------------------


def switch(admin: TestClient, mode: str, field: str = "category") -> None:
    answer = admin.post(f"/admin/copilot/modes/{field}", data={"mode": mode})
    assert answer.status_code == 303, answer.text


def test_suggest_shows_and_fills_nothing(
    admin: TestClient, agent: TestClient, engine: Engine
) -> None:
    switch(admin, "suggest")
    path = opened(agent)
    assert "Category: Network" in card(agent, path)
    assert agent.get(f"/api{path}").json()["predicted_category"] is None
    assert press(agent, path, "accept") == 303
    assert agent.get(f"/api{path}").json()["category"] == "network"
    assert kept(engine, number(path))[0].verdict is Verdict.ACCEPTED


def test_shadow_counts_and_shows_nothing_anywhere(
    admin: TestClient, agent: TestClient, engine: Engine
) -> None:
    switch(admin, "shadow")
    path = opened(agent)
    (said,) = kept(engine, number(path))
    assert (said.said.value, said.mode, said.shown) == ("network", Mode.SHADOW, False)
    assert card(agent, path) == ""
    body = agent.get(f"/api{path}").json()
    assert body["predicted_category"] is None
    assert body["category_confidence"] is None
    assert [one["field"] for one in body["predictions"]] == ["priority"]
    assert "network" not in find(soup(agent.get(path).text), "#timeline").get_text()
    assert agent.post(f"{path}/predictions/{said.id}/accept").status_code == 404
    agent.patch(f"/api{path}", json={"category": "access"})
    assert kept(engine, number(path))[0].verdict is Verdict.REPLACED


def test_off_predicts_nothing(admin: TestClient, agent: TestClient, engine: Engine) -> None:
    switch(admin, "off")
    path = opened(agent)
    assert kept(engine, number(path)) == []
    assert len(kept(engine, number(path), Field.PRIORITY)) == 1


def test_leaving_autofill_hides_what_was_filled_in_and_returning_brings_it_back(
    admin: TestClient, agent: TestClient
) -> None:
    path = opened(agent)
    chosen = opened(agent, category="network")
    switch(admin, "shadow")
    hidden = agent.get(f"/api{path}").json()
    assert hidden["predicted_category"] is None
    assert "predicted" not in card(agent, path)
    assert agent.get(f"/api{chosen}").json()["category"] == "network"
    switch(admin, "autofill")
    assert agent.get(f"/api{path}").json()["predicted_category"] == "network"


def test_a_value_in_the_shadow_is_not_pushed(
    admin: TestClient, app: FastAPI, desk: Desk, instance: Instance
) -> None:
    switch(admin, "shadow", "priority")
    switch(admin, "shadow", "category")
    ticket = desk.ticket(**VPN)
    record = pushed(app, instance, ticket.id)
    assert record["category"] == "software"
    assert (record["impact"], record["urgency"]) == ("3", "3")


def test_the_page_says_who_switched_what_and_only_admins_may(
    admin: TestClient, agent: TestClient
) -> None:
    switch(admin, "suggest", "priority")
    changes = soup(admin.get("/admin/copilot").text).select_one("#changes")
    assert changes is not None
    assert find(changes, "[title='admin@example.com']").get_text() == "admin"
    assert "Priority mode set to suggest" in changes.get_text()
    assert agent.get("/admin/copilot").status_code == 403


# -- impact and urgency --------------------------------------------------------------------------


def test_a_persons_impact_and_urgency_decide_the_priority(
    agent: TestClient, app: FastAPI, instance: Instance
) -> None:
    path = opened(agent)
    assert press(agent, path, "replace", "priority", impact="1", urgency="2") == 303
    body = agent.get(f"/api{path}").json()
    assert (body["impact"], body["urgency"], body["priority"]) == (1, 2, "high")
    record = pushed(app, instance, number(path))
    assert (record["impact"], record["urgency"]) == ("1", "2")


def test_the_priority_that_the_instance_computed_is_read_back(
    agent: TestClient, app: FastAPI, instance: Instance
) -> None:
    path = opened(agent)
    agent.patch(f"/api{path}", json={"impact": 3, "urgency": 3})
    assert pushed(app, instance, number(path))["priority"] == "5"
    page = soup(agent.get(path).text)
    told = find(page, "#timeline").get_text(" ", strip=True)
    assert "created in ServiceNow. ServiceNow calculated priority 5 - Planning." in told


def test_a_priority_alone_forgets_impact_and_urgency(agent: TestClient) -> None:
    path = opened(agent)
    agent.patch(f"/api{path}", json={"impact": 1, "urgency": 2})
    body = agent.patch(f"/api{path}", json={"priority": "low"}).json()
    assert (body["impact"], body["urgency"], body["priority"]) == (None, None, "low")


def test_one_of_impact_and_urgency_is_not_enough(agent: TestClient) -> None:
    path = opened(agent, **NONSENSE)
    agent.patch(f"/api{path}", json={"priority": "low"})
    assert agent.patch(f"/api{path}", json={"impact": 1}).status_code == 422


def test_the_matrix_can_be_changed(admin: TestClient, agent: TestClient) -> None:
    form = soup(admin.get("/admin/copilot").text).select_one("#matrix form")
    assert form is not None
    cells = {
        str(select["name"]): str(find(select, "option[selected]")["value"])
        for select in form.select("select")
    }
    assert len(cells) == 9
    assert cells["1-1"] == "urgent"
    answer = admin.post("/admin/copilot/matrix", data=cells | {"3-3": "medium"})
    assert answer.status_code == 303
    path = opened(agent)
    body = agent.patch(f"/api{path}", json={"impact": 3, "urgency": 3}).json()
    assert body["priority"] == "medium"
    refused = admin.post("/admin/copilot/matrix", data={"1-1": "urgent"})
    assert refused.status_code == 422
    assert "Choose one of" in refused.text


def test_another_priority_forgets_the_impact_and_urgency_that_were_predicted(
    api: TestClient, agent: TestClient, desk: Desk, instance: Instance
) -> None:
    path = opened(agent, subject="Nobody can work", description="The whole site is down")
    ticket = agent.get(f"/api{path}").json()
    assert ticket["predicted_priority"] == "urgent"
    assert (ticket["predicted_impact"], ticket["predicted_urgency"]) == (1, 1)

    ticket = api.patch(f"/api{path}", json={"priority": "low"}).json()
    assert (ticket["priority"], ticket["impact"], ticket["urgency"]) == ("low", None, None)
    api.post(f"/api/sn/incidents/create-from-ticket/{number(path)}")
    (incident,) = instance.incidents.values()
    assert (incident["impact"], incident["urgency"]) != ("1", "1")


def test_the_predicted_priority_chosen_by_a_person_keeps_its_impact_and_urgency(
    api: TestClient, agent: TestClient
) -> None:
    path = opened(agent, subject="Nobody can work", description="The whole site is down")
    ticket = api.patch(f"/api{path}", json={"priority": "urgent"}).json()
    assert (ticket["priority"], ticket["impact"], ticket["urgency"]) == ("urgent", 1, 1)
