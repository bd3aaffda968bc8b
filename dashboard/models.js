// What is live: version, gate, metrics, endpoint and drift of each model.
import { el } from "./dom.js";
import { count, dateTime, number, UNKNOWN } from "./format.js";
import { empty, sentence, skeleton } from "./notices.js";

const STATUS = {
  live: ["ok", "●", "Live"],
  updating: ["busy", "◐", "Updating"],
  failed: ["bad", "✕", "Failed"],
  absent: ["none", "○", "No model is live"],
};
const METRIC_WORDS = {
  accuracy: "Accuracy", macro_f1: "Macro-F1", critical_recall: "Recall of critical", recall_critical: "Recall of critical", log_loss: "Log loss", mlogloss: "Log loss",
  rmse: "RMSE, score points", mae: "MAE, score points", r2: "R²", interval_coverage: "Coverage of the 90% interval", coverage: "Coverage of the 90% interval",
  interval_width: "Mean width of the interval", expected_calibration_error: "Calibration error",
};

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
    el("ul", { class: "sentences" }, ...gate.reasons.map((reason) => el("li", {}, sentence(reason)))));
}

function metricsOf(metrics = {}) {
  const known = Object.entries(metrics).filter(([, value]) => typeof value === "number");
  if (known.length === 0) return null;
  return el("div", {}, el("h3", {}, "On devices it never saw"),
    el("table", { class: "metrics" }, el("tbody", {}, ...known.map(([name, value]) =>
      el("tr", {}, el("th", { scope: "row" }, METRIC_WORDS[name] ?? sentence(name.replaceAll("_", " ")).slice(0, -1)), el("td", { class: "number" }, metricText(value)))))));
}

function metricText(value) {
  if (Number.isInteger(value) || Math.abs(value) >= 100) return number(value);
  return value.toFixed(Math.abs(value) <= 1 ? 3 : 2);
}

function driftOf(drift) {
  const title = el("h3", {}, "Drift");
  if (!drift?.features?.length) return el("div", {}, title, el("p", { class: "muted" }, "Not measured yet."));
  const strongest = [...drift.features].sort((one, other) => other.psi - one.psi).slice(0, 5);
  return el("div", {}, title,
    el("p", { class: "muted" }, `PSI of ${count(drift.features.length, "feature")}, measured ${dateTime(drift.measured_at)} UTC; above 0.2 the model sees another fleet.`),
    el("table", { class: "metrics" }, el("tbody", {}, ...strongest.map(({ feature, psi }) =>
      el("tr", {}, el("th", { scope: "row" }, feature.replaceAll("_", " ")), el("td", { class: "number" }, psi.toFixed(3)))))));
}
