// What the charting library has no series for: blocks of predicted levels and scores, feedback, the chosen time.
import { LEVELS, severity } from "./risk.js";

const MARK_RADIUS = 4;

/** The stylesheet's colours as the canvas needs them: resolved for the theme that is shown. */
export function palette(element) {
  const style = getComputedStyle(element);
  const resolved = (name) => {
    element.style.outlineColor = `var(--${name})`;
    return style.outlineColor;
  };
  const names = ["ink", "muted", "grid", "surface", "line-1", "line-2", "line-3", "line-slo", "band", ...LEVELS.map((level) => `fill-${level}`)];
  const colours = Object.fromEntries(names.map((name) => [name, resolved(name)]));
  element.style.outlineColor = "";
  return { ...colours, font: `11px ${style.fontFamily}` };
}

/** The higher the level, the higher its block: the height says what the colour says. */
export function drawLevels(plot, segments, colours) {
  clipped(plot, (context) => {
    for (const { from, to, prediction } of segments) {
      const level = severity(prediction.risk_level);
      context.fillStyle = colours[`fill-${prediction.risk_level}`];
      block(plot, context, { from, to, low: 0, high: level + 1 });
    }
    for (const { from, prediction } of segments) {
      const happened = prediction.feedback?.risk_level;
      if (happened) ring(plot, context, { at: from, value: severity(happened) + 0.5, colours });
    }
  });
}

export function drawScores(plot, segments, colours) {
  clipped(plot, (context) => {
    for (const { from, to, prediction } of segments) {
      const { lower, upper } = prediction.interval;
      context.fillStyle = colours.band;
      block(plot, context, { from, to, low: lower, high: upper });
    }
    context.strokeStyle = colours["line-1"];
    context.lineWidth = 2 * devicePixelRatio;
    context.beginPath();
    let end = null;
    for (const { from, to, prediction } of segments) {
      const [left, right, y] = [position(plot, from, "x"), position(plot, to, "x"), position(plot, prediction.performance_score, "y")];
      if (end === from) context.lineTo(left, y);
      else context.moveTo(left, y);
      context.lineTo(right, y);
      end = to;
    }
    context.stroke();
    for (const { from, prediction } of segments) {
      const happened = prediction.feedback?.performance_score;
      if (Number.isFinite(happened)) ring(plot, context, { at: from, value: happened, colours });
    }
  });
}

export function drawMark(plot, time, colours) {
  if (time === null) return;
  clipped(plot, (context, { top, height }) => {
    const x = position(plot, time, "x");
    context.strokeStyle = colours.ink;
    context.lineWidth = devicePixelRatio;
    context.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    context.beginPath();
    context.moveTo(x, top);
    context.lineTo(x, top + height);
    context.stroke();
  });
}

function clipped(plot, draw) {
  const { ctx: context, bbox } = plot;
  context.save();
  context.beginPath();
  context.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  context.clip();
  draw(context, bbox);
  context.restore();
}

function position(plot, value, scale) {
  return plot.valToPos(value, scale, true);
}

function block(plot, context, { from, to, low, high }) {
  const [left, right] = [position(plot, from, "x"), position(plot, to, "x")].map(Math.round); // neighbours meet without a seam
  const [top, bottom] = [position(plot, high, "y"), position(plot, low, "y")];
  context.fillRect(left, top, Math.max(right - left, devicePixelRatio), bottom - top);
}

function ring(plot, context, { at, value, colours }) {
  context.beginPath();
  context.arc(position(plot, at, "x"), position(plot, value, "y"), MARK_RADIUS * devicePixelRatio, 0, 2 * Math.PI);
  context.fillStyle = colours.surface;
  context.fill();
  context.strokeStyle = colours.ink;
  context.lineWidth = 2 * devicePixelRatio;
  context.stroke();
}
