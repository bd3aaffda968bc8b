// One device: what is predicted and why, what was measured, what was predicted before and what came of it.
import { createCharts } from "./charts.js";
import { el } from "./dom.js";
import { forecastPanel } from "./forecast.js";
import { age, count, withUnit } from "./format.js";
import { feedbackForm, historyPanel, readDraft } from "./history.js";
import { empty, skeleton, unavailableNotice } from "./notices.js";
import { isFresh, KINDS, predictDevice } from "./predictions.js";

const REFRESH_MS = 60_000;
const ROW_CHOICES = [72, 288, 1000];
const PREDICTIONS_A_PAGE = 200;
const NAMES = { risk: "Risk", performance: "Performance" };

export async function showDevice({ root, api, session, argument: deviceId, query, signal, fail }) {
  document.title = `${deviceId} · IOPS Insights`;
  root.replaceChildren(skeleton("loading the device", "heading", "forecasts", "charts"));
  const rows = ROW_CHOICES.find((choice) => String(choice) === query.get("rows")) ?? 288;
  const state = { deviceId, rows, problems: {}, chosen: {}, ...(await readDevice(api, deviceId, rows, signal)) };
  if (state.insights.length === 0) {
    root.replaceChildren(el("h1", {}, deviceId), empty(
      "Nothing is known of this device", "No insight of it is stored. Check the id, or choose a device of the fleet.",
    ), el("p", {}, el("a", { href: "#/fleet" }, "Back to the fleet")));
    return;
  }
  const page = layout({ root, api, session, state, signal });
  const predictMissing = async ({ isAsked }) => {
    try {
      await predictNow({ api, state, signal, isAsked });
      page.draw(() => predictMissing({ isAsked: false }));
    } catch (error) {
      fail(error);
    }
  };
  page.onPredict(() => predictMissing({ isAsked: true }));
  page.draw();
  await page.whileAsking(() => predictMissing({ isAsked: false }));
  keepUpToDate({ api, state, signal, fail, draw: () => predictMissing({ isAsked: false }) });
}

/** The measured rows and every prediction since the first of them, newest first. */
async function readDevice(api, deviceId, rows, signal) {
  const { insights } = await api.get("/api/insights", { device_id: deviceId, limit: rows }, { signal });
  const query = { device_id: deviceId, from: insights[0]?.timestamp, limit: PREDICTIONS_A_PAGE };
  const predictions = insights.length ? await api.all("/api/predictions", "predictions", query, { signal }) : [];
  return { insights, predictions: inOrder(predictions) };
}

/** Newest first, risk before score. */
function inOrder(predictions) {
  const key = ({ as_of, predicted_at, kind }) => `${as_of} ${kind === "risk" ? 1 : 0} ${predicted_at}`;
  return [...predictions].sort((one, other) => (key(one) < key(other) ? 1 : -1));
}

