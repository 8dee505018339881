
// Highlights the same token everywhere and shows its numbers beside it. The page is complete without it.
const tip = document.getElementById("tip"), live = document.getElementById("step");
const parts = [...document.querySelectorAll("[data-step]")], drawings = [...document.querySelectorAll("[data-steps]")];
const summaries = parts.map((part) => {
  const title = part.querySelector("title"), summary = title ? title.textContent : part.title;
  if (title) title.remove(); else part.removeAttribute("title");
  return summary;
});
let selected = -1;

function select(step, box) {
  parts.forEach((part, place) => part.classList.toggle("on", place === step));
  for (const drawing of drawings) {
    const column = drawing.querySelector(".column");
    column.classList.toggle("on", step >= 0);
    column.setAttribute("x", Math.max(step, 0));
  }
  selected = step;
  tip.hidden = step < 0 || !box;
  if (tip.hidden) return;
  tip.textContent = summaries[step];
  const { width, height } = tip.getBoundingClientRect(), room = document.documentElement.clientWidth - 8;
  const left = Math.max(8, Math.min(box.left + box.width / 2 - width / 2, room - width));
  const top = box.top > height + 10 ? box.top - height - 6 : box.bottom + 6;
  tip.style.transform = `translate(${Math.round(left + scrollX)}px, ${Math.round(top + scrollY)}px)`;
}
document.addEventListener("pointermove", (event) => {
  const part = event.target.closest("[data-step]"), drawing = event.target.closest("[data-steps]");
  if (part) {
    select(Number(part.dataset.step), part.getClientRects()[0]);
  } else if (drawing) {
    const box = drawing.getBoundingClientRect(), num = Number(drawing.dataset.steps);
    const step = Math.min(Math.max(Math.floor((event.clientX - box.left) / box.width * num), 0), num - 1);
    const place = { left: box.left + (step + .5) / num * box.width, width: 0, top: box.top, bottom: box.bottom };
    select(step, place);
  } else {
    select(-1);
  }
});
document.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -1e9, End: 1e9 };
  if (!(event.key in moves) || !event.target.matches("[role=group]")) return;
  event.preventDefault();
  const step = Math.min(Math.max(selected + moves[event.key], 0), parts.length - 1);
  parts[step].scrollIntoView({ block: "nearest" });
  select(step, parts[step].getClientRects()[0]);
  live.textContent = summaries[step];
});
document.addEventListener("focusout", () => select(-1));
