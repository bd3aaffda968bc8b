// The stored predictions of a device with what was fed back, and the form that tells what really happened.
import { el } from "./dom.js";
import { count, dateTime, interval, percent, score } from "./format.js";
import { errorNotice } from "./notices.js";
import { levelChip, LEVELS } from "./risk.js";

const ROWS_AT_ONCE = 20;
const COMMENT_LIMIT = 500;
const DRAFT = "iops.feedback-draft";

export function historyPanel({ predictions, chosen, onChoose }) {
  const body = el("tbody", {});
  const more = el("button", { type: "button", class: "quiet" });
  const isChosen = ({ prediction_id: id }) => Object.values(chosen).some((prediction) => prediction?.prediction_id === id);
  let shown = 0;
  function show(quantity) {
    body.append(...predictions.slice(shown, shown + quantity).map((prediction) => historyRow(prediction, isChosen(prediction), onChoose)));
    shown = Math.min(predictions.length, shown + quantity);
    more.hidden = shown === predictions.length;
    more.textContent = `Show ${Math.min(ROWS_AT_ONCE, predictions.length - shown)} more of ${predictions.length - shown}`;
  }
  more.addEventListener("click", () => show(ROWS_AT_ONCE));
  show(Math.max(ROWS_AT_ONCE, predictions.findLastIndex(isChosen) + 1));
  return el("section", { class: "panel history" },
    el("div", { class: "panel-head" }, el("h2", {}, "Predictions"), el("p", { class: "muted" }, count(predictions.length, "prediction"))),
    predictions.length === 0
      ? el("p", { class: "muted" }, "Nothing was predicted for this device yet. “Predict now” asks both models.")
      : el("div", { class: "scroll-x" }, el("table", { class: "predictions" },
        el("thead", {}, el("tr", {}, ...["As of, UTC", "Prediction", "Confidence", "Model", "What happened"].map((title) => el("th", { scope: "col" }, title)))),
        body)),
    more);
}

function historyRow(prediction, isChosen, onChoose) {
  const choose = el("button", { type: "button", class: "link", "data-row": true, "aria-pressed": isChosen, on: { click: () => onChoose(prediction) } },
    dateTime(prediction.as_of));
  const row = el("tr", { class: isChosen ? "chosen" : null },
    el("td", {}, choose), el("td", {}, outcome(prediction)), el("td", { class: "number" }, percent(prediction.confidence)),
    el("td", { class: "muted" }, modelVersion(prediction)), el("td", {}, happenedCell(prediction)));
  row.addEventListener("click", (event) => {
    if (!event.target.closest("button") && !getSelection().toString()) onChoose(prediction);
  });
  return row;
}

function outcome(prediction) {
  if (prediction.kind === "risk") return levelChip(prediction.risk_level);
  return el("span", {}, "score ", el("strong", { class: "value" }, score(prediction.performance_score)), ` (${interval(prediction.interval)})`);
}

/** A package ARN ends in /<group>/<version>. */
function modelVersion({ kind, model_version: version }) {
  return /\/\d+$/.test(version ?? "") ? `${kind} ${version.split("/").at(-1)}` : version ?? "";
}

/** What somebody said, else what the device's later insights showed of the half hour. */
function happenedCell({ kind, feedback, outcome: measured }) {
  if (feedback) return feedbackCell(feedback);
  if (!measured) return el("span", { class: "muted" }, "not known yet");
  return el("span", { class: "happened", title: "by the insights of that half hour" },
    kind === "risk" ? measured.risk_level && levelChip(measured.risk_level) : `score ${score(measured.performance_score)}`,
    el("span", { class: "muted" }, "measured"));
}

function feedbackCell(feedback) {
  return el("span", { class: "given", title: feedback.comment || null },
    feedback.risk_level && levelChip(feedback.risk_level),
    feedback.performance_score !== null && feedback.performance_score !== undefined && `score ${score(feedback.performance_score)}`,
    feedback.comment && el("span", { class: "comment" }, feedback.comment));
}

/** For the chosen prediction; what is typed survives an expired sign-in. `onGiven` gets the stored feedback. */
export function feedbackForm({ prediction, api, session, signal, onGiven }) {
  const isRisk = prediction.kind === "risk";
  const draft = { ...prediction.feedback, ...readDraft(prediction) };
  const form = el("form", { class: "panel feedback" });
  const comment = el("textarea", { name: "comment", rows: 3, maxlength: COMMENT_LIMIT }, draft.comment ?? "");
  const left = el("span", { class: "muted" });
  const send = el("button", { class: "primary" }, prediction.feedback ? "Replace the feedback" : "Send feedback");
  const result = el("div", { role: "status" });
  const tellLeft = () => { left.textContent = `${comment.value.length} of ${COMMENT_LIMIT} characters`; };
  form.append(
    el("h2", {}, "What really happened?"),
    el("p", { class: "muted" }, `For the ${isRisk ? "risk" : "score"} predicted as of ${dateTime(prediction.as_of)} UTC. It labels the record for later training.`),
    isRisk ? levelChoice(draft.risk_level) : scoreChoice(draft.performance_score),
    el("label", { class: "stacked" }, "Comment, optional", comment, left),
    el("div", { class: "actions" }, send), result,
  );
  form.addEventListener("input", () => { writeDraft(prediction, form); tellLeft(); });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    try {
      const feedback = await api.post("/api/feedback", { device_id: prediction.device_id, prediction_id: prediction.prediction_id, ...answers(form) }, { signal });
      sessionStorage.removeItem(DRAFT);
      onGiven(feedback);
    } catch (error) {
      if (!signal.aborted) result.replaceChildren(errorNotice(error, { retry: () => form.requestSubmit(), session }));
    } finally {
      send.disabled = false;
    }
  });
  tellLeft();
  return form;
}

function levelChoice(chosen) {
  return el("fieldset", {}, el("legend", {}, "Risk of the half hour after it"),
    el("div", { class: "choices" }, ...LEVELS.map((level) =>
      el("label", { class: "choice" }, el("input", { type: "radio", name: "risk_level", value: level, required: true, checked: chosen === level }), levelChip(level)))));
}

function scoreChoice(value) {
  return el("label", { class: "stacked" }, "Mean score of the half hour after it, 0 to 100",
    el("input", { type: "number", name: "performance_score", min: 0, max: 100, step: "any", required: true, inputmode: "decimal", value: value ?? "" }));
}

function answers(form) {
  const { risk_level: level, performance_score: value, comment } = Object.fromEntries(new FormData(form));
  return {
    ...(level ? { risk_level: level } : {}),
    ...(value ? { performance_score: Number(value) } : {}),
    ...(comment ? { comment } : {}),
  };
}

function writeDraft({ prediction_id: id }, form) {
  sessionStorage.setItem(DRAFT, JSON.stringify({ id, ...Object.fromEntries(new FormData(form)) }));
}

/** Also tells which prediction was being answered when the sign-in ran out. */
export function readDraft({ prediction_id: id }) {
  const draft = JSON.parse(sessionStorage.getItem(DRAFT) ?? "{}");
  return draft.id === id ? draft : {};
}
