// Words and units of the model's 25 features; a test holds the names equal to the feature table's.

import { duration, withUnit } from "./format.js";

const LONGEST_ALERT_AGE_SECONDS = 604_800;
const FEATURES = {
  read_iops: ["Reads", "IOPS"],
  write_iops: ["Writes", "IOPS"],
  total_iops: ["Reads and writes", "IOPS"],
  iops_variance: ["Spread of IOPS", "IOPS"],
  avg_latency: ["Average latency", "ms"],
  p95_latency: ["p95 latency", "ms"],
  p99_latency: ["p99 latency", "ms"],
  latency_spike_count: ["Latency spikes", ""],
  bandwidth_mbps: ["Bandwidth", "MB/s"],
  throughput_variance: ["Spread of bandwidth", "MB/s"],
  error_rate: ["Error rate", ""],
  error_trend: ["Trend of errors", "/interval"],
  hour_of_day: ["Hour of day, UTC", "h"],
  day_of_week: ["Day of week, Monday 0", ""],
  time_since_last_alert: ["Last alert", "s"],
  sequential_access_ratio: ["Sequential share", ""],
  random_access_ratio: ["Random share", ""],
  queue_depth: ["Queue depth", "I/Os"],
  io_size_avg: ["I/O size", "KiB"],
  io_size_variance: ["Spread of I/O size", "KiB"],
  iops_per_latency: ["IOPS per ms of latency", "IOPS/ms"],
  anomaly_score: ["Latency off its median", "σ"],
  trend_score: ["Trend of latency", "/interval"],
  capacity_utilization: ["Provisioned IOPS used", "%"],
  efficiency_ratio: ["Bytes per operation", "MB"],
};

export const FEATURE_NAMES = Object.keys(FEATURES);

/** A feature that a newer model knows and this page does not keeps its own name. */
export function featureWords(name) {
  return FEATURES[name]?.[0] ?? name.replaceAll("_", " ");
}

function featureUnit(name) {
  return FEATURES[name]?.[1] ?? "";
}

/** A variance as its root, in the measure's own unit; an alert's age counts to seven days and stands there for "none". */
export function featureValue(name, value) {
  if (value === null) return "unknown";
  if (name.endsWith("_variance")) return `±${withUnit(Math.sqrt(value), featureUnit(name))}`;
  if (name !== "time_since_last_alert") return withUnit(value, featureUnit(name));
  return value >= LONGEST_ALERT_AGE_SECONDS ? "none in 7 d" : `${duration(value)} ago`;
}
