// The fleet: which devices need somebody, worst first.
import { el } from "./dom.js";
import { createFilters } from "./fleet_filters.js";
import { createTable } from "./fleet_table.js";
import { age, count, timeOfDay } from "./format.js";
import { empty, sentence, skeleton, unavailableNotice } from "./notices.js";
import { devicesWithout, KINDS, predictFleet } from "./predictions.js";

const DEVICES_A_PAGE = 1000;
const REFRESH_MS = 60_000;
const NAMES = { risk: "Risk", performance: "Performance" };

export async function showFleet({ root, api, session, query, signal, fail }) {
  document.title = "Fleet · IOPS Insights";
  root.replaceChildren(skeleton("loading the fleet", "heading", "tiles", "toolbar", "rows"));
  const fleet = { devices: await readDevices(api, signal), readAt: new Date() };
  if (fleet.devices.length === 0) {
    root.replaceChildren(el("h1", {}, "Fleet"), empty(
      "No device has reported yet",
      "Devices appear here as soon as their insights are in the table. Put a .jsonl, .json or .csv file below incoming/ in the bucket, or have a collector write to the table.",
    ));
    return;
  }
  const view = layout({ query, signal });
  root.replaceChildren(...view.parts);
  const draw = () => view.draw(fleet);
  draw();
  const refresh = async ({ isAsked }) => {
    try {
      if (isAsked || Date.now() - fleet.readAt > REFRESH_MS / 2) {
        fleet.devices = await readDevices(api, signal);
        fleet.readAt = new Date();
        draw();
      }
      await predictMissing({ api, fleet, view, signal, draw, again: () => refresh({ isAsked: false }) });
    } catch (error) {
      fail(error);
    }
  };
  view.onPredict(() => refresh({ isAsked: true }));
  refreshRegularly({ view, signal, refresh });
  if (view.isAutomatic()) refresh({ isAsked: false });
}

function readDevices(api, signal) {
  return api.all("/api/devices", "devices", { limit: DEVICES_A_PAGE }, { signal });
}

function refreshRegularly({ view, signal, refresh }) {
  const timer = setInterval(() => {
    if (view.isAutomatic() && document.visibilityState === "visible") refresh({ isAsked: true });
  }, REFRESH_MS);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

function layout({ query, signal }) {
  const predict = el("button", { type: "button", id: "predict" }, "Update now");
  const automatic = el("input", { type: "checkbox", checked: localStorage.getItem("automatic") !== "off" });
  const status = el("p", { class: "status", role: "status" });
  const problems = el("div", { class: "problems" });
  let drawRows = () => {};
  const table = createTable({ query, signal, onChange: () => remember() });
  const filters = createFilters({ query, onChange: () => { remember(); drawRows({ isOther: true }); } });
  automatic.addEventListener("change", () => localStorage.setItem("automatic", automatic.checked ? "on" : "off"));
  function remember() {
    const text = new URLSearchParams([...filters.entries(), ...table.entries()]).toString();
    history.replaceState(null, "", `#/fleet${text ? `?${text}` : ""}`);
  }
  return {
    parts: [
      el("div", { class: "view-head" },
        el("h1", {}, "Fleet"), status,
        el("div", { class: "actions" },
          el("label", { class: "check" }, automatic, "Keep up to date, every minute"), predict)),
      problems, filters.tiles, filters.toolbar(table.sortChoice), table.element,
    ],
    draw(fleet) {
      filters.learn(fleet.devices);
      drawRows = (how) => {
        const shown = filters.apply(fleet.devices);
        table.draw(shown, how);
        filters.say(shown.length, fleet.devices.length);
      };
      drawRows();
      status.replaceChildren(standing(fleet));
    },
    say: (text) => status.replaceChildren(text),
    showProblems: (notices) => problems.replaceChildren(...notices),
    setBusy: (isBusy) => { predict.disabled = isBusy; },
    isBusy: () => predict.disabled,
    isAutomatic: () => automatic.checked,
    onPredict: (listener) => predict.addEventListener("click", listener),
  };
}

function standing({ devices, readAt }) {
  const newest = devices.reduce((latest, { as_of }) => (as_of > latest ? as_of : latest), "");
  const missing = devicesWithout("risk", devices).length;
  const lack = missing ? `${count(missing, "device")} without a fresh prediction` : "every prediction is fresh";
  return `${count(devices.length, "device")}, ${lack}; newest insight ${age(newest)} old, read at ${timeOfDay(readAt)} UTC`;
}

async function predictMissing({ api, fleet, view, signal, draw, again }) {
  if (view.isBusy() || !KINDS.some((kind) => devicesWithout(kind, fleet.devices).length)) return;
  view.setBusy(true);
  view.showProblems([]);
  try {
    const { problems, refusals } = await predictFleet({
      api, devices: fleet.devices, signal,
      onBatch({ answered, asked, kind, predictions }) {
        fleet.devices = merged(fleet.devices, kind, predictions);
        draw();
        view.say(`Predicting: ${answered} of ${asked}`);
      },
    });
    draw();
    view.showProblems(noticesOf({ problems, refusals, again, leave: signal }));
  } finally {
    view.setBusy(false);
  }
}

/** Devices are replaced, never changed: the table redraws exactly the rows whose device is a new object. */
function merged(devices, kind, predictions) {
  const byDevice = new Map(predictions.map((prediction) => [prediction.device_id, prediction]));
  return devices.map((device) => {
    const prediction = byDevice.get(device.device_id);
    return prediction ? { ...device, [kind]: prediction } : device;
  });
}

function noticesOf({ problems, refusals, again, leave }) {
  let isAsked = false;
  const once = () => { // two kinds that are down ask again together
    if (!isAsked) again();
    isAsked = true;
  };
  const notices = Object.entries(problems).map(([kind, problem]) =>
    unavailableNotice(problem, { what: NAMES[kind], again: once, leave }));
  if (refusals.size) {
    const [[first, problem]] = refusals;
    notices.push(el("section", { class: "notice" },
      el("p", {}, `${count(refusals.size, "device")} cannot be predicted. `, el("strong", {}, first), `: ${sentence(problem.detail ?? problem.title)}`)));
  }
  return notices;
}
