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

// The page is loaded anew when it has something new to show, and not before: a reader is never interrupted for nothing.
const waiting = document.querySelector("[data-wait]");
if (waiting) {
  setInterval(async () => {
    try {
      const answer = await fetch(location.href, { redirect: "error" });
      if (answer.ok && !(await answer.text()).includes("data-wait=")) location.reload();
    } catch {
      // The server is away or the session has ended; the link on the page says more.
    }
  }, 1000 * waiting.dataset.wait);
}
