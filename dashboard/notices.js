// What a view shows while there is nothing to show: loading, nothing there, an error and what to try.
import { ApiProblem } from "./api.js";
import { el } from "./dom.js";
import { SignInNeeded } from "./sign_in.js";

const LONG_REST_SECONDS = 120; // above it the API means its serving hours, or no model at all

/** `blocks` are the classes of what will stand there, so that its arrival moves nothing. */
export function skeleton(label, ...blocks) {
  return el(
    "div",
    { class: "loading", role: "status" },
    el("span", { class: "visually-hidden" }, label),
    ...blocks.map((block) => el("div", { class: ["skeleton", block], "aria-hidden": "true" })),
  );
}

export function empty(title, ...advice) {
  return el("section", { class: "empty" }, el("h2", {}, title), ...advice.map((line) => el("p", {}, line)));
}

/** The right notice for whatever went wrong; `retry` is what its button does. */
export function errorNotice(error, { retry, session }) {
  if (error instanceof SignInNeeded) return signInNotice(error, session);
  return notice(headline(error), adviceFor(error), el("button", { type: "button", on: { click: retry } }, "Try again"));
}

export function notice(title, lines, ...actions) {
  return el(
    "section",
    { class: "notice error", role: "alert" },
    el("h2", {}, title),
    ...lines.map((line) => el("p", {}, line)),
    el("div", { class: "actions" }, ...actions),
  );
}

export function signInNotice(error, session) {
  const title = error.isExpired ? "Your sign-in has expired" : "Sign in to see the fleet";
  const line = error.isExpired
    ? "Sign in again and you come back to exactly this page."
    : "Predictions and telemetry are shown to the users of this deployment's user pool.";
  return el(
    "section",
    { class: "notice sign-in", role: error.isExpired ? "alert" : null },
    el("h2", {}, title),
    el("p", {}, line),
    el("button", { type: "button", class: "primary", on: { click: () => session.begin() } }, "Sign in"),
  );
}

function headline(error) {
  return error instanceof ApiProblem ? error.title : "This page failed";
}

function adviceFor(error) {
  const detail = error.message ? [sentence(error.message)] : [];
  if (!(error instanceof ApiProblem)) return [...detail, "Reload the page; if it happens again, tell whoever runs this deployment."];
  if (error.status === 403) return [...detail, "Your user may not do this; ask for the scope that the route needs."];
  if (error.status === 404) return [...detail, "Check the address, or choose a device of the fleet."];
  if (isLongRest(error)) return detail;
  if (error.status >= 500) return [...detail, "The fault is the service's. Try again in a minute."];
  return detail;
}

/** Outside the serving hours the API itself says when the models return; a minute changes nothing. */
function isLongRest(error) {
  return error.status === 503 && error.retryAfterSeconds > LONG_REST_SECONDS;
}

function waitText(seconds) {
  if (seconds <= LONG_REST_SECONDS) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function sentence(text) {
  const start = text.replace(/^[a-z]+(?=[\s:,])/, (word) => word.charAt(0).toUpperCase() + word.slice(1)); // "p99" stays "p99"
  return /[.!?]$/.test(start) ? start : `${start}.`;
}

/** "The risk model cannot answer": says when it is asked again, and asks again then. `leave` ends the countdown. */
export function unavailableNotice(problem, { what, again, leave }) {
  const seconds = Math.max(1, Math.round(problem.retryAfterSeconds ?? 30));
  const due = Date.now() + seconds * 1000;
  const remaining = el("span", { class: "countdown" }, waitText(seconds));
  const box = el(
    "section",
    { class: "notice warning", role: "status" },
    el("h2", {}, `${what} cannot be predicted at the moment`),
    el("p", {}, sentence(problem.message), " What was measured and predicted before is still shown."),
    el("p", { "aria-live": "off" }, "Next try in ", remaining, ". ",
      el("button", { type: "button", class: "link", on: { click: () => retry() } }, "Try now")),
  );
  const timer = setInterval(() => {
    const left = Math.ceil((due - Date.now()) / 1000);
    remaining.textContent = waitText(Math.max(0, left));
    if (left <= 0) retry();
  }, 500);
  function retry() {
    clearInterval(timer);
    again();
  }
  leave.addEventListener("abort", () => clearInterval(timer), { once: true });
  return box;
}
