"use strict";
// What HTML and htmx do not do: the dialog, lost connections, notices, row clicks, ages.

const dialog = document.getElementById("dialog");
const dialogBody = document.getElementById("dialog-body");
const notices = document.getElementById("notices");
const said = document.getElementById("said");
// A function, because swaps replace the element.
const main = () => document.getElementById("main");
let opener = null;

// A modal makes the rest of the page inert, so the notices move into it.
function openDialog() {
  if (dialog.open) return;
  dialog.prepend(notices);
  dialog.showModal();
}

document.addEventListener("modal:open", openDialog);
document.addEventListener("modal:close", () => dialog.close());
document.addEventListener("htmx:after:settle", (event) => {
  if (event.target === dialogBody) openDialog();
});
dialog.addEventListener("close", () => {
  main().before(notices);
  dialogBody.replaceChildren();
  if (opener && focusIsLost()) goBackTo(opener);
});

// -- focus: kept, or moved to the nearest element that still exists ----------------------------

// An element and the ids of its ancestors, to find its place after a swap has removed it.
function placeOf(element) {
  const ids = [];
  for (let part = element; part && part !== main(); part = part.parentElement) {
    if (part.id) ids.push(part.id);
  }
  return { element, ids };
}

function focusIsLost() {
  const focused = document.activeElement;
  return !focused || focused === document.body || !focused.checkVisibility();
}

function focusOn(part) {
  if (!part.matches("a[href], button, input, select, textarea, summary, [tabindex]")) {
    part.tabIndex = -1;
  }
  part.focus({ preventScroll: true });
  part.scrollIntoView({ block: "nearest" });
}

function goBackTo({ element, ids }) {
  const left = [element, ...ids.map((id) => document.getElementById(id))];
  const part = left.find((one) => one?.isConnected && one.checkVisibility() && !one.disabled);
  if (part && !dialog.contains(part)) focusOn(part);
  else main().focus({ preventScroll: true });
}

// -- results of actions: announced once, and the changed element gets the focus -----------------

let wanted = "";
document.addEventListener("announce", ({ detail }) => {
  wanted = detail.focus;
  said.textContent = "";
  // Screen readers do not read the same text again.
  setTimeout(() => (said.textContent = detail.text), 50);
});

document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
  // A button with `formaction` submits its form there, as it does without htmx.
  ctx.request.action = ctx.request.submitter?.getAttribute("formaction") ?? ctx.request.action;
  const from = ctx.request.submitter ?? document.activeElement;
  if (dialog.contains(from)) ctx.place = opener;
  else if (from && from !== document.body) ctx.place = placeOf(from);
});

document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
  // htmx enables the buttons of the form after this event.
  queueMicrotask(() => {
    const part = wanted && document.getElementById(wanted);
    wanted = "";
    if (part) focusOn(part);
    else if (ctx.place && !dialog.open && focusIsLost()) goBackTo(ctx.place);
  });
});

// -- forms: a response to one form keeps the text entered in the others -------------------------

document.addEventListener("input", ({ target }) => {
  target.form?.setAttribute("hx-morph-skip", "");
});

// After an error, the returned page holds the submitted values.
const answersThePage = (ctx) => ctx.hx?.reselect === "#main";

document.addEventListener("htmx:before:swap", ({ detail: { ctx } }) => {
  if (answersThePage(ctx)) ctx.request.form?.removeAttribute("hx-morph-skip");
});

document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
  if (answersThePage(ctx) && ctx.request.form?.isConnected) ctx.request.form.reset();
});

// -- drafts: unsent text is kept in this browser for seven days, per account --------------------

const DRAFTS = "draft:";
const DRAFT_DAYS = 7;
// The form elements seen so far, each with the key of its draft.
const keys = new WeakMap();

// Blocked storage must not stop the page.
function stored(act) {
  try {
    return act(window.localStorage, window.sessionStorage);
  } catch {
    return undefined;
  }
}

const draftOf = (key) => stored((storage) => JSON.parse(storage[key] ?? "null"));
const dropDraft = (key) => stored((storage) => storage.removeItem(key));

function dropDrafts(isOver) {
  stored((storage) => {
    for (const key of Object.keys(storage)) {
      if (key.startsWith(DRAFTS) && isOver(JSON.parse(storage[key]))) storage.removeItem(key);
    }
  });
}

// The key of a draft names the account, the page or dialog, and the form.
function keyOf(form) {
  if (!keys.has(form)) {
    const place = dialog.contains(form) ? dialogBody.dataset.from : location.pathname + location.search;
    keys.set(form, `${DRAFTS}${document.body.dataset.user}:${place}:${form.getAttribute("action")}`);
  }
  return keys.get(form);
}

const writtenForms = () => [...document.querySelectorAll("form[method=post]:has(textarea)")];
const fieldsOf = (form) => [...form.querySelectorAll("input, select, textarea")];
const isTicked = (field) => field.matches("[type=radio], [type=checkbox]");
const isText = (field) => !isTicked(field) && !field.options;

function isChanged(field) {
  if (isTicked(field)) return field.checked !== field.defaultChecked;
  if (isText(field)) return field.value !== field.defaultValue;
  const first = [...field.options].find((one) => one.defaultSelected) ?? field.options[0];
  return field.value !== first.value;
}

