// What is live: version, gate, metrics, endpoint and drift of each model.
import { el } from "./dom.js";
import { featureWords } from "./features.js";
import { count, dateTime, number, UNKNOWN } from "./format.js";
import { empty, sentence, skeleton } from "./notices.js";

const STATUS = {
  live: ["ok", "●", "Live"],
  updating: ["busy", "◐", "Updating"],
  failed: ["bad", "✕", "Failed"],
  absent: ["none", "○", "No model is live"],
  resting: ["none", "☾", "Resting"],
};
const METRIC_WORDS = {
  accuracy: "Accuracy", balanced_accuracy: "Balanced accuracy", macro_f1: "Macro-F1", recall_critical: "Recall of critical", log_loss: "Log loss",
  expected_calibration_error: "Calibration error", rmse: "RMSE, score points", mae: "MAE, score points", r2: "R²",
  interval_coverage: "Coverage of the 90% interval", interval_width: "Mean width of the interval, score points", rows: "Rows judged", devices: "Devices judged",
};
const SPELLINGS = { rmse: "RMSE", mae: "MAE", f1: "F1", psi: "PSI" };

export async function showModels({ root, api, signal }) {
  document.title = "Models · IOPS Insights";
  root.replaceChildren(skeleton("loading the models", "heading", "models"));
  const { models } = await api.get("/api/models", {}, { signal });
  root.replaceChildren(
    el("div", { class: "view-head" }, el("h1", {}, "Models")),
    models.length === 0
      ? empty("No model has been trained yet", "Start the state machine TrainModels with {} as its input; a model that passes its gate appears here.")
      : el("div", { class: "models" }, ...models.map(modelPanel)),
  );
}

function modelPanel(model) {
  const [tone, mark, words] = STATUS[model.status] ?? ["none", "?", model.status];
  return el("section", { class: "panel model", "data-kind": model.kind },
    el("div", { class: "panel-head" }, el("h2", {}, model.kind === "risk" ? "Risk" : "Performance"),
      el("p", { class: ["state", tone] }, el("span", { "aria-hidden": "true" }, mark), ` ${words}`)),
    model.status === "absent" && el("p", {}, "The API answers this kind with 503 until a model is promoted."),
    model.status === "resting" && el("p", {}, "Its endpoint is switched off, by the serving hours or by hand; the API answers with the hour of return."),
    factsOf(model), gateOf(model.gate), metricsOf(model.metrics), driftOf(model.drift));
}

function factsOf(model) {
  const facts = [
    ["Version", model.version], ["Trained", model.created_at && `${dateTime(model.created_at)} UTC`],
    ["Endpoint", model.endpoint_name], ["Instances", model.instances], ["Package", model.model_package_arn],
  ];
  return el("dl", { class: "facts" }, ...facts.flatMap(([name, value]) =>
    [el("dt", {}, name), el("dd", { class: name === "Package" ? "long" : null }, value ?? UNKNOWN)]));
}

function gateOf(gate) {
  if (!gate) return el("div", {}, el("h3", {}, "Gate"), el("p", { class: "muted" }, "No verdict is stored with this version."));
  return el("div", {},
    el("h3", {}, "Gate ", el("span", { class: ["state", gate.passed ? "ok" : "bad"] }, gate.passed ? "✓ passed" : "✕ refused")),
    el("ul", { class: "verdicts" }, ...gate.reasons.map(gateReason)));
}

/** The gate's own words end with its verdict, which is a mark here. */
function gateReason(reason) {
  const [, words, verdict] = reason.match(/^(.*?)(?:: (passed|failed))?$/);
  const [tone, mark] = { passed: ["ok", "✓"], failed: ["bad", "✕"] }[verdict] ?? ["none", "·"];
  return el("li", {}, el("span", { class: ["state", tone], role: "img", "aria-label": verdict ?? "reason" }, mark),
    el("span", {}, sentence(capitalised(words.replaceAll(">=", "≥").replaceAll("<=", "≤")))));
}

