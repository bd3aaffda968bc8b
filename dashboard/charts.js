// The charts of a device, one below the other on one time axis with one cursor.
import { charts, timeline } from "./chart_kinds.js";
import { drawMark, drawScores, drawLevels, palette } from "./chart_drawing.js";
import { el } from "./dom.js";
import { dateTime } from "./format.js";
import { measuredTable } from "./measured_table.js";

const AXIS_WIDTH = 56;
const TIME_AXIS_HEIGHT = 30;
const SYNC = "device";
const { uPlot } = globalThis;

export function createCharts({ signal }) {
  const frames = el("div", { class: "chart-stack", tabindex: 0, role: "group", "aria-label": "Charts; left and right arrows move the cursor" });
  const moment = el("p", { class: "moment muted" });
  const table = el("details", { class: "measured" }, el("summary", {}, "Measured values as a table"));
  const element = el("section", { class: "panel charts" },
    el("div", { class: "panel-head" }, el("h2", {}, "Measured and predicted"), moment), frames, table);
  let plots = [];
  let state = null;
  let marked = null;
  let cursorPlace = -1;

  function draw(next = state) {
    state = next;
    destroy();
    const time = timeline(state);
    const colours = palette(frames);
    const kinds = charts(state, time);
    const built = kinds.map((kind, place) => frameOf(kind, { isLast: place === kinds.length - 1 }));
    frames.replaceChildren(...built.map(({ frame }) => frame));
    plots = built.map(({ kind, canvas, readout, isLast }) => ({
      kind, readout,
      plot: new uPlot(options({ kind, isLast, colours, width: canvas.clientWidth, onCursor, marked: () => marked }), kind.data, canvas),
    }));
    table.replaceChildren(table.firstChild, measuredTable(state.insights));
    tell(null);
  }
  function destroy() {
    for (const { plot } of plots) plot.destroy();
    plots = [];
  }
  function onCursor(plot) {
    tell(plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, "x") : null);
  }
  /** Every chart's values at a time (s), or the newest ones. */
  function tell(time) {
    const at = time ?? Number.POSITIVE_INFINITY;
    moment.textContent = time === null ? "newest values; drag to zoom, double-click to reset" : `${dateTime(time * 1000)} UTC`;
    for (const { kind, readout } of plots) {
      readout.replaceChildren(...kind.readout(at).map(({ name, value, swatch }) =>
        el("span", {}, swatch && el("i", { class: ["swatch", swatch] }), `${name} `, el("span", { class: "value" }, value))));
    }
  }
  function moveCursor(step) {
    const times = plots[0].kind.data[0].filter((_, place) => plots[0].kind.data[1][place] !== null);
    cursorPlace = Math.min(times.length - 1, Math.max(0, (cursorPlace === -1 ? times.length : cursorPlace) + step));
    for (const { plot } of plots) plot.setCursor({ left: plot.valToPos(times[cursorPlace], "x"), top: 0 });
  }

  frames.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined || plots.length === 0) return;
    event.preventDefault();
    moveCursor(step);
  });
  const resized = new ResizeObserver(() => {
    for (const { plot } of plots) plot.setSize({ width: plot.root.parentElement.clientWidth, height: plot.height });
  });
  resized.observe(frames);
  const redraw = () => state && draw();
  document.addEventListener("theme-changed", redraw, { signal });
  signal.addEventListener("abort", () => { resized.disconnect(); destroy(); }, { once: true });

  return {
    element,
    draw,
    mark(asOf) {
      marked = Date.parse(asOf) / 1000;
      for (const { plot } of plots) plot.redraw(false);
    },
  };
}

function frameOf(kind, { isLast }) {
  const canvas = el("div", { class: "canvas", role: "img", "aria-label": kind.summary });
  const readout = el("p", { class: "readout" });
  const frame = el("div", { class: "chart", "data-chart": kind.name },
    el("div", { class: "chart-head" }, el("h3", {}, kind.title, kind.unit && el("span", { class: "unit" }, ` ${kind.unit}`)), readout), canvas);
  return { kind, frame, canvas, readout, isLast };
}

function options({ kind, isLast, colours, width, onCursor, marked }) {
  const line = { stroke: colours.muted, font: colours.font, grid: { stroke: colours.grid, width: 1 }, ticks: { show: false } };
  return {
    width: Math.max(width, 200),
    height: kind.height + (isLast ? TIME_AXIS_HEIGHT : 6),
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    legend: { show: false },
    padding: [6, 8, 0, 0],
    cursor: { sync: { key: SYNC }, y: false, points: { size: 6 }, drag: { x: true, y: false } },
    scales: { x: { time: true }, y: { range: kind.range } },
    axes: [
      { ...line, size: isLast ? TIME_AXIS_HEIGHT : 6, values: isLast ? timeLabels : (plot, splits) => splits.map(() => "") },
      { ...line, size: AXIS_WIDTH, gap: 6, space: 28, splits: kind.splits, values: kind.labels },
    ],
    series: [{}, ...kind.series.map(({ colour, ...series }) => ({ stroke: colours[colour], width: 1.5, points: { show: false }, ...series }))],
    hooks: {
      drawAxes: [(plot) => drawSegments(plot, kind, colours)],
      draw: [(plot) => drawMark(plot, marked(), colours)],
      setCursor: [onCursor],
    },
  };
}

function drawSegments(plot, kind, colours) {
  if (kind.name === "risk") drawLevels(plot, kind.segments, colours);
  if (kind.name === "score") drawScores(plot, kind.segments, colours);
}

const LABELS = {
  day: new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "2-digit", month: "short" }),
  minute: new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", hour: "2-digit", minute: "2-digit" }),
  second: new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", hour: "2-digit", minute: "2-digit", second: "2-digit" }),
};

/** The time of day, and the date where a day begins. */
function timeLabels(plot, splits, axis, space, step) {
  return splits.map((seconds) => {
    const form = step >= 86400 || seconds % 86400 === 0 ? "day" : step >= 60 ? "minute" : "second";
    return LABELS[form].format(new Date(seconds * 1000));
  });
}
