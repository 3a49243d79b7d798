"""Articles: ours at first, theirs from then on; written by staff, read by whom they are for."""

import sys
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, func, select, update

from app.copilot.articles import article_of, drafted
from app.copilot.knowledge import load_articles, load_starters, starter_slugs
from app.db.engine import reading, writing
from app.db.tables import articles
from app.errors import NotFound
from app.markdown import MARKDOWN, markdown
from app.models.accounts import Role, User
from app.services.articles import ArticleService
from tests.conftest import HTMX
from tests.desk import Desk
from tests.html import find, soup

WRITTEN = {
    "title": "The coffee machine is not on the network",
    "category": "network",
    "audience": "public",
    "keywords": "coffee, espresso",
    "body": "## Symptoms\n- No coffee\n\n## Steps\n1. Unplug it.\n2. Plug it **in** again.\n",
}


@pytest.fixture
def knowledge(app: FastAPI) -> ArticleService:
    service: ArticleService = app.state.services.knowledge
    return service


@pytest.fixture
def admins(app: FastAPI) -> User:
    user: User = app.state.services.accounts.create_user("boss@example.com", Role.ADMIN)[0]
    return user


def titles(html: str) -> list[str]:
    return [link.get_text() for link in soup(html).select("#article-list li a")]


def edit(browser: TestClient, slug: str, **changes: str) -> int:
    form = soup(browser.get(f"/articles/{slug}/edit").text).select_one("form[action$=edit]")
    assert form
    typed = {
        field["name"]: field.get("value", "") for field in form.select("input:not([type=radio])")
    } | {
        "audience": find(form, "input[checked]")["value"],
        "category": find(form, "option[selected]")["value"],
        "body": find(form, "textarea").text,
    }
    answer = browser.post(f"/articles/{slug}/edit", data=typed | changes)
    return answer.status_code


def test_the_starter_articles_are_there_from_the_first_start(agent: TestClient) -> None:
    assert len(titles(agent.get("/articles").text)) == len(starter_slugs())


def test_a_later_start_brings_back_nothing_that_was_edited_or_deleted(
    knowledge: ArticleService, agent: TestClient, admin: TestClient, admins: User
) -> None:
    assert edit(agent, "mailbox-full", title="Mailbox full, our way") == 303
    assert admin.post("/articles/guest-wifi/delete").status_code == 303
    knowledge.load_starters()
    assert knowledge.read("mailbox-full", admins).title == "Mailbox full, our way"
    with pytest.raises(NotFound):
        knowledge.read("guest-wifi", admins)


def test_an_article_that_came_later_is_added(
    knowledge: ArticleService, engine: Engine, admins: User
) -> None:
    with writing(engine) as conn:
        conn.execute(articles.delete().where(articles.c.slug == "mailbox-full"))
    knowledge.load_starters()
    assert knowledge.read("mailbox-full", admins).version == 1
    with reading(engine) as conn:
        count = conn.execute(select(func.count()).select_from(articles)).scalar_one()
    assert count == len(starter_slugs())


def test_what_is_read_from_the_database_is_what_the_files_say() -> None:
    starters = {starter.slug: starter for starter in load_starters(starter_slugs())}
    for article in load_articles():
        assert 3 <= len(article.steps) <= 8
        for step in article.steps:
            assert step in starters[article.slug].body


def test_an_agent_writes_an_article_and_everybody_reads_it(
    agent: TestClient, requester: TestClient
) -> None:
    answer = agent.post("/articles", data=WRITTEN)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/articles/the-coffee-machine-is-not-on-the-network"
    page = soup(requester.get(answer.headers["location"]).text)
    assert [item.get_text() for item in page.select("article ol li")] == [
        "Unplug it.",
        "Plug it in again.",
    ]
    assert page.select_one("article ol strong")
    assert not page.select("a[href$=edit]")


def test_two_articles_with_one_title_get_two_addresses(agent: TestClient) -> None:
    agent.post("/articles", data=WRITTEN)
    second = agent.post("/articles", data=WRITTEN)
    assert second.headers["location"].endswith("-network-2")
    named_like_a_page = agent.post("/articles", data=WRITTEN | {"title": "New"})
    assert named_like_a_page.headers["location"] == "/articles/new-2"


def test_an_internal_article_is_not_there_for_a_requester(
    agent: TestClient, requester: TestClient
) -> None:
    address = agent.post("/articles", data=WRITTEN | {"audience": "internal"}).headers["location"]
    assert agent.get(address).status_code == 200
    assert requester.get(address).status_code == 404
    assert titles(agent.get("/articles?q=espresso").text) == [WRITTEN["title"]]
    assert titles(requester.get("/articles?q=espresso").text) == []


def test_the_list_is_searched_and_narrowed(agent: TestClient) -> None:
    agent.post("/articles", data=WRITTEN)
    assert titles(agent.get("/articles", params={"q": "espresso plug"}, headers=HTMX).text) == [
        WRITTEN["title"]
    ]
    listed = agent.get("/articles", params={"category": "network"}, headers=HTMX).text
    assert {tag.get_text() for tag in soup(listed).select(".tag")} == {"Network", "Internal"}
    nothing = soup(agent.get("/articles?q=zzqx").text)
    assert find(nothing, ".empty a")["href"] == "/articles"


def test_a_form_that_cannot_be_used_keeps_what_was_typed(agent: TestClient) -> None:
    answer = agent.post("/articles", data=WRITTEN | {"category": "coffee", "title": " "})
    assert answer.status_code == 422
    page = soup(answer.text)
    assert find(page, "textarea").text.strip() == WRITTEN["body"].strip()
    assert page.select_one("#title[aria-invalid]")
    answer = agent.post("/articles", data=WRITTEN | {"category": "coffee"})
    assert soup(answer.text).select_one("#category[aria-invalid]")


