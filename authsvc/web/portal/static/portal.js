// What pages do more with JavaScript than without: buttons that copy, a page that waits for the first image, passkeys.
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

// Passkeys (WebAuthn): the form has what the browser is asked, and is sent with its answer. A page offers to sign in with
// one beside the e-mail address as well, as soon as it is open.
const forms = [...document.querySelectorAll("form[data-passkey]")];
let offered = null;
let asked = Date.now();

// What the browser is asked is good for five minutes: a page that was left open gets it anew.
async function renew() {
  if (Date.now() - asked < 240000) return;
  const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
  for (const form of forms) {
    const fresh = page.querySelector(`form[data-passkey=get][action="${form.getAttribute("action")}"]`);
    if (fresh) form.dataset.options = fresh.dataset.options;
  }
  asked = Date.now();
}

async function answer(form, more) {
  const options = JSON.parse(form.dataset.options);
  const found = form.dataset.passkey === "create"
    ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
    : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options), ...more });
  form.elements.answer.value = JSON.stringify(found);
  form.submit();
}

async function offer(form) {
  if (!document.querySelector("input[autocomplete~=webauthn]")) return;
  if (!await PublicKeyCredential.isConditionalMediationAvailable?.()) return;
  offered = new AbortController();
  try {
    await answer(form, { mediation: "conditional", signal: offered.signal });
  } catch {
    // Nobody took the offer; the button and the password are still there.
  }
}

if (window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
  for (const form of forms) {
    const status = form.querySelector("[role=status]");
    status.textContent = "";
    form.querySelector("button").hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      offered?.abort();
      status.textContent = "Waiting for your browser …";
      try {
        await renew();
        await answer(form, {});
      } catch (error) {
        status.textContent = error.name === "InvalidStateError"
          ? "This device has a passkey for your account already."
          : "Nothing was done: the browser gave no passkey.";
      }
    });
    offer(form);
    document.addEventListener("visibilitychange", async () => {
      if (document.hidden || Date.now() - asked < 240000) return;
      offered?.abort();
      await renew();
      offer(form);
    });
  }
}
