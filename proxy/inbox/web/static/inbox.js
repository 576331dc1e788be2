// Live updates and keys. Everything works without this file, by links and forms.
"use strict";
(function () {
  document.body.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-CSRF-Token"] = document.querySelector("meta[name=csrf]").content;
  });

  // --- live -----------------------------------------------------------------------------------
  const lost = document.getElementById("lost");
  if (lost && window.EventSource) {
    const source = new EventSource("/events");
    let wasLost = false;
    source.addEventListener("changed", () => htmx.trigger(document.body, "desk-changed"));
    source.addEventListener("open", () => {
      lost.hidden = true;
      if (wasLost) htmx.trigger(document.body, "desk-changed");
      wasLost = false;
    });
    source.addEventListener("error", () => { lost.hidden = false; wasLost = true; });
    window.addEventListener("pagehide", () => source.close());
  }
  // A list is put in anew: who was on a line stays on it, or goes to the one that took its place.
  let focused = null;
  document.body.addEventListener("htmx:beforeSwap", () => {
    const at = document.activeElement;
    focused = at && at.classList.contains("hold") ? { id: at.id, index: rows().indexOf(at) } : null;
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    if (!focused) return;
    const all = rows();
    const same = document.getElementById(focused.id) || all[Math.min(focused.index, all.length - 1)];
    if (same) same.focus({ preventScroll: true });
  });

  // --- keys -----------------------------------------------------------------------------------
  const rows = () => Array.from(document.querySelectorAll("a.hold")).filter((row) => row.offsetParent);
  const move = (step) => {
    const all = rows();
    if (!all.length) return;
    const at = all.indexOf(document.activeElement);
    all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + step))].focus();
  };
  const into = (id) => {
    const form = document.getElementById(id);
    if (form) form.querySelector("button").focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const act = {
      j: () => move(1), k: () => move(-1), a: () => into("approve"), d: () => into("deny"),
      i: () => { location.href = "/"; }, "?": () => document.getElementById("keys").showModal(),
    }[event.key];
    if (act && document.getElementById("keys")) { event.preventDefault(); act(); }
  });
})();