def test_only_admins_delete(agent: TestClient, admin: TestClient) -> None:
    assert agent.post("/articles/mailbox-full/delete").status_code == 403
    assert not soup(agent.get("/articles/mailbox-full").text).select("form[action$=delete]")
    assert admin.post("/articles/mailbox-full/delete").status_code == 303
    assert agent.get("/articles/mailbox-full").status_code == 404


def python_calls(work: Callable[[], object]) -> int:
    """How many calls the work makes: its cost, the same on every machine."""
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("piece", ["![", "[", "[[x", "- ![", "> ["])
def test_open_brackets_cost_as_much_as_other_text(piece: str) -> None:
    text = piece * 1000
    assert python_calls(lambda: markdown.__wrapped__(text)) < 80 * len(text)


def test_brackets_that_people_write_stay_as_they_are() -> None:
    assert 'href="https://x.example"' in markdown("[a [b] c](https://x.example) [[x]]")
    assert "[[x]]" in markdown("[[x]]")
    deep = "[" * 40 + "x" + "]" * 40
    assert deep in markdown(deep)
    code = "```\n" + "[ " * 15 + "\n```"
    assert "&#91;" not in markdown(code)
    many = "\n\n".join(["[open"] * 40) + "\n\n[a](https://x.example)"
    assert "href" in markdown(many)


def test_an_article_is_rendered_once(agent: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []
    render = MARKDOWN.render

    def rendering(text: str) -> str:
        rendered.append(text)
        return str(render(text))

    monkeypatch.setattr(MARKDOWN, "render", rendering)
    markdown.cache_clear()
    for _ in range(3):
        assert agent.get("/articles/mailbox-full").status_code == 200
    assert len(rendered) == 1


def test_markdown_cannot_bring_scripts_images_or_styles() -> None:
    html = markdown(
        "<script>alert(1)</script> <b onclick=x>b</b>\n\n[a](javascript:alert(1)) "
        "![i](https://evil.example/x.png) [b](data:text/html;base64,xx) [c](https://ok.example)"
    )
    page = soup(html)
    assert not page.select("script, img, b, [onclick], [style]")
    assert [link.get("href") for link in page.select("a")] == ["https://ok.example"]
    assert "nofollow" in find(page, "a")["rel"]


@pytest.mark.parametrize(
    ("body", "steps"),
    [
        ("## Steps\n1. One\n   goes on\n2) Two", ("One goes on", "Two")),
        ("Just do:\n1. This `now`\n2. See [here](https://x.example)", ("This now", "See here")),
        ("## Steps\n- A\n- B", ("A", "B")),
        ("No list at all.", ()),
    ],
    ids=["numbered", "without headings", "bullets", "prose"],
)
def test_steps_are_read_from_what_people_write(body: str, steps: tuple[str, ...]) -> None:
    read = article_of(slug="s", title="t", category="c", audience="a", keywords="", body=body)
    assert read.steps == steps


def test_a_slug_no_database_can_hold_is_refused(agent: TestClient) -> None:
    assert agent.get("/articles/a%00b").status_code == 422
    assert agent.get("/articles/nosuch").status_code == 404


def test_who_changed_an_article_is_shown_to_staff_alone(
    agent: TestClient, requester: TestClient, engine: Engine
) -> None:
    edit(agent, "mailbox-full", title="Full")
    with writing(engine) as conn:
        conn.execute(update(articles).values(public=True))
    article = find(soup(agent.get("/articles/mailbox-full").text), "article")
    assert find(article, "[title='agent@example.com']").get_text() == "agent"
    assert "agent@example.com" not in requester.get("/articles/mailbox-full").text


def test_an_article_is_drafted_from_a_resolved_ticket(
    agent: TestClient, requester: TestClient, desk: Desk
) -> None:
    ticket = desk.ticket("Badge reader blinks red", "It blinks.\nPassword: Sommer2024")
    assert agent.get(f"/articles/new?ticket={ticket.id}").status_code == 409
    assert not soup(agent.get(f"/tickets/{ticket.id}").text).select("a[href*='articles/new']")
    changes = {
        "status": "resolved",
        "resolution_code": "Solution provided",
        "resolution_notes": "1. Opened the cover\n- Set the PIN: 4711\nClosed it",
    }
    desk.services.tickets.change(ticket.id, changes, by=desk.user)
    link = soup(agent.get(f"/tickets/{ticket.id}").text).select_one("a[href*='articles/new']")
    assert link
    page = soup(agent.get(link["href"]).text)
    body = find(page, "textarea").text
    assert find(page, "#title")["value"] == "Badge reader blinks red"
    assert "- Badge reader blinks red\n- It blinks." in body
    assert "1. Opened the cover\n2. Set the PIN:" in body
    assert "3. Closed it" in body
    assert "Sommer2024" not in body
    assert "4711" not in body
    assert find(page, "input[name=audience][checked]")["value"] == "internal"
    assert requester.get(link["href"]).status_code == 403
    assert agent.get("/articles/new?ticket=999").status_code == 404


def test_notes_of_one_line_become_a_step_a_sentence() -> None:
    body = drafted("Subject", "", "Replaced the fuse. Tested it! All fine.")
    read = article_of(slug="s", title="t", category="c", audience="a", keywords="", body=body)
    assert read.steps == ("Replaced the fuse.", "Tested it!", "All fine.")
