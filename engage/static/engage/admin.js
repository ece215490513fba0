// A form is sent once: the second click of a double click finds its button disabled.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-once]")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  setTimeout(() => {
    for (const button of form.querySelectorAll("button")) button.disabled = true;
  }, 0);
});

// Coming back by the browser's back button must not find a dead form.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-once]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  }
});

// Bars of what is under way move by themselves. When something begins or ends, the page is loaded
// anew: its figures have changed, too.
const SOON = 1500;
const LATER = 10000;

async function askWhatIsUnderWay(url) {
  const answer = await fetch(url, { headers: { Accept: "application/json" }, redirect: "error" });
  if (!answer.ok) throw new Error(answer.status);
  return (await answer.json()).works;
}

function moveBars(works) {
  for (const work of works) {
    for (const shown of document.querySelectorAll("[data-work]")) {
      if (shown.dataset.work !== work.key) continue;
      shown.hidden = false;
      shown.querySelector(".bar > span").style.width = `${work.percent}%`;
      shown.querySelector(".bar").setAttribute("aria-valuenow", work.percent);
      shown.querySelector(".words").textContent = work.words;
    }
  }
}

async function watch(url, busy, until) {
  let failed = 0;
  while (failed < 5) {
    await new Promise((resolve) => setTimeout(resolve, busy ? SOON : LATER));
    if (document.hidden) continue;
    let works;
    try {
      works = await askWhatIsUnderWay(url);
      failed = 0;
    } catch {
      failed += 1; // a restart, or a session that ended
      continue;
    }
    if (until(works)) return window.location.reload();
    moveBars(works);
  }
}

document.addEventListener("DOMContentLoaded", () => {
  for (const board of document.querySelectorAll("[data-under-way]")) {
    const { kind, shown, underWay } = board.dataset;
    const keys = (works) => works.map((work) => work.key).filter((key) => key.startsWith(kind));
    watch(underWay, shown !== "", (works) => keys(works).join(" ") !== shown);
  }
});

// A file that is read while its form is on the way: the form itself shows how far it is.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.watch || form.querySelector("[data-work]") === null) return;
  form.querySelector("[data-work]").hidden = false;
  const ask = () => askWhatIsUnderWay(form.dataset.watch).then(moveBars, () => {});
  setInterval(ask, SOON / 3);
});
