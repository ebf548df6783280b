"use strict";

// Credentials live in the page's own field and nowhere else; answers are shown as text and never as HTML.

const MOST_SHOWN = 200_000;
const PATIENCE_MS = 60_000;

const authorization = document.getElementById("authorization");

function addressOf(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const input of form.querySelectorAll("input[data-in]")) {
    const { in: place, name } = input.dataset;
    if (place === "path") {
      if (!input.value) throw new Error(`${name} is needed.`);
      path = path.replace(`{${name}}`, encodeURIComponent(input.value));
    } else if (input.value) {
      query.append(name, input.value);
    }
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

function requestOf(form) {
  const headers = { Accept: "application/json" };
  // A login is tried with the name and password of its body, whatever stands in the field.
  const isLogin = form.dataset.path.includes("api-token-");
  if (authorization.value && !isLogin) headers.Authorization = authorization.value;
  const body = form.querySelector("textarea");
  if (body) headers["Content-Type"] = "application/json";
  return {
    method: form.dataset.method,
    headers,
    body: body ? body.value : undefined,
    credentials: "omit",
    cache: "no-store",
    signal: AbortSignal.timeout(PATIENCE_MS),
  };
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function contentOf(response) {
  const type = response.headers.get("Content-Type") || "";
  if (!/json|text/.test(type)) {
    const bytes = (await response.arrayBuffer()).byteLength;
    return bytes ? `${bytes} bytes of ${type}` : "";
  }
  const text = pretty(await response.text());
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}\n… ${text.length - MOST_SHOWN} more characters` : text;
}

function keepToken(form, text) {
  if (!form.dataset.path.includes("api-token-")) return;
  const { token } = JSON.parse(text);
  if (token) authorization.value = `${form.dataset.path.includes("jwt") ? "JWT" : "Token"} ${token}`;
}

async function send(form) {
  const outcome = form.querySelector(".outcome");
  const answer = form.querySelector(".answer");
  const button = form.querySelector("button");
  answer.hidden = true;
  button.disabled = true;
  outcome.textContent = "Sending …";
  try {
    const response = await fetch(addressOf(form), requestOf(form));
    const text = await contentOf(response);
    outcome.textContent = `${response.status} ${response.statusText}`;
    answer.textContent = text;
    answer.hidden = !text;
    if (response.ok) keepToken(form, text);
  } catch (error) {
    outcome.textContent = error.name === "TimeoutError" ? "No answer in a minute." : error.message;
  } finally {
    button.disabled = false;
  }
}

document.querySelector(".credentials").hidden = false;
for (const form of document.querySelectorAll(".interact fieldset")) {
  form.disabled = false;
  form.querySelector("button").addEventListener("click", () => send(form));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.tagName === "INPUT") send(form);
  });
}
