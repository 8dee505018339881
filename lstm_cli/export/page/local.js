// Requests of the page, answered by the run in this file.

const PREDICT_DELAY = 20, EXPLAIN_DELAY = 120, RETRY_DELAY = 1000, BUSY_MILLISECONDS = 12;
let answers = null;

async function request(path, body, signal) {
  if (path === "/v1/model") return answers.model;
  if (path === "/v1/predict") return answers.predict(body);
  if (answers.isEmpty(body)) throw new ApiError(422, "The text has no tokens.", "");
  return answers.explain(body, pauses(signal));
}
// The browser gets time to draw and to read keys; an explanation that nobody waits for ends.
function pauses(signal) {
  let begin = performance.now();
  return async () => {
    if (performance.now() - begin < BUSY_MILLISECONDS) return;
    await new Promise((resolve) => { setTimeout(resolve); });
    if (signal.aborted) throw new DOMException("A newer input has come.", "AbortError");
    begin = performance.now();
  };
}
function showError(error) {
  if (error.name === "AbortError") return;
  $("notice").hidden = false;
  $("notice").textContent = error.message;
}
async function open() {
  try {
    answers = await makeAnswers($("run").textContent);
  } catch (error) {
    $("about").textContent = "";
    showError(window.DecompressionStream ? error : new Error("This page needs a browser of 2023 or later."));
    return;
  }
  await start();
}
open();
