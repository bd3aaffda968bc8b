// Numbers with their units and times in UTC, as an operator reads them.

export const UNKNOWN = "–";
const NO_BREAK = "\u00a0";
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const axis = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 6 });
const day = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "2-digit", month: "short", year: "numeric" });
const clock = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** Three significant digits below 1,000, whole numbers with separators above. */
export function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  const size = Math.abs(value);
  if (size >= 1000) return whole.format(value);
  if (size >= 100 || value === 0) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  if (size >= 0.1) return value.toFixed(2);
  return String(Number(value.toPrecision(2)));
}

export function withUnit(value, unit) {
  const text = number(value);
  if (text === UNKNOWN || !unit) return text;
  return unit === "%" ? `${text}%` : `${text}${NO_BREAK}${unit}`;
}

/** An axis needs no more digits than tell its labels apart. */
export function axisNumber(value) {
  return axis.format(value);
}

export function percent(share) {
  return share === null || share === undefined ? UNKNOWN : `${Math.round(share * 100)}%`;
}

export function score(value) {
  return value === null || value === undefined ? UNKNOWN : value.toFixed(1);
}

export function interval({ lower, upper }) {
  return `${lower.toFixed(0)}–${upper.toFixed(0)}`;
}

export function dateTime(text) {
  return `${day.format(new Date(text))} ${timeOfDay(text)}`;
}

/** Without seconds where there are none: most intervals end on a minute. */
export function timeOfDay(text) {
  return clock.format(new Date(text)).replace(/:00$/, "");
}

/** "3 min": the age of a moment in its largest fitting unit. */
export function age(text, now = Date.now()) {
  return duration(Math.max(0, (now - Date.parse(text)) / 1000));
}

export function duration(seconds) {
  const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([size]) => seconds >= size) ?? [1, "s"];
  return `${Math.floor(seconds / size)}${NO_BREAK}${unit}`;
}

export function count(quantity, singular, plural = `${singular}s`) {
  return `${whole.format(quantity)} ${quantity === 1 ? singular : plural}`;
}
