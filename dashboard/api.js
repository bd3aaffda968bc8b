// Requests to the API: token, time limit, short waits that the API asked for, and problem details as errors.

const READ_TIMEOUT_MS = 15_000;
const PREDICT_TIMEOUT_MS = 30_000; // API Gateway itself gives up after 29 s
const LONGEST_SILENT_WAIT_SECONDS = 4; // a longer Retry-After is the person's business: the view says so
const ATTEMPTS = 3;
const PAGE_LIMIT = 100; // a server that never ends its pages must not keep the browser busy for ever

/** An answer other than 2xx, by RFC 9457 where the API wrote it. Status 0: there was no answer at all. */
export class ApiProblem extends Error {
  constructor({ status, title, detail, field, retryAfterSeconds = null }) {
    super(detail || title);
    Object.assign(this, { status, title, detail, field, retryAfterSeconds });
  }

  get isUnavailable() {
    return this.status === 503 || this.status === 429;
  }
}

export function createApi({ baseUrl, session, sleep = pause }) {
  const base = baseUrl.replace(/\/$/, "");

  async function request(method, path, { query = {}, body, signal, timeoutMs = READ_TIMEOUT_MS } = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
    const url = `${base}${path}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
    let isRefused = false;
    for (let attempt = 1; ; attempt += 1) {
      const response = await send(method, url, { body, signal, timeoutMs, token: await session.token({ isRefused }) });
      if (response.ok) return response.json();
      const problem = await problemOf(response);
      if (problem.status === 401 && !isRefused) {
        isRefused = true;
        continue;
      }
      if (attempt >= ATTEMPTS || !isWorthWaiting(problem)) throw problem;
      await sleep(problem.retryAfterSeconds * (1 + 0.2 * Math.random()) * 1000, signal);
    }
  }

  /** Every entry of a paged route, at most `limit` a page. */
  async function all(path, name, query, options = {}) {
    const entries = [];
    let next = null;
    for (let page = 0; page < PAGE_LIMIT; page += 1) {
      const answer = await request("GET", path, { ...options, query: { ...query, next } });
      entries.push(...answer[name]);
      next = answer.next;
      if (!next) break;
    }
    return entries;
  }

  return {
    get: (path, query, options) => request("GET", path, { ...options, query }),
    post: (path, body, options) => request("POST", path, { timeoutMs: PREDICT_TIMEOUT_MS, ...options, body }),
    all,
  };
}

async function send(method, url, { body, signal, timeoutMs, token }) {
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    return await fetch(url, {
      method,
      headers: { Authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
  } catch (error) {
    if (signal?.aborted) throw error; // the view was left: nobody waits for this
    const isSlow = limit.aborted;
    throw new ApiProblem({
      status: 0,
      title: isSlow ? "The API did not answer in time" : "The API cannot be reached",
      detail: isSlow
        ? `No answer within ${timeoutMs / 1000} s.`
        : "No connection. Check the network, then whether the API is up and allows this page's origin.",
    });
  }
}

async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  const wait = Number(response.headers.get("Retry-After"));
  return new ApiProblem({
    status: response.status,
    title: body.title ?? `The API answered ${response.status}`,
    detail: body.detail ?? "",
    field: body.field,
    retryAfterSeconds: wait > 0 ? wait : defaultWait(response.status),
  });
}

/** What the gateway itself refuses may come without a Retry-After that another origin can read. */
function defaultWait(status) {
  return { 429: 1, 503: 30 }[status] ?? null;
}

function isWorthWaiting(problem) {
  return problem.isUnavailable && problem.retryAfterSeconds <= LONGEST_SILENT_WAIT_SECONDS;
}

/** Rejects as soon as the signal does, like fetch. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}
