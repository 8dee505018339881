
// Highlights the same token everywhere and shows its numbers. The page is complete without it.
const summary = document.getElementById("step");
let highlighted = [];
document.addEventListener("pointerover", (event) => {
  const part = event.target.closest("[data-step]");
  highlighted.forEach((element) => element.classList.remove("on"));
  highlighted = part ? [...document.querySelectorAll(`[data-step="${part.dataset.step}"]`)] : [];
  highlighted.forEach((element) => element.classList.add("on"));
  const token = highlighted.find((element) => element.dataset.summary);
  summary.textContent = token ? token.dataset.summary : "";
});
