// The four levels: order, words and shapes. A level is always a shape and a word as well as a colour.
import { el, svg } from "./dom.js";

export const LEVELS = ["low", "medium", "high", "critical"];

const SHAPES = {
  low: () => svg("circle", { cx: 6, cy: 6, r: 4 }),
  medium: () => svg("path", { d: "M6 1.2 10.8 6 6 10.8 1.2 6Z" }),
  high: () => svg("path", { d: "M6 1.2 11 10.5H1Z" }),
  // a square with an exclamation mark cut out of it
  critical: () => svg("path", { "fill-rule": "evenodd", d: "M1 2a1 1 0 0 1 1-1h8a1 1 0 0 1 1 1v8a1 1 0 0 1-1 1H2a1 1 0 0 1-1-1ZM5.2 2.4h1.6v4.4H5.2ZM5.2 8h1.6v1.6H5.2Z" }),
};

export function severity(level) {
  return LEVELS.indexOf(level);
}

/** The shape alone, for places where the word stands beside it. */
export function levelShape(level) {
  return svg("svg", { class: `shape ${level}`, viewBox: "0 0 12 12", "aria-hidden": "true" }, SHAPES[level]?.());
}

export function levelChip(level, { isStale = false } = {}) {
  return el(
    "span",
    { class: ["chip", level, isStale && "stale"], title: isStale ? "newer insights exist than this prediction saw" : null },
    levelShape(level),
    level,
    isStale && el("span", { class: "visually-hidden" }, " (older prediction)"),
  );
}
