// The measured values in numbers, for those whom a picture does not serve.
import { el } from "./dom.js";
import { dateTime, number } from "./format.js";

const ROWS = 48;
const COLUMNS = [
  ["Read", "IOPS", "read_iops"], ["Write", "IOPS", "write_iops"], ["Average", "ms", "avg_latency_ms"], ["p95", "ms", "p95_latency_ms"],
  ["p99", "ms", "p99_latency_ms"], ["Queue", "I/Os", "queue_depth"], ["Bandwidth", "MB/s", "bandwidth_mbps"],
];

export function measuredTable(insights) {
  const newest = insights.slice(-ROWS).reverse();
  return el("div", { class: "scroll-x", tabindex: 0, role: "group", "aria-label": "Measured values" },
    el("table", {},
      el("caption", { class: "muted" }, `The newest ${newest.length} intervals`),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "End of interval, UTC"),
        ...COLUMNS.map(([title, unit]) => el("th", { scope: "col", class: "number" }, title, el("span", { class: "unit" }, ` ${unit}`))))),
      el("tbody", {}, ...newest.map((insight) => el("tr", {}, el("th", { scope: "row" }, dateTime(insight.timestamp)),
        ...COLUMNS.map(([, , field]) => el("td", { class: "number" }, number(insight[field]))))))));
}
