// Requests to the server, for the page in `render/page_parts`.

const PREDICT_DELAY = 120, EXPLAIN_DELAY = 350, RETRY_DELAY = 1500;

let runs = [];  // what /v1/models answers, if the server has it

async function request(path, body, signal) {
  if (path === "/v1/model") return findModel();
  return send(runs.length > 1 ? path.replace("/v1/", `/v1/models/${encodeURIComponent(model.name)}/`) : path, body, signal);
}
// The run that is chosen, or the first one.
async function findModel() {
  const first = await send("/v1/model"), chosen = $("run-name").value;
  runs = first.name === undefined ? [] : (await send("/v1/models")).models;
  const found = runs.find(({ name }) => name === chosen) || first;
  $("run-choice").hidden = runs.length < 2;
  $("run-name").replaceChildren(...runs.map(({ name }) => createElement("option", name, { value: name })));
  $("run-name").value = found.name;
  return found;
}
async function send(path, body, signal) {
  const headers = {};
  const key = sessionStorage.getItem("lstm-key");
  if (key) headers.Authorization = "Bearer " + key;
  const options = { headers, signal, cache: "no-store" };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    options.method = "POST";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  const content = await response.json();
  if (!response.ok) throw new ApiError(response.status, content.error.message, content.error.hint);
  return content;
}
function showError(error) {
  if (error.name === "AbortError") return;
  $("notice").hidden = false;
  if (!(error instanceof ApiError)) {
    $("notice").textContent = "The server does not respond. If it was stopped, start “lstm serve” again: this page tries to reach it "
      + "every few seconds and then goes on.";
    if (model) clearAnswer();
    schedule(reconnect, RETRY_DELAY);
  } else if (error.status === 401) {
    $("key-form").hidden = false;
    $("notice").textContent = error.message;
    $("key").focus();
  } else {
    $("notice").textContent = error.message + " " + error.hint;
    if (error.status === 429) schedule(update, RETRY_DELAY);
  }
}
async function reconnect() {
  try {
    await request("/healthz");
  } catch (error) {
    showError(error);
    return;
  }
  // The server may have another run now.
  start();
}

$("run-name").addEventListener("change", start);
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("lstm-key", $("key").value);
  $("key").value = "";
  $("key-form").hidden = true;
  start();
});
start();
