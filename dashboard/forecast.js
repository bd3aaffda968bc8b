// One prediction as an operator reads it: the level or score, how sure it is, and the reasons in words and numbers.
import { el, withVariables } from "./dom.js";
import { featureValue, featureWords } from "./features.js";
import { dateTime, interval, number, percent, score, UNKNOWN } from "./format.js";
import { sentence } from "./notices.js";
import { levelChip, levelShape, LEVELS } from "./risk.js";

export function forecastPanel(kind, prediction, { isNewest, onNewest }) {
  const title = kind === "risk" ? "Risk, next half hour" : "Performance score, next half hour";
  if (!prediction) {
    return el("section", { class: "panel forecast", "data-kind": kind }, el("h2", {}, title),
      el("p", { class: "muted" }, "Not predicted yet."));
  }
  return el(
    "section",
    { class: "panel forecast", "data-kind": kind },
    el("div", { class: "panel-head" }, el("h2", {}, title), standing(prediction, isNewest, onNewest)),
    kind === "risk" ? riskFigure(prediction) : scoreFigure(prediction),
    ...(prediction.warnings ?? []).map((warning) => el("p", { class: "warning-line" }, sentence(warning))),
    reasons(kind, prediction),
  );
}

function standing(prediction, isNewest, onNewest) {
  return el("p", { class: "muted" },
    "as of ", el("time", { datetime: prediction.as_of }, `${dateTime(prediction.as_of)} UTC`),
    !isNewest && el("button", { type: "button", class: "link", on: { click: onNewest } }, "Show the newest"));
}

function riskFigure({ risk_level: level, confidence, probabilities }) {
  const parts = LEVELS.map((name) => [name, probabilities?.[name] ?? 0]);
  return el("div", { class: "figure" },
    el("p", { class: "verdict" }, levelChip(level), el("span", {}, el("strong", {}, percent(confidence)), " confidence")),
    el("div", { class: "probabilities", "aria-hidden": "true" },
      ...parts.map(([name, share]) => withVariables(el("span", { class: name }), { share }))),
    el("ul", { class: "legend" }, ...parts.map(([name, share]) =>
      el("li", {}, levelShape(name), `${name} `, el("span", { class: "value" }, percent(share))))));
}

function scoreFigure({ performance_score: value, interval: range, confidence }) {
  const bar = withVariables(el("div", { class: "score-scale", "aria-hidden": "true" }, el("span", { class: "band" }), el("span", { class: "mark" })),
    { lower: range.lower, width: range.upper - range.lower, score: value });
  return el("div", { class: "figure" },
    el("p", { class: "verdict" }, el("span", { class: "big-number" }, score(value)), el("span", { class: "muted" }, "of 100"),
      el("span", {}, el("strong", {}, interval(range)), ` with ${percent(range.level ?? 0.9)} probability`),
      el("span", { class: "muted" }, `confidence ${percent(confidence)}`)),
    bar, el("div", { class: "scale-ends", "aria-hidden": "true" }, el("span", {}, "0"), el("span", {}, "50"), el("span", {}, "100")));
}

function reasons(kind, { explanation = [], contributions = [], risk_level: level }) {
  const subject = kind === "risk" ? `${level} risk` : "a good score";
  const strongest = Math.max(...contributions.map(({ contribution }) => Math.abs(contribution)), 1e-9);
  return el("div", { class: "reasons" },
    el("h3", {}, "Why"),
    explanation.length > 0 && el("ul", { class: "sentences" }, ...explanation.map((line) => el("li", {}, sentence(line)))),
    contributions.length > 0 && el("div", { class: "scroll-x", tabindex: 0, role: "group", "aria-label": "Reasons in numbers" }, el("table", { class: "contributions" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Measure"), el("th", { scope: "col", class: "number" }, "Value"),
        el("th", { scope: "col", class: "number" }, "Usual here"), el("th", { scope: "col" }, `Speaks for ${subject}`))),
      el("tbody", {}, ...contributions.map((entry) => contributionRow(entry, strongest))))),
    explanation.length + contributions.length === 0 && el("p", { class: "muted" }, "This prediction was stored without its reasons."));
}

/** A contribution above 0 speaks for what the model said: the level, or a good score. */
function contributionRow({ feature, value, usual, contribution }, strongest) {
  const isFor = contribution > 0;
  const bar = withVariables(el("span", { class: ["effect-bar", !isFor && "against"], "aria-hidden": "true" }),
    { share: Math.abs(contribution) / strongest });
  return el("tr", {},
    el("th", { scope: "row" }, featureWords(feature)),
    el("td", { class: "number" }, featureValue(feature, value)),
    el("td", { class: "number muted usual" }, usual ? `${number(usual.low)}–${number(usual.high)}` : UNKNOWN),
    el("td", {}, el("span", { class: "effect" }, el("span", { class: "effect-word" }, isFor ? "▲ for" : "▼ against"), bar,
      el("span", { class: "value muted" }, Math.abs(contribution).toFixed(2)))));
}
