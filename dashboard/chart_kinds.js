// What each chart of a device shows: its data, range, words at a time, and the text that stands for the picture.
import { axisNumber, count, interval, percent, score, UNKNOWN, withUnit } from "./format.js";
import { LEVELS, severity } from "./risk.js";

export const HORIZON_INTERVALS = 6; // a prediction speaks for the next half hour: six intervals
const GAP_INTERVALS = 1.5; // rows further apart than this are not joined by a line

/** From the first insight to the end of what the newest prediction speaks for; every chart spans exactly this. */
export function timeline({ insights }) {
  const last = insights.at(-1);
  return {
    start: seconds(insights[0].timestamp),
    end: seconds(last.timestamp) + HORIZON_INTERVALS * last.interval_seconds,
    horizon: HORIZON_INTERVALS * last.interval_seconds,
  };
}

export function charts({ insights, predictions }, time) {
  const rows = withGaps(insights, time);
  const segments = (kind) => segmentsOf(predictions.filter((prediction) => prediction.kind === kind), time);
  return [
    measured(rows, {
      name: "iops", title: "IOPS", unit: "operations/s", height: 110,
      lines: [["read", "read_iops", "line-1"], ["write", "write_iops", "line-2"]], valueUnit: "IOPS",
    }),
    measured(rows, {
      name: "latency", title: "Latency", unit: "ms", height: 120,
      lines: [["p99", "p99_latency_ms", "line-1"], ["p95", "p95_latency_ms", "line-3"], ["average", "avg_latency_ms", "line-2"],
        ["objective", "latency_slo_ms", "line-slo", { dash: [6, 4] }]], valueUnit: "ms",
      objective: insights.at(-1).latency_slo_ms,
    }),
    measured(rows, { name: "queue", title: "Queue depth", unit: "I/Os in flight", height: 80, lines: [["mean", "queue_depth", "line-1"]], valueUnit: "I/Os" }),
    riskChart(segments("risk"), time),
    scoreChart(segments("performance"), time),
  ];
}

function seconds(text) {
  return Date.parse(text) / 1000;
}

/** Null rows end a line where rows are missing; the last one carries every chart to the same end. */
function withGaps(insights, { end }) {
  const rows = [];
  for (const insight of insights) {
    const at = seconds(insight.timestamp);
    const before = rows.at(-1);
    if (before && at - before.at > GAP_INTERVALS * insight.interval_seconds) rows.push({ at: before.at + insight.interval_seconds, insight: null });
    rows.push({ at, insight });
  }
  return [...rows, { at: end, insight: null }];
}

function measured(rows, { lines, valueUnit, objective = null, ...chart }) {
  const known = lines.filter(([, field]) => rows.some(({ insight }) => (insight?.[field] ?? null) !== null));
  const shown = known.length ? known : lines.slice(0, 1);
  const columns = shown.map(([, field]) => rows.map(({ insight }) => insight?.[field] ?? null));
  const highest = Math.max(0, ...shown.filter(([, field]) => field !== "latency_slo_ms").flatMap(([, field]) => rows.map(({ insight }) => insight?.[field] ?? 0)));
  // An objective far above what is measured would press the line flat; its value stands in the words.
  const top = objective && objective <= 4 * highest ? Math.max(highest, objective) : highest;
  const newest = rows.findLast(({ insight }) => insight).insight;
  return {
    ...chart,
    data: [rows.map(({ at }) => at), ...columns],
    series: shown.map(([label, , colour, more]) => ({ label, colour, ...more })),
    range: [0, top * 1.08 || 1],
    labels: (plot, splits) => splits.map(axisNumber),
    summary: `${chart.title}: ${shown.map(([label, field]) => `${label} ${withUnit(newest[field], valueUnit)}`).join(", ")}; highest ${withUnit(highest, valueUnit)}`,
    readout: (at) => {
      const { insight } = nearest(rows.filter(({ insight }) => insight), at);
      return shown.map(([name, field, swatch]) => ({ name, swatch, value: withUnit(insight[field], valueUnit) }));
    },
  };
}

function nearest(rows, at) {
  const after = rows.findIndex((row) => row.at >= at);
  if (after === -1) return rows.at(-1);
  if (after === 0) return rows[0];
  return at - rows[after - 1].at < rows[after].at - at ? rows[after - 1] : rows[after];
}

/** The newest prediction of each time, from there to the next one or to its horizon's end. */
function segmentsOf(predictions, { horizon, start }) {
  const byTime = new Map([...predictions].reverse().map((prediction) => [seconds(prediction.as_of), prediction]));
  const times = [...byTime.keys()].filter((at) => at >= start).sort((one, other) => one - other);
  return times.map((from, place) => ({ from, to: Math.min(from + horizon, times[place + 1] ?? Infinity), prediction: byTime.get(from) }));
}

function predictedAt(segments, at) {
  if (at === Infinity) return segments.at(-1)?.prediction;
  return segments.findLast(({ from, to }) => from <= at && at <= to)?.prediction;
}

/** Segments draw themselves; the data only spans the time axis. */
function predicted({ start, end }, chart) {
  return { ...chart, data: [[start, end], [null, null]], series: [{ label: chart.title, colour: "line-1" }] };
}

function riskChart(segments, time) {
  const newest = segments.at(-1)?.prediction;
  return predicted(time, {
    name: "risk", title: "Predicted risk", unit: "", height: 90, segments,
    range: [0, LEVELS.length],
    splits: () => LEVELS.map((level) => severity(level) + 0.5),
    labels: () => LEVELS,
    summary: `Predicted risk: ${count(segments.length, "prediction")}${newest ? `, the newest ${newest.risk_level}` : ""}`,
    readout: (at) => {
      const prediction = predictedAt(segments, at);
      if (!prediction) return [{ name: "level", value: UNKNOWN }];
      return [{ name: "level", value: prediction.risk_level, swatch: prediction.risk_level }, { name: "confidence", value: percent(prediction.confidence) },
        ...(prediction.feedback?.risk_level ? [{ name: "happened", value: prediction.feedback.risk_level }] : [])];
    },
  });
}

function scoreChart(segments, time) {
  const newest = segments.at(-1)?.prediction;
  return predicted(time, {
    name: "score", title: "Predicted score", unit: "0–100, with 90% interval", height: 110, segments,
    range: [0, 100],
    splits: () => [0, 25, 50, 75, 100],
    labels: (plot, splits) => splits.map(String),
    summary: `Predicted score: ${count(segments.length, "prediction")}${newest ? `, the newest ${score(newest.performance_score)}, interval ${interval(newest.interval)}` : ""}`,
    readout: (at) => {
      const prediction = predictedAt(segments, at);
      if (!prediction) return [{ name: "score", value: UNKNOWN }];
      return [{ name: "score", value: score(prediction.performance_score), swatch: "line-1" }, { name: "interval", value: interval(prediction.interval) },
        ...(Number.isFinite(prediction.feedback?.performance_score) ? [{ name: "happened", value: score(prediction.feedback.performance_score) }] : [])];
    },
  });
}
