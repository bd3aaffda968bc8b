// Counts per level that filter, a search, and the choices of class and workload.
import { el } from "./dom.js";
import { count, UNKNOWN } from "./format.js";
import { LEVELS, levelShape } from "./risk.js";

const NONE = "none";

export function createFilters({ query, onChange }) {
  const chosen = new Set((query.get("risk") ?? "").split(",").filter((level) => [...LEVELS, NONE].includes(level)));
  const tiles = el("div", { class: "tiles", role: "group", "aria-label": "Filter by predicted risk" });
  const buttons = new Map([...LEVELS].reverse().concat(NONE).map((level) => [level, tile(level)]));
  const search = el("input", {
    type: "search", id: "search", placeholder: "Search devices", "aria-label": "Search devices", value: query.get("q") ?? "",
    on: { input: onChange },
  });
  const deviceClass = select("Class", query.get("class"), onChange);
  const workload = select("Workload", query.get("workload"), onChange);
  const shown = el("p", { class: "shown", role: "status" });
  tiles.append(...buttons.values());

  function tile(level) {
    const name = level === NONE ? "no prediction" : level;
    const button = el("button", { type: "button", class: ["tile", level], "aria-pressed": chosen.has(level) },
      el("span", { class: "tile-count" }, "0"),
      el("span", { class: "tile-name" }, level !== NONE && levelShape(level), name));
    button.addEventListener("click", () => {
      if (!chosen.delete(level)) chosen.add(level);
      button.setAttribute("aria-pressed", chosen.has(level));
      onChange();
    });
    return button;
  }

  return {
    tiles,
    toolbar: (sortChoice) => el("div", { class: "toolbar" }, search, deviceClass.label, workload.label, sortChoice, shown),
    learn(devices) {
      for (const [level, button] of buttons) {
        const quantity = devices.filter((device) => levelOf(device) === level).length;
        button.querySelector(".tile-count").textContent = quantity.toLocaleString("en-US");
      }
      deviceClass.offer(devices.map((device) => device.device_class));
      workload.offer(devices.map((device) => device.workload_type));
    },
    apply(devices) {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      return devices.filter((device) =>
        (chosen.size === 0 || chosen.has(levelOf(device))) &&
        (deviceClass.value() === "" || device.device_class === deviceClass.value()) &&
        (workload.value() === "" || device.workload_type === workload.value()) &&
        words.every((word) => device.device_id.toLowerCase().includes(word)));
    },
    say(found, total) {
      shown.textContent = found === total ? count(total, "device") : `${found} of ${count(total, "device")}`;
    },
    entries: () => [
      ["risk", [...chosen].join(",")], ["q", search.value], ["class", deviceClass.value()], ["workload", workload.value()],
    ].filter(([, value]) => value),
  };
}

function levelOf(device) {
  return device.risk?.risk_level ?? NONE;
}

/** Offers what the fleet has, and keeps what the address asked for although nothing has it. */
function select(name, asked, onChange) {
  const input = el("select", { on: { change: onChange } });
  const offered = new Set();
  add("", `every ${name.toLowerCase()}`);
  if (asked) {
    add(asked, asked);
    input.value = asked;
  }
  function add(value, text) {
    offered.add(value);
    input.append(el("option", { value }, text));
  }
  return {
    label: el("label", { class: "field" }, el("span", {}, name), input),
    value: () => input.value,
    offer(values) {
      for (const value of [...new Set(values)].filter((value) => value && value !== UNKNOWN).sort()) {
        if (!offered.has(value)) add(value, value);
      }
    },
  };
}
