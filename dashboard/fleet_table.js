// The sortable table of devices. Rows are made as they are scrolled to, and only rows whose device changed are made again.
import { el, withVariables } from "./dom.js";
import { age, dateTime, interval, number, percent, score, UNKNOWN } from "./format.js";
import { isFresh } from "./predictions.js";
import { levelChip, severity } from "./risk.js";

const ROWS_AT_ONCE = 60;

const text = (device, name) => device[name] ?? UNKNOWN;
const COLUMNS = [
  { key: "device", title: "Device", of: (d) => d.device_id, cell: deviceCell },
  { key: "class", title: "Class", of: (d) => d.device_class, cell: (d) => text(d, "device_class") },
  { key: "workload", title: "Workload", of: (d) => d.workload_type, cell: (d) => text(d, "workload_type") },
  { key: "risk", title: "Risk", of: riskOrder, isDescending: true, cell: riskCell },
  { key: "confidence", title: "Confidence", of: (d) => d.risk?.confidence, isDescending: true, isNumber: true, cell: (d) => percent(d.risk?.confidence) },
  { key: "score", title: "Score", unit: "0–100", of: (d) => d.performance?.performance_score, isNumber: true, cell: scoreCell },
  { key: "read", title: "Read", unit: "IOPS", of: (d) => d.read_iops, isDescending: true, isNumber: true, cell: (d) => number(d.read_iops) },
  { key: "write", title: "Write", unit: "IOPS", of: (d) => d.write_iops, isDescending: true, isNumber: true, cell: (d) => number(d.write_iops) },
  { key: "p99", title: "p99", unit: "ms", of: latencyOf, isDescending: true, isNumber: true, cell: latencyCell },
  { key: "queue", title: "Queue", unit: "I/Os", of: (d) => d.queue_depth, isDescending: true, isNumber: true, cell: (d) => number(d.queue_depth) },
  { key: "age", title: "Age", of: (d) => d.as_of, isDescending: true, isNumber: true, cell: (d) => el("time", { datetime: d.as_of, title: `${dateTime(d.as_of)} UTC` }, age(d.as_of)) },
];

export function createTable({ query, signal, onChange }) {
  const order = orderOf(query.get("sort"));
  const headers = COLUMNS.map((column) => headerOf(column, () => sortBy(column)));
  const body = el("tbody");
  const more = el("div", { class: "more", "aria-hidden": "true" });
  const none = el("p", { class: "empty", hidden: true }, "No device matches. Clear the search or a filter.");
  const sortChoice = sortSelect(order, (key, isDescending) => setOrder(key, isDescending));
  const rowOf = rowCache();
  let sorted = [];
  let made = ROWS_AT_ONCE;

  function sortBy({ key, isDescending = false }) {
    setOrder(key, order.key === key ? !order.isDescending : isDescending);
  }
  function setOrder(key, isDescending) {
    Object.assign(order, { key, isDescending });
    draw(sorted, { isOther: true });
    onChange();
  }
  /** `isOther`: another choice or order of devices, which is read from its top again. */
  function draw(devices, { isOther = false } = {}) {
    if (isOther) made = ROWS_AT_ONCE;
    sorted = [...devices].sort(comparison(order));
    const focused = document.activeElement?.closest?.("tr")?.dataset.device;
    body.replaceChildren(...sorted.slice(0, made).map(rowOf));
    if (focused) body.querySelector(`tr[data-device="${CSS.escape(focused)}"] [data-row]`)?.focus({ preventScroll: true });
    more.hidden = made >= sorted.length;
    none.hidden = sorted.length > 0;
    headers.forEach((header, place) => markSorted(header, COLUMNS[place].key === order.key, order.isDescending));
    sortChoice.show(order);
  }
  const scrolled = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting) || made >= sorted.length) return;
    body.append(...sorted.slice(made, made + ROWS_AT_ONCE).map(rowOf));
    made += ROWS_AT_ONCE;
    more.hidden = made >= sorted.length;
    scrolled.unobserve(more); // observed anew it reports again, also if it never left the window between two frames
    scrolled.observe(more);
  }, { rootMargin: "1200px" });
  scrolled.observe(more);
  signal.addEventListener("abort", () => scrolled.disconnect(), { once: true });

  return {
    sortChoice: sortChoice.label,
    element: el("div", { class: "table-frame" },
      el("table", { class: "fleet" }, el("caption", { class: "visually-hidden" }, "Devices of the fleet"),
        el("thead", {}, el("tr", {}, ...headers)), body), none, more),
    draw,
    entries: () => (order.key === "risk" && order.isDescending ? [] : [["sort", (order.isDescending ? "-" : "") + order.key]]),
  };
}

