// The inbox page: fetches itself again when something is new, and sends what a person does.
"use strict";

const side = document.getElementById("side");
const main = document.getElementById("main");
const modals = document.getElementById("modals");
const person = document.getElementById("person");
const toast = document.getElementById("toast");
const ask = document.getElementById("ask");
const POLL_MILLISECONDS = 1000;
const LONG = { weekday: "long", year: "numeric", month: "long", day: "numeric" };
const FORMS = {
  date_num: (at) => at.toLocaleDateString("sv-SE"),
  date: (at) => at.toLocaleDateString("en", { year: "numeric", month: "long", day: "numeric" }),
  date_short: (at) => at.toLocaleDateString("en", { year: "numeric", month: "short", day: "numeric" }),
  date_long: (at) => at.toLocaleDateString("en", LONG),
  time: (at) => at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" }),
  time_secs: (at) => at.toLocaleTimeString("en-GB"),
};
FORMS.date_pretty = FORMS.date;
FORMS.date_short_pretty = FORMS.date_short;
FORMS.date_long_pretty = FORMS.date_long;

let view = document.body.dataset.view;
let version = "";
let waitsForAnswer = false;

function dress(root) {
  for (const time of root.querySelectorAll("time[data-unix]")) {
    const at = new Date(Number(time.dataset.unix) * 1000);
    time.textContent = time.dataset.form.replace(/\{(\w+)\}/g, (all, name) => (FORMS[name] ? FORMS[name](at) : all));
  }
  for (const bar of root.querySelectorAll("[data-colour]")) bar.style.borderLeftColor = bar.dataset.colour;
  for (const frame of root.querySelectorAll("iframe")) frame.addEventListener("load", () => fit(frame));
  for (const details of root.querySelectorAll("details")) {
    details.addEventListener("toggle", () => {
      for (const frame of details.querySelectorAll("iframe")) {
        if (details.open && !frame.src) frame.src = frame.dataset.src;
        else fit(frame);
      }
    });
  }
}

function fit(frame) {
  const body = frame.contentDocument && frame.contentDocument.documentElement;
  if (body && body.scrollHeight) frame.style.height = `${body.scrollHeight + 4}px`;
}

function say(text, bad = true) {
  toast.textContent = text;
  toast.className = bad ? "shown bad" : "shown";
  clearTimeout(say.timer);
  say.timer = setTimeout(() => (toast.className = ""), 6000);
}

function replaceMain(html) {
  const list = main.querySelector("section");
  const atEnd = !list || list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const top = list ? list.scrollTop : 0;
  const open = new Map([...main.querySelectorAll("details[data-keep]")].map((each) => [each.dataset.keep, each.open]));
  const typed = main.querySelector(".composer input");
  const draft = typed ? [typed.value, document.activeElement === typed] : null;
  main.innerHTML = html;
  for (const each of main.querySelectorAll("details[data-keep]")) {
    if (open.has(each.dataset.keep)) each.open = open.get(each.dataset.keep);
  }
  dress(main);
  const input = main.querySelector(".composer input");
  if (draft && input) {
    input.value = draft[0];
    if (draft[1]) input.focus();
  }
  const shown = main.querySelector("section");
  if (shown) shown.scrollTop = shown.classList.contains("messages") && atEnd ? shown.scrollHeight : top;
}

function isBusy() {
  const active = document.activeElement;
  return waitsForAnswer || ask.open || (active && main.contains(active) && (active.tagName === "SELECT" || active.matches("input.inline")));
}

async function refresh(force = false) {
  if (!force && isBusy()) return;
  try {
    const answer = await fetch(`/_page/fragments?view=${encodeURIComponent(view)}&version=${force ? "" : version}`);
    document.body.classList.remove("offline");
    if (answer.status !== 200) return;
    const found = await answer.json();
    version = found.version;
    side.innerHTML = found.side;
    replaceMain(found.main);
    if (modals.dataset.of !== found.modal_id) {
      modals.innerHTML = found.modals;
      modals.dataset.of = found.modal_id;
      dress(modals);
      const first = modals.querySelector("input, textarea, select");
      if (first) first.focus();
    }
  } catch {
    document.body.classList.add("offline");
  }
}

