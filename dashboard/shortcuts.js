// Single-key shortcuts; they can be switched off (WCAG 2.1.4) and never act while somebody types.

const SWITCH = "shortcuts";

export function installShortcuts() {
  const dialog = document.getElementById("shortcuts");
  const enabled = document.getElementById("shortcuts-on");
  enabled.checked = localStorage.getItem(SWITCH) !== "off";
  enabled.addEventListener("change", () => localStorage.setItem(SWITCH, enabled.checked ? "on" : "off"));
  document.getElementById("keys").addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", (event) => {
    if (!enabled.checked || isForSomethingElse(event)) return;
    const act = {
      "/": () => document.getElementById("search")?.focus(),
      j: () => moveRow(1),
      k: () => moveRow(-1),
      f: () => (location.hash = "#/fleet"),
      m: () => (location.hash = "#/models"),
      p: () => document.getElementById("predict")?.click(),
      t: () => document.getElementById("theme").click(),
      "?": () => dialog.showModal(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function isForSomethingElse(event) {
  return (
    event.ctrlKey || event.metaKey || event.altKey ||
    event.target.closest("input:not([type=radio], [type=checkbox]), textarea, select, dialog") !== null
  );
}

/** Rows mark the element that opens them with data-row. */
function moveRow(step) {
  const rows = [...document.querySelectorAll("[data-row]")];
  const place = rows.indexOf(document.activeElement);
  const next = rows[place === -1 ? 0 : Math.min(rows.length - 1, Math.max(0, place + step))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}