function metricsOf(metrics = {}) {
  const known = Object.entries(metrics).filter(([, value]) => typeof value === "number");
  if (known.length === 0) return null;
  return el("div", {}, el("h3", {}, "On devices it never saw"), rowsTable(known.map(([name, value]) => [metricWords(name), metricText(value)])));
}

/** "persistence_macro_f1" as people write it, where the page has no words for it. */
function metricWords(name) {
  if (METRIC_WORDS[name]) return METRIC_WORDS[name];
  const words = name.replace("macro_f1", "macro-F1").split("_").map((word) => SPELLINGS[word] ?? word).join(" ");
  return capitalised(words);
}

function capitalised(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function metricText(value) {
  if (Number.isInteger(value) || Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(Math.abs(value) <= 1 ? 3 : 2);
}

/** `drift` is what the newest watch found: null before the first. */
function driftOf(drift) {
  if (!drift) {
    return el("div", {}, el("h3", {}, "Drift ", el("span", { class: ["state", "none"] }, "○ not watched yet")),
      el("p", { class: "muted" }, "Once a day the requests are held against the training data, and the predictions against what happened."));
  }
  const [tone, words] = drift.drift_detected ? ["bad", "✕ detected"] : ["ok", "✓ none detected"];
  return el("div", { class: "drift" }, el("h3", {}, "Drift ", el("span", { class: ["state", tone] }, words)),
    el("p", { class: "muted" }, `${count(drift.rows, "request")} from ${dateTime(drift.period.start)} to ${dateTime(drift.period.end)} UTC, held against the training data.`),
    rowsTable(driftRows(drift)),
    liveOf(drift),
    el("p", { class: "long muted" }, "Report: ", drift.report));
}

/** What is compared is the features, and the model's own answers. */
function driftedWords(name) {
  return name === "prediction" ? "Predictions have" : `${featureWords(name)} has`;
}

function driftRows(drift) {
  const features = [...drift.drifted_features].sort((one, other) => (other.psi ?? 0) - (one.psi ?? 0));
  return [
    ...features.map(({ feature, psi }) => [`${driftedWords(feature)} drifted, PSI`, measured(psi)]),
    ["Largest PSI of a feature", measured(drift.worst_psi)],
    ["PSI of the predictions", measured(drift.prediction_psi)],
    ["Largest shift of missing values", drift.missing_rate_shift === null ? UNKNOWN : `${(drift.missing_rate_shift * 100).toFixed(1)} points`],
  ];
}

/** How good the predictions were whose outcome is known by now; by variant where two answer. */
function liveOf({ live, variants }) {
  const title = el("h3", {}, "Since it is live");
  if (!live?.outcomes) return el("div", {}, title, el("p", { class: "muted" }, "No outcome is known yet: a prediction is judged when its half hour has passed."));
  return el("div", {}, title, rowsTable([
    ...qualityRow(live),
    ...(live.calibration_error == null ? [] : [["Calibration error", measured(live.calibration_error)]]),
    ["Outcomes known", number(live.outcomes)],
    ...(variants.length > 1 ? variants.flatMap((each) => qualityRow(each, `Variant ${each.variant}: `)) : []),
  ]));
}

function qualityRow(quality, prefix = "") {
  const name = quality.rmse == null ? "accuracy" : "rmse";
  const interval = quality.lower == null || quality.upper == null ? "" : ` (${measured(quality.lower)} to ${measured(quality.upper)})`;
  return [[`${prefix}${METRIC_WORDS[name]}`, `${measured(quality[name])}${interval}`]];
}

function rowsTable(rows) {
  return el("table", { class: "metrics" }, el("tbody", {}, ...rows.map(([name, text]) =>
    el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "number" }, text)))));
}

function measured(value) {
  return value == null ? UNKNOWN : metricText(value);
}