function orderOf(asked) {
  const key = (asked ?? "-risk").replace(/^-/, "");
  return COLUMNS.some((column) => column.key === key)
    ? { key, isDescending: (asked ?? "-risk").startsWith("-") }
    : { key: "risk", isDescending: true };
}

/** What is unknown comes last in either direction; equal values by device, so that nothing jumps. */
function comparison({ key, isDescending }) {
  const { of } = COLUMNS.find((column) => column.key === key);
  const sign = isDescending ? -1 : 1;
  return (one, other) => {
    const [left, right] = [of(one), of(other)];
    const isKnown = [left, right].map((value) => value !== null && value !== undefined);
    if (isKnown[0] !== isKnown[1]) return isKnown[0] ? -1 : 1;
    if (isKnown[0] && left !== right) return (left < right ? -1 : 1) * sign;
    return one.device_id < other.device_id ? -1 : 1;
  };
}

/** By level, then by how sure the model is. */
function riskOrder({ risk }) {
  return risk ? severity(risk.risk_level) + risk.confidence / 2 : null;
}

function latencyOf(device) {
  return device.p99_latency_ms ?? device.avg_latency_ms;
}

function rowCache() {
  const rows = new Map();
  return (device) => {
    const known = rows.get(device.device_id);
    if (known?.device === device) return known.row;
    const row = el("tr", { "data-device": device.device_id },
      ...COLUMNS.map(({ key, title, unit, isNumber, cell }) =>
        el("td", { class: [key, isNumber && "number"], "data-title": unit ? `${title}, ${unit}` : title }, cell(device))));
    row.addEventListener("click", (event) => {
      if (!event.target.closest("a") && !getSelection().toString()) row.querySelector("a").click();
    });
    rows.set(device.device_id, { device, row });
    return row;
  };
}

export function deviceAddress(deviceId) {
  return `#/device/${encodeURIComponent(deviceId)}`;
}

function deviceCell(device) {
  return el("a", { href: deviceAddress(device.device_id), "data-row": true }, device.device_id);
}

function riskCell({ risk, as_of }) {
  return risk ? levelChip(risk.risk_level, { isStale: !isFresh(risk, as_of) }) : el("span", { class: "muted" }, "not predicted");
}

function scoreCell({ performance, as_of }) {
  if (!performance) return UNKNOWN;
  const { lower, upper } = performance.interval;
  const bar = withVariables(el("span", { class: "score-bar", "aria-hidden": "true" }),
    { lower, width: upper - lower, score: performance.performance_score });
  return el("span", { class: ["score-cell", !isFresh(performance, as_of) && "stale"], title: `90% interval ${interval(performance.interval)}` },
    bar, el("span", { class: "value" }, score(performance.performance_score)));
}

function latencyCell(device) {
  const latency = latencyOf(device);
  const isAverage = device.p99_latency_ms === null && latency !== null;
  const isOver = device.latency_slo_ms && latency > device.latency_slo_ms;
  return el("span", { class: isOver ? "over" : null, title: device.latency_slo_ms ? `objective ${number(device.latency_slo_ms)} ms` : "no objective known" },
    isOver && el("span", { class: "over-mark" }, el("span", { "aria-hidden": "true" }, "▲"), el("span", { class: "visually-hidden" }, "over its objective ")),
    number(latency), isAverage && el("span", { class: "muted" }, " avg"));
}

function headerOf({ title, unit, isNumber }, onSort) {
  return el("th", { scope: "col", class: isNumber ? "number" : null },
    el("button", { type: "button", class: "sort", on: { click: onSort } }, title, unit && el("span", { class: "unit" }, ` ${unit}`),
      el("span", { class: "direction", "aria-hidden": "true" })));
}

function markSorted(header, isSorted, isDescending) {
  header.querySelector(".direction").textContent = isSorted ? (isDescending ? "▼" : "▲") : "";
  if (isSorted) header.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
  else header.removeAttribute("aria-sort");
}

/** Where the rows are cards there is no header to press. */
function sortSelect(order, onSort) {
  const input = el("select", {}, ...COLUMNS.flatMap(({ key, title }) => [
    el("option", { value: `-${key}` }, `${title}, highest first`), el("option", { value: key }, `${title}, lowest first`),
  ]));
  input.addEventListener("change", () => onSort(input.value.replace(/^-/, ""), input.value.startsWith("-")));
  return {
    label: el("label", { class: "field narrow-only" }, el("span", {}, "Sort"), input),
    show: ({ key, isDescending }) => { input.value = (isDescending ? "-" : "") + key; },
  };
}
