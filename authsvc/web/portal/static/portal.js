// What pages do more with JavaScript than without: buttons that copy, and a page that waits for the first image.
"use strict";

// Without this script the buttons stay hidden, and the text beside them can be selected.
for (const button of document.querySelectorAll("button.copy")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select the text to copy it";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

// Of several tools one is shown; without this script all of them are.
const chooser = document.querySelector("select[data-choose]");
if (chooser) {
  const choose = () => {
    for (const part of document.querySelectorAll("[data-tool]")) part.hidden = part.dataset.tool !== chooser.value;
  };
  chooser.hidden = false;
  chooser.addEventListener("change", choose);
  choose();
}

// The page is loaded anew when it has something new to show, and not before: a reader is never interrupted for nothing.
// It looks for an hour: a page that was left open must not keep its reader signed in.
const waiting = document.querySelector("[data-wait]");
if (waiting) {
  const began = Date.now();
  const timer = setInterval(async () => {
    if (Date.now() - began > 3600000) {
      clearInterval(timer);
      return;
    }
    try {
      const answer = await fetch(location.href, { redirect: "error" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (answer.ok && !page.querySelector("[data-wait]")) location.reload();
    } catch {
      // The server is away or the session has ended; the link on the page says more.
    }
  }, 1000 * waiting.dataset.wait);
}