function keepUpToDate({ api, state, signal, fail, draw }) {
  const timer = setInterval(async () => {
    if (document.visibilityState !== "visible" || document.activeElement?.closest("form")) return; // never under somebody's hands
    try {
      Object.assign(state, await readDevice(api, state.deviceId, state.rows, signal));
      await draw();
    } catch (error) {
      fail(error);
    }
  }, REFRESH_MS);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

/** Asks the models whose newest prediction is older than the newest insight, and those that failed before; `isAsked`: both. */
async function predictNow({ api, state, signal, isAsked }) {
  const asOf = state.insights.at(-1).timestamp;
  await Promise.all(KINDS.map(async (kind) => {
    if (!isAsked && !state.problems[kind] && isFresh(newest(state, kind), asOf)) return;
    delete state.problems[kind];
    try {
      const prediction = await predictDevice({ api, kind, deviceId: state.deviceId, signal });
      state.predictions = inOrder([prediction, ...state.predictions]);
    } catch (problem) {
      if (problem.status === undefined || signal.aborted) throw problem;
      state.problems[kind] = problem;
    }
  }));
}

function newest(state, kind) {
  return state.predictions.find((prediction) => prediction.kind === kind);
}

function layout({ root, api, session, state, signal }) {
  const predict = el("button", { type: "button", id: "predict" }, "Predict now");
  const problems = el("div", { class: "problems" });
  const forecasts = el("div", { class: "forecasts" });
  const records = el("div", { class: "records" });
  const charts = createCharts({ signal });
  let again = () => {};
  let drawn = new AbortController();

  function draw(retry = again) {
    again = retry;
    drawn.abort();
    drawn = new AbortController();
    const leave = AbortSignal.any([signal, drawn.signal]);
    let isRetried = false;
    const once = () => { if (!isRetried) again(); isRetried = true; };
    problems.replaceChildren(...Object.entries(state.problems).map(([kind, problem]) => kindNotice(kind, problem, once, leave)));
    charts.draw(state);
    drawChosen();
  }
  function drawChosen() {
    const chosen = Object.fromEntries(KINDS.map((kind) => [kind, state.chosen[kind] ?? newest(state, kind)]));
    forecasts.replaceChildren(...KINDS.map((kind) => forecastPanel(kind, chosen[kind], {
      isNewest: chosen[kind] === newest(state, kind), onNewest: () => choose(newest(state, kind)),
    })));
    const subject = state.predictions.find((prediction) => readDraft(prediction).id) ?? state.subject ?? chosen.risk ?? chosen.performance;
    records.replaceChildren(
      historyPanel({ predictions: state.predictions, chosen, onChoose: choose }),
      ...(subject ? [feedbackForm({ prediction: subject, api, session, signal, onGiven: (feedback) => keep(subject, feedback) })] : []));
  }
  function choose(prediction) {
    state.chosen[prediction.kind] = prediction;
    state.subject = prediction;
    drawChosen();
    charts.mark(prediction.as_of);
  }
  function keep(prediction, feedback) {
    const answered = { ...prediction, feedback };
    state.predictions = state.predictions.map((each) => (each.prediction_id === prediction.prediction_id ? answered : each));
    state.chosen[prediction.kind] = answered;
    state.subject = answered;
    draw();
    records.querySelector(".feedback [role=status]").replaceChildren(el("p", { class: "done" }, "Thank you: the feedback is stored."));
  }

  async function whileAsking(ask) {
    predict.disabled = true;
    await ask();
    predict.disabled = false;
  }

  root.replaceChildren(heading(state, predict), problems, forecasts, charts.element, records);
  return { draw, whileAsking, onPredict: (listener) => predict.addEventListener("click", () => whileAsking(listener)) };
}

function heading({ deviceId, insights, rows }, predict) {
  const last = insights.at(-1);
  const facts = [last.device_class ?? "class unknown", last.workload_type && `${last.workload_type} workload`,
    last.latency_slo_ms && `p99 objective ${withUnit(last.latency_slo_ms, "ms")}`, last.provisioned_iops && `${withUnit(last.provisioned_iops, "IOPS")} provisioned`,
    `newest insight ${age(last.timestamp)} old`].filter(Boolean);
  const range = el("select", {}, ...ROW_CHOICES.map((choice) => el("option", { value: choice, selected: choice === rows }, count(choice, "interval"))));
  range.addEventListener("change", () => { location.hash = `#/device/${encodeURIComponent(deviceId)}?rows=${range.value}`; });
  return el("div", { class: "view-head" },
    el("div", { class: "identity" },
      el("h1", { class: "device-name" }, el("a", { class: "crumb", href: "#/fleet" }, "Fleet"), el("span", { class: "muted", "aria-hidden": "true" }, " / "), deviceId),
      el("p", { class: "status" }, facts.join(" · "))),
    el("div", { class: "actions" }, el("label", { class: "field" }, el("span", {}, "Newest"), range), predict));
}

function kindNotice(kind, problem, again, leave) {
  if (problem.isUnavailable) return unavailableNotice(problem, { what: NAMES[kind], again, leave });
  return el("section", { class: "notice" }, el("h2", {}, `${NAMES[kind]}: ${problem.title}`), el("p", {}, problem.message));
}