// Hidden values are stored too, because they name the values that the form showed. A form returned
// with an error has the submitted values as its defaults, so all its fields are stored.
function keepDraft(form) {
  const key = keyOf(form);
  const fields = fieldsOf(form);
  const isRefused = form.querySelector("[aria-invalid]");
  if (!isRefused && !fields.some((field) => isText(field) && isChanged(field))) {
    return dropDraft(key);
  }
  const values = new FormData(form);
  const kept = fields
    .filter((field) => isRefused || field.type === "hidden" || isChanged(field))
    .map(({ name }) => [name, values.getAll(name)]);
  const draft = JSON.stringify({ fields: Object.fromEntries(kept), at: Date.now() });
  stored((storage) => storage.setItem(key, draft));
}

function fill(field, values) {
  if (isTicked(field)) field.checked = values.includes(field.value);
  else if (!field.options || [...field.options].some(({ value }) => value === values[0])) {
    field.value = values[0];
  }
}

function restoreDrafts() {
  if (!document.body.dataset.user) return;
  for (const form of writtenForms().filter((form) => !keys.has(form))) {
    const draft = draftOf(keyOf(form));
    if (!draft) continue;
    for (const field of fieldsOf(form)) {
      if (draft.fields[field.name]) fill(field, draft.fields[field.name]);
    }
    form.setAttribute("hx-morph-skip", "");
    form.closest("details")?.setAttribute("open", "");
    said.textContent = "Your unsent text was restored.";
  }
}

document.addEventListener("input", ({ target }) => {
  if (writtenForms().includes(target.form)) keepDraft(target.form);
});

document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
  if (ctx.target === dialogBody) dialogBody.dataset.from = ctx.request.action;
});

// After a response, a form that is still shown keeps its draft. A form that is gone was submitted.
document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
  const key = keys.get(ctx.request.form);
  if (key) {
    const isShown = (form) => keyOf(form) === key && (dialog.open || !dialog.contains(form));
    const form = writtenForms().find(isShown);
    if (form) keepDraft(form);
    else dropDraft(key);
  }
  restoreDrafts();
});

// After the log-in the page is shown again, and so is the dialog that was open.
document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => {
  if (ctx.response.status !== 401 || !dialog.open) return;
  stored((_, session) => session.setItem("reopen", dialogBody.dataset.from));
});

document.addEventListener("DOMContentLoaded", () => {
  dropDrafts(({ at }) => Date.now() - at > DRAFT_DAYS * 86_400_000);
  restoreDrafts();
  const from = document.body.dataset.user && stored((_, session) => session.getItem("reopen"));
  if (!from) return;
  stored((_, session) => session.removeItem("reopen"));
  const link = document.querySelector(`[hx-get="${CSS.escape(from)}"]`);
  if (!link) return;
  opener = placeOf(link);
  htmx.ajax("GET", from, { target: dialogBody, swap: "innerHTML" });
});

document.addEventListener("submit", ({ target }) => {
  if (target.matches('form[action="/logout"]')) dropDrafts(() => true);
});

// -- times: the time zone for the server, and ages updated while the page is open ---------------

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
document.cookie = `desk_time_zone=${zone}; path=/; max-age=31536000; samesite=lax`;

// The difference to the server's clock, because this machine's clock may be wrong.
const ahead = Date.now() - Date.parse(document.documentElement.dataset.now);
const UNITS = [[86_400, "d"], [3_600, "h"], [60, "min"]];

// Same as `age` in app/display.py.
function age(seconds) {
  const length = Math.abs(seconds);
  const unit = UNITS.find(([size]) => length >= size);
  if (!unit) return seconds < 0 ? "in less than 1 min" : "just now";
  const words = `${Math.floor(length / unit[0])} ${unit[1]}`;
  return seconds < 0 ? `in ${words}` : `${words} ago`;
}

function refreshAges() {
  for (const part of document.querySelectorAll("time > .age")) {
    if (!part.checkVisibility()) continue;
    const text = age((Date.now() - ahead - Date.parse(part.parentElement.dateTime)) / 1000);
    if (part.textContent === text) continue;
    // Screen readers must not announce each change.
    part.ariaLive = "off";
    part.textContent = text;
  }
}

setInterval(refreshAges, 60_000);
document.addEventListener("visibilitychange", refreshAges);
document.addEventListener("toggle", refreshAges, true);

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

function noticeError(sentence) {
  const shown = [...notices.querySelectorAll(".notice-text")];
  if (shown.some((text) => text.textContent === sentence)) return;
  const dismiss = element("button", "notice-dismiss", "×");
  dismiss.type = "button";
  dismiss.setAttribute("aria-label", "Dismiss");
  const text = element("div", "notice-text", element("p", "", sentence));
  const notice = element("div", "notice notice-error", text, dismiss);
  notice.setAttribute("role", "alert");
  notices.append(notice);
}

document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
  if (!ctx) return;
  if (ctx.request.signal?.reason === "timeout") {
    noticeError("The server did not respond in time. Reload the page to check whether your change was saved.");
  } else if (!ctx.response) {
    noticeError("Cannot reach the server. Check your network, then try again.");
  } else {
    noticeError("The page could not be updated. Reload it to see the current state.");
  }
});

document.addEventListener("click", (event) => {
  const control = event.target.closest("a, button, input, select, textarea, label, summary");
  if (control) {
    if (!dialog.contains(control)) opener = placeOf(control);
    if (!control.matches(".notice-dismiss")) return;
    control.closest(".notice").remove();
    (dialog.open ? dialog : main()).focus({ preventScroll: true });
    return;
  }
  const link = event.target.closest("tr[data-href]")?.querySelector("a[href]");
  if (!link || String(window.getSelection())) return;
  if (event.ctrlKey || event.metaKey) window.open(link.href);
  else link.click();
});