async function send(path, body) {
  waitsForAnswer = true;
  try {
    const answer = await fetch(`/_page/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...body, user: person.value }),
    });
    return await answer.json();
  } catch {
    return { ok: false, problem: "The inbox does not answer" };
  } finally {
    waitsForAnswer = false;
  }
}

async function tell(path, body, element) {
  if (element) element.classList.add("busy");
  const said = await send(path, body);
  if (element) element.classList.remove("busy");
  if (said.problem) say(`⚠ ${said.problem}`);
  await refresh(true);
  return said;
}

function confirmed(element) {
  const said = element.dataset;
  if (!said.confirmTitle && !said.confirmText) return Promise.resolve(true);
  ask.querySelector("h2").textContent = said.confirmTitle || "Are you sure?";
  ask.querySelector("p").textContent = said.confirmText || "";
  const [no, yes] = ask.querySelectorAll("button");
  no.textContent = said.confirmDeny || "Cancel";
  yes.textContent = said.confirmConfirm || "Yes";
  ask.showModal();
  return new Promise((done) => {
    no.onclick = () => ask.close("no");
    yes.onclick = () => ask.close("yes");
    ask.onclose = () => done(ask.returnValue === "yes");
  });
}

async function press(element, value) {
  if (!(await confirmed(element))) return refresh(true);
  const message = element.closest("[data-ts]");
  const block = element.closest("[data-block-id]");
  return tell("press", {
    channel: message.dataset.channel,
    ts: message.dataset.ts,
    action_id: element.dataset.actionId,
    block_id: block ? block.dataset.blockId : null,
    value,
  }, element);
}

function act(element, text) {
  const incident = element.closest("[data-incident]").dataset.incident;
  return tell("pagerduty", { incident, act: element.dataset.act, text }, element);
}

async function submit(form) {
  const values = {};
  for (const input of form.querySelectorAll("[data-input]")) {
    const block = input.closest("[data-block-id]").dataset.blockId;
    (values[block] = values[block] || {})[input.dataset.input] = input.value;
  }
  for (const mistake of form.querySelectorAll(".mistake")) mistake.textContent = "";
  const said = await tell("submit", { view: form.dataset.view, values });
  for (const block of form.querySelectorAll("[data-block-id]")) {
    const text = (said.errors || {})[block.dataset.blockId];
    if (text && block.querySelector(".mistake")) block.querySelector(".mistake").textContent = text;
  }
}

document.addEventListener("click", (event) => {
  const entry = event.target.closest("a.entry");
  if (entry && !event.metaKey && !event.ctrlKey) {
    event.preventDefault();
    history.pushState({}, "", entry.href);
    view = new URL(entry.href).searchParams.get("view");
    main.replaceChildren();
    refresh(true);
    return;
  }
  const button = event.target.closest("[data-press]");
  if (button) press(button, null);
  const close = event.target.closest("[data-close]");
  if (close) tell("close", { view: close.closest("form").dataset.view });
  const pager = event.target.closest("button[data-act]");
  if (pager) act(pager, "");
});

document.addEventListener("change", (event) => {
  const chosen = event.target;
  if (chosen.matches("select[data-choose]") && chosen.value) {
    const value = chosen.value;
    chosen.value = "";
    chosen.blur();
    press(chosen, value);
  }
  if (chosen.matches("select[data-act]") && chosen.value) {
    chosen.blur();
    act(chosen, chosen.value);
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("input[data-act]")) {
    const text = event.target.value;
    event.target.blur();
    act(event.target, text);
  }
  const modal = modals.querySelector("form");
  if (event.key === "Escape" && modal) tell("close", { view: modal.dataset.view });
});

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (event.target.matches(".modal")) submit(event.target);
  if (event.target.matches(".composer")) {
    const input = event.target.querySelector("input");
    const text = input.value;
    input.value = "";
    const said = await tell("command", { channel: event.target.dataset.channel, text });
    const again = main.querySelector(".composer input");
    if (!said.ok && again && !again.value) again.value = text;
  }
});

document.getElementById("theme").addEventListener("click", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  localStorage.setItem("theme", document.documentElement.dataset.theme);
});

addEventListener("popstate", () => {
  view = new URL(location.href).searchParams.get("view") || document.body.dataset.view;
  refresh(true);
});

const kept = localStorage.getItem("theme");
if (kept) document.documentElement.dataset.theme = kept;
const who = localStorage.getItem("person");
if (who) person.value = who;
person.addEventListener("change", () => localStorage.setItem("person", person.value));
dress(document);
const list = main.querySelector("section.messages");
if (list) list.scrollTop = list.scrollHeight;
refresh(true);
setInterval(refresh, POLL_MILLISECONDS);
