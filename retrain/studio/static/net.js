// Requests to the studio, and what every page does with an answer that is an error: say it in words.

export class Refused extends Error {
  constructor(status, message, problems) {
    super(message);
    this.status = status;
    this.problems = problems || [message];
  }
}

async function read(response) {
  const kind = response.headers.get("content-type") || "";
  const facts = kind.startsWith("application/json") ? await response.json() : {};
  if (!response.ok) {
    throw new Refused(response.status, facts.error || `the studio answered ${response.status}`, facts.problems);
  }
  return facts;
}

// What takes longer than a blink shows a moving line at the top of the page, whatever it is.
let pending = 0;
const SIGN_MS = 100;
const AGAIN_MS = 3000;

async function reach(address, options) {
  pending += 1;
  setTimeout(() => document.documentElement.toggleAttribute("data-busy", pending > 0), SIGN_MS);
  try {
    return await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "the studio does not answer; is it still running in its terminal?");
  } finally {
    pending -= 1;
    if (!pending) document.documentElement.removeAttribute("data-busy");
  }
}

// Bytes of a file's name that are no UTF-8 come as U+DC80 to U+DCFF (PEP 383), and go back as the bytes that they are.
function escaped(character) {
  const code = character.codePointAt(0);
  if (code >= 0xdc80 && code <= 0xdcff) return `%${(code - 0xdc00).toString(16)}`;
  return encodeURIComponent(code >= 0xd800 && code <= 0xdfff ? "\ufffd" : character);
}

export function queryOf(facts) {
  const text = (value) => Array.from(String(value), escaped).join("");
  return Object.entries(facts).map(([name, value]) => `${text(name)}=${text(value)}`).join("&");
}

export async function get(path, query = {}, signal = undefined) {
  const text = queryOf(query);
  return read(await reach(`/studio/${path}${text ? `?${text}` : ""}`, { signal }));
}

export async function post(path, facts = {}) {
  const headers = { "content-type": "application/json" };
  return read(await reach(`/studio/${path}`, { method: "POST", headers, body: JSON.stringify(facts) }));
}

export async function send(path, body, headers = {}, signal = undefined) {
  return read(await reach(`/studio/${path}`, { method: "POST", headers, body, signal }));
}

export async function sendForImage(path, body, headers = {}) {
  const response = await reach(`/studio/${path}`, { method: "POST", headers, body });
  if (!response.ok) await read(response);
  return URL.createObjectURL(await response.blob());
}

export function picture(item, size = "tile") {
  return `/studio/picture?${queryOf({ path: item.path, size, v: item.version || "" })}`;
}

// Events of the studio. A page that was asleep, or missed some, is told to ask for everything.
// Trap: a browser keeps six lines to one host, and each page that listens holds one of them; so a page that nobody
// looks at lets go of its line.
export function listen(handlers) {
  let source = null;
  let wasBroken = document.hidden;
  const open = () => {
    if (source || document.hidden) return;
    const line = new EventSource("/studio/events");
    source = line;
    line.addEventListener("error", () => broken(line));
    line.addEventListener("hello", (event) => {
      handlers.heard(JSON.parse(event.data).told);
      if (wasBroken) handlers.missed({});
      wasBroken = false;
    });
    for (const [kind, handler] of Object.entries(handlers)) {
      if (kind !== "broken" && kind !== "heard") line.addEventListener(kind, (event) => handler(JSON.parse(event.data), Number(event.lastEventId)));
    }
  };
  const close = () => {
    if (source) source.close();
    source = null;
    wasBroken = true;
  };
  const broken = (line) => {
    wasBroken = true;
    if (handlers.broken) handlers.broken();
    // A browser tries again by itself unless it was refused with words; then it is for us to do.
    if (line !== source || line.readyState !== EventSource.CLOSED) return;
    source = null;
    setTimeout(open, AGAIN_MS);
  };
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  open();
}
