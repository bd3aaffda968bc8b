// Asks for the predictions that a fleet lacks, in batches, and says how far it is.

export const BATCH_ITEMS = 100; // the API's limit
export const KINDS = ["risk", "performance"];

/** A prediction is fresh while the device has reported nothing newer than what it saw. */
export function isFresh(prediction, asOf) {
  return prediction !== null && prediction !== undefined && prediction.as_of >= asOf;
}

export function devicesWithout(kind, devices) {
  return devices.filter((device) => !isFresh(device[kind], device.as_of));
}

/**
 * Both kinds side by side, batch after batch. `onBatch({answered, asked, predictions, refusals})` comes after each.
 * A kind whose model is down ends alone: its problem is in the answer's `problems`.
 */
export async function predictFleet({ api, devices, signal, onBatch }) {
  const wanted = KINDS.map((kind) => [kind, devicesWithout(kind, devices)]);
  const progress = { answered: 0, asked: wanted.reduce((sum, [, missing]) => sum + missing.length, 0) };
  const problems = {};
  const refusals = new Map();
  await Promise.all(wanted.map(async ([kind, missing]) => {
    for (let start = 0; start < missing.length; start += BATCH_ITEMS) {
      const batch = missing.slice(start, start + BATCH_ITEMS);
      try {
        const predictions = await predictBatch({ api, kind, batch, signal, refusals });
        progress.answered += batch.length;
        onBatch({ ...progress, kind, predictions });
      } catch (problem) {
        if (signal.aborted || problem.status === undefined) throw problem;
        problems[kind] = problem;
        return;
      }
    }
  }));
  return { problems, refusals };
}

async function predictBatch({ api, kind, batch, signal, refusals }) {
  const body = { items: batch.map(({ device_id }) => ({ device_id })) };
  const { results } = await api.post(`/api/predict/${kind}`, body, { signal });
  const predictions = [];
  results.forEach(({ prediction, problem }, place) => {
    if (prediction) predictions.push(prediction);
    else refusals.set(batch[place].device_id, problem);
  });
  return predictions;
}

export async function predictDevice({ api, kind, deviceId, signal }) {
  return api.post(`/api/predict/${kind}`, { device_id: deviceId }, { signal });
}
