// Starts the page: configuration, sign-in, the view that the address names, theme and keys.
import { createApi } from "./api.js";
import { showDevice } from "./device.js";
import { showFleet } from "./fleet.js";
import { showModels } from "./models.js";
import { errorNotice, notice, signInNotice, skeleton } from "./notices.js";
import { installShortcuts } from "./shortcuts.js";
import { createSession, SignInFailed, SignInNeeded } from "./sign_in.js";

const content = document.getElementById("content");
const VIEWS = { fleet: showFleet, device: showDevice, models: showModels };
let leaving = new AbortController();

async function start() {
  installThemeButton();
  content.replaceChildren(skeleton("loading", "heading", "panel"));
  const config = await readConfig();
  const session = createSession(config);
  await finishSignIn(session);
  const signOut = document.getElementById("sign-out");
  signOut.addEventListener("click", () => session.signOut());
  const api = createApi({ baseUrl: new URL(config.api_url, document.baseURI).href, session });
  const show = () => route({ api, session });
  window.addEventListener("hashchange", show);
  installShortcuts();
  await show();
}

async function readConfig() {
  const response = await fetch("config.json", { cache: "no-cache" });
  if (!response.ok) throw new Error(`config.json beside this page answered ${response.status}: the page is not deployed whole`);
  return response.json();
}

async function finishSignIn(session) {
  try {
    await session.finish();
  } catch (error) {
    if (!(error instanceof SignInFailed)) throw error;
    await new Promise((resolve) => {
      const again = document.createElement("button");
      again.textContent = "Sign in again";
      again.addEventListener("click", () => session.begin().then(resolve));
      content.replaceChildren(notice("The sign-in did not succeed", [error.message], again));
    });
  }
}

/** `#/device/<id>?rows=288` → view, its argument and its own query. */
export function parseRoute(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view, ...rest] = path.split("/");
  return { view: view || "fleet", argument: decoded(rest.join("/")), query: new URLSearchParams(query) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone % that somebody typed
  }
}

async function route({ api, session }) {
  const { view, argument, query } = parseRoute(location.hash);
  if (location.hash === "#content") return; // the skip link's own target
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  document.getElementById("sign-out").hidden = !session.isSignedIn();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!session.isSignedIn()) {
    content.replaceChildren(signInNotice(new SignInNeeded(false), session));
    return;
  }
  const fail = (error) => {
    if (signal.aborted) return;
    document.getElementById("sign-out").hidden = !session.isSignedIn();
    content.replaceChildren(errorNotice(error, { retry: () => route({ api, session }), session }));
  };
  try {
    await (VIEWS[view] ?? VIEWS.fleet)({ root: content, api, session, argument, query, signal, fail });
  } catch (error) {
    fail(error);
  }
}

function installThemeButton() {
  const button = document.getElementById("theme");
  const label = () => {
    const { theme } = document.documentElement.dataset;
    button.textContent = `Theme: ${theme === "auto" ? "system" : theme}`;
  };
  button.addEventListener("click", () => {
    applyTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]);
    label();
    document.dispatchEvent(new Event("theme-changed"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("theme-changed")));
  label();
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the route: it must not change
  content.focus();
});

start().catch((error) => {
  content.replaceChildren(notice("This page could not start", [String(error.message ?? error), "Reload the page."]));
});
