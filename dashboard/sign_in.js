// OAuth 2.0 authorization code with PKCE (RFC 7636) against the user pool's own sign-in page.
// Tokens live in sessionStorage: a reload keeps them, other tabs and later visits never see them.

const TOKENS = "iops.tokens";
const PENDING = "iops.sign-in.";
const REFRESH_EARLY_MS = 60_000;
const TOKEN_TIMEOUT_MS = 10_000;

/** There is no valid token and none can be had without the person. */
export class SignInNeeded extends Error {
  constructor(isExpired) {
    super(isExpired ? "your sign-in has expired" : "nobody is signed in");
    this.isExpired = isExpired;
  }
}

/** The sign-in page sent the person back without a usable code; the message says why. */
export class SignInFailed extends Error {}

export function createSession({ sign_in_url: signInUrl, client_id: clientId, scopes }) {
  const base = signInUrl.replace(/\/$/, "");
  let refreshing = null;

  async function begin() {
    const verifier = randomText(48);
    const state = randomText(16);
    sessionStorage.setItem(PENDING + state, JSON.stringify({ verifier, hash: location.hash }));
    location.assign(`${base}/oauth2/authorize?${new URLSearchParams({
      response_type: "code",
      client_id: clientId,
      redirect_uri: pageUrl(),
      scope: scopes.join(" "),
      state,
      code_challenge: await challengeOf(verifier),
      code_challenge_method: "S256",
    })}`);
  }

  /** After the redirect back: trade the code for tokens and put the address back to where the person was. */
  async function finish() {
    const answer = new URLSearchParams(location.search);
    if (!answer.has("code") && !answer.has("error")) return;
    const key = PENDING + answer.get("state");
    const pending = JSON.parse(sessionStorage.getItem(key) ?? "null");
    sessionStorage.removeItem(key);
    history.replaceState(null, "", pageUrl() + (pending?.hash ?? ""));
    if (pending === null) throw new SignInFailed("the answer belongs to no sign-in of this tab");
    if (answer.has("error")) throw new SignInFailed(answer.get("error_description") ?? answer.get("error"));
    const { status, body } = await askForTokens({
      grant_type: "authorization_code",
      code: answer.get("code"),
      redirect_uri: pageUrl(),
      code_verifier: pending.verifier,
    });
    if (status !== 200) throw new SignInFailed(body.error_description ?? body.error ?? `the sign-in answered ${status}`);
    keep(body);
  }

  async function askForTokens(form) {
    const response = await fetch(`${base}/oauth2/token`, {
      method: "POST",
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ client_id: clientId, ...form }),
      signal: AbortSignal.timeout(TOKEN_TIMEOUT_MS),
    });
    return { status: response.status, body: await response.json().catch(() => ({})) };
  }

  async function refresh(tokens) {
    const { status, body } = tokens.refreshToken
      ? await askForTokens({ grant_type: "refresh_token", refresh_token: tokens.refreshToken })
      : { status: 400 };
    if (status >= 500) throw new Error("the sign-in service is down");
    if (status !== 200) {
      sessionStorage.removeItem(TOKENS);
      throw new SignInNeeded(true);
    }
    return keep(body, tokens.refreshToken);
  }

  /** An access token; `isRefused` asks for a new one although the present one has not run out. */
  async function token({ isRefused = false } = {}) {
    const tokens = stored();
    if (tokens === null) throw new SignInNeeded(false);
    if (!isRefused && tokens.expiresAt - REFRESH_EARLY_MS > Date.now()) return tokens.accessToken;
    refreshing ??= refresh(tokens).finally(() => (refreshing = null)); // one refresh, however many requests wait for it
    return (await refreshing).accessToken;
  }

  function signOut() {
    sessionStorage.removeItem(TOKENS);
    location.assign(`${base}/logout?${new URLSearchParams({ client_id: clientId, logout_uri: pageUrl() })}`);
  }

  return { begin, finish, token, signOut, isSignedIn: () => stored() !== null };
}

function stored() {
  return JSON.parse(sessionStorage.getItem(TOKENS) ?? "null");
}

/** A refresh answers without a refresh token where the pool does not rotate them: the old one stays good. */
function keep(body, refreshToken = null) {
  const tokens = {
    accessToken: body.access_token,
    refreshToken: body.refresh_token ?? refreshToken,
    expiresAt: Date.now() + body.expires_in * 1000,
  };
  sessionStorage.setItem(TOKENS, JSON.stringify(tokens));
  return tokens;
}

function pageUrl() {
  return new URL(".", location.href).href;
}

function randomText(bytes) {
  return base64Url(crypto.getRandomValues(new Uint8Array(bytes)));
}

async function challengeOf(verifier) {
  return base64Url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
}

function base64Url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
