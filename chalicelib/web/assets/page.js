// Comfort only: every page works without this file. No dependency, no eval, no inline handler.
(() => {
  "use strict";
  const root = document.documentElement;
  const main = () => document.getElementById("main");
  const ATTEMPTS = 3, EVERY = 10_000, SOON = 1_200;

  // The server writes every time in the reader's zone, which it learns by this cookie.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && zone !== root.dataset.zone && !document.cookie.includes(`tz=${zone}`)) {
    document.cookie = `tz=${zone};path=/;max-age=31536000;samesite=lax${location.protocol === "https:" ? ";secure" : ""}`;
    if (main() && document.cookie.includes(`tz=${zone}`)) location.reload();
  }

  const announce = (text) => {
    const live = document.getElementById("said");
    live.textContent = text;
    live.className = "toast";
    setTimeout(() => { live.className = "sr"; }, 2500);
  };

  // Ages grow while one looks.
  const words = (seconds) => {
    const m = Math.floor(seconds / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
    const two = (first, count, unit) => (count ? `${first} ${count} ${unit}` : first);
    return d ? two(`${d} d`, h % 24, "h") : h ? two(`${h} h`, m % 60, "min") : m ? `${m} min` : `${Math.max(0, Math.floor(seconds))} s`;
  };
  setInterval(() => {
    for (const el of document.querySelectorAll("[data-since]"))
      el.textContent = words((Date.now() - Date.parse(el.dataset.since)) / 1000);
  }, EVERY);

  // Live update: fetch this address again and replace what has changed. Focus, scroll and what is typed stay.
  let failed = 0, fresh = new Date();
  const typed = () => [...main().querySelectorAll("input, textarea")].some((each) => each.value !== each.defaultValue || each.checked !== each.defaultChecked);
  const busy = () => document.hidden || typed() || main().contains(document.activeElement) && document.activeElement.matches("input, select, textarea");
  const update = async () => {
    if (!main() || busy()) return;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const found = page.getElementById("main");
      if (!found) throw new Error("not a page");
      failed = 0;
      fresh = new Date();
      replace(found, page);
    } catch {
      failed += 1;
      if (failed === ATTEMPTS) stale();
    }
  };
  const replace = (fresh, page) => {
    const before = opened(document), after = opened(page);
    if (main().innerHTML !== fresh.innerHTML) {
      const held = document.activeElement?.closest("[data-item]")?.querySelector("a")?.getAttribute("href");
      const unfolded = [...main().querySelectorAll("details[open][id]")].map((each) => each.id);
      main().replaceChildren(...fresh.childNodes);
      for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
      if (held) main().querySelector(`[data-item] a[href="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
    }
    document.title = page.title;
    for (const name of [".side .nav", ".top .nav"]) {
      const old = document.querySelector(name), now = page.querySelector(name);
      if (old && now && old.innerHTML !== now.innerHTML) old.replaceChildren(...now.childNodes);
    }
    const icon = page.querySelector("link[rel=icon]")?.getAttribute("href");
    if (icon) document.querySelector("link[rel=icon]").setAttribute("href", icon);
    if (after > before) announce(`${after - before} incident${after - before > 1 ? "s" : ""} opened`);
    if (after < before) announce(`${before - after} incident${before - after > 1 ? "s" : ""} ended`);
  };
  const opened = (page) => parseInt(page.querySelector(".side .nav .count")?.firstChild?.textContent ?? "0", 10) || 0;
  const stale = () => {
    const head = document.querySelector(".head");
    if (!head) return;
    const made = (name, to) => to.appendChild(Object.assign(document.createElement("span"), { className: name }));
    const place = head.querySelector(".end") ?? made("end", head);
    const time = fresh.toLocaleTimeString("en-GB", { timeZone: root.dataset.zone });
    place.classList.add("stale");
    (place.querySelector(".live") ?? made("live", place)).textContent = ` · not updated since ${time}`;
    announce("This page is not updated any more");
  };
  setInterval(update, EVERY);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) update(); });
  if ("said" in document.body.dataset) setTimeout(update, SOON);

  // Charts: the values under the pointer, or by arrow keys.
  const readout = (box) => box.querySelector(".readout") ?? box.appendChild(Object.assign(document.createElement("div"), { className: "readout", hidden: true }));
  const read = (box, n) => {
    const texts = box.dataset.read.split("|"), tip = readout(box), last = texts.length - 1;
    const at = Math.max(0, Math.min(last, n)), place = last ? Math.round((100 * at) / last) : 0;
    box.dataset.at = at;
    tip.textContent = texts[at];
    tip.className = `readout at-${Math.round(place / 5) * 5}`;
    tip.hidden = false;
  };
  const plotOf = (event) => event.target.closest?.("[data-read]");
  document.addEventListener("pointermove", (event) => {
    for (const box of document.querySelectorAll("[data-read]")) if (box !== plotOf(event)) readout(box).hidden = true;
    const box = plotOf(event);
    if (!box) return;
    const where = box.getBoundingClientRect();
    read(box, Math.round(((event.clientX - where.left) / where.width) * (box.dataset.read.split("|").length - 1)));
  });
  document.addEventListener("keydown", (event) => {
    const box = plotOf(event), move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!box) return;
    if (move) { event.preventDefault(); read(box, Number(box.dataset.at ?? box.dataset.read.split("|").length - 1) + move); }
    if (event.key === "Escape") readout(box).hidden = true;
  });

  // Copy a command.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.previousElementSibling.textContent.trim());
    announce("Copied");
  });

  // Keys. Single letters only outside of fields; ? lists them.
  let pending = "", chosen = -1;
  const choose = (n) => {
    const items = [...document.querySelectorAll("[data-item]")];
    if (!items.length) return;
    chosen = Math.max(0, Math.min(items.length - 1, n));
    items[chosen].querySelector("a").focus();
    items[chosen].scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, textarea") || event.metaKey || event.ctrlKey || event.altKey || root.dataset.keys === "off") return;
    const page = pending === "g" && document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
    if (page) return void page.click();
    pending = event.key === "g" ? "g" : "";
    const within = document.activeElement?.closest("[data-item]") ?? document;
    const act = within.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (event.key === "j") choose(chosen + 1);
    else if (event.key === "k") choose(chosen - 1);
    else if (event.key === "/") { event.preventDefault(); document.querySelector("input[type=search]")?.focus(); }
    else if (event.key === "?") document.getElementById("keys")?.showModal();
    else if (act) { event.preventDefault(); act.click(); }
  });
})();
