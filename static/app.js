"use strict";
// What HTML and htmx leave open: the dialog, lost connections, notices, row clicks.

const dialog = document.getElementById("dialog");
const dialogBody = document.getElementById("dialog-body");
const notices = document.getElementById("notices");
const main = document.getElementById("main");
let opener = null;

// A modal makes the rest of the page inert, so notices move in with it.
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
  main.before(notices);
  dialogBody.replaceChildren();
  const back = opener?.isConnected ? opener : opener?.id && document.getElementById(opener.id);
  if (back) back.focus();
});

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
    noticeError("The server took too long to answer. Reload the page to see whether it was done.");
  } else if (!ctx.response) {
    noticeError("No connection to the server. Check your network, then try again.");
  } else {
    noticeError("The answer could not be shown. Reload the page to see how things stand.");
  }
});

document.addEventListener("click", (event) => {
  const control = event.target.closest("a, button, input, select, textarea, label, summary");
  if (control) {
    if (!dialog.contains(control)) opener = control;
    if (!control.matches(".notice-dismiss")) return;
    control.closest(".notice").remove();
    (dialog.open ? dialog : main).focus({ preventScroll: true });
    return;
  }
  const link = event.target.closest("tr[data-href]")?.querySelector("a[href]");
  if (!link || String(window.getSelection())) return;
  if (event.ctrlKey || event.metaKey) window.open(link.href);
  else link.click();
});
