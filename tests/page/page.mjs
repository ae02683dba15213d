#!/usr/bin/env node
// The page in a real Chromium: logged in and used by keyboard, a restart started there and watched to its end, a queued one
// cancelled, light and dark, nothing loaded from elsewhere. One line per test: `ok` or `FAILED`.
import { execFileSync } from "node:child_process";
import { strict as assert } from "node:assert";
import { get } from "node:http";
import { env, exit } from "node:process";

const { chromium } = await import(env.PLAYWRIGHT_MODULE);
const kubectl = (...words) => execFileSync("kubectl", ["--namespace", "shop", ...words], { encoding: "utf8" });
// What the restarted pods are asked meanwhile: slowly, so that there is something in flight to wait for.
const service = `http://${kubectl("get", "service", "web", "--output", "jsonpath={.spec.clusterIP}")}`;
const traffic = { on: true, served: 0, lost: [] };
const one = (path) => new Promise((resolve) => {
  const failed = (error) => resolve(traffic.lost.push(String(error)));
  get(service + path, { agent: false }, (answer) => {
    answer.on("error", failed).on("end", () => resolve(answer.statusCode === 200 ? (traffic.served += 1) : traffic.lost.push(answer.statusCode))).resume();
  }).on("error", failed);
});
const clients = Array.from({ length: 8 }, async (_, client) => {
  for (let turn = 0; traffic.on; turn += 1) await one(`/work?id=page-${client}-${turn}&millis=2500`);
});

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const context = await browser.newContext({ viewport: { width: 1280, height: 1060 }, colorScheme: "light" });
const page = await context.newPage();
page.setDefaultTimeout(10000);
const complaints = [];
page.on("console", (message) => message.type() === "error" && !/status of 4\d\d/.test(message.text()) && complaints.push(message.text()));
page.on("pageerror", (error) => complaints.push(error.message));
page.on("request", (request) => request.url().startsWith(env.ADDRESS) || complaints.push(`asked for ${request.url()}`));

let failed = 0;
async function test(name, body) {
  try {
    await body();
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}\n${error.stack}`);
  }
}

const text = (selector) => page.locator(selector).innerText();
const badge = (word, timeout = 60000) => page.locator("#run-phase", { hasText: new RegExp(`^${word}$`) }).waitFor({ timeout });
const focused = () => page.evaluate(() => document.activeElement.id);

await page.goto(env.ADDRESS);

await test("the policy of the page permits nothing inline and nothing from elsewhere", async () => {
  const answer = await page.request.get(env.ADDRESS);
  const policy = answer.headers()["content-security-policy"];
  assert.match(policy, /default-src 'none'; script-src 'self'/);
  assert.doesNotMatch(policy, /unsafe/);
});

await test("a token that the cluster does not know is refused with a sentence", async () => {
  await page.fill("#token", "nobody");
  await page.press("#token", "Enter");
  await page.locator("#login-error", { hasText: "does not know this token" }).waitFor();
});

await test("the login is done by keyboard alone", async () => {
  await page.reload();
  await page.locator("#token").focus();
  await page.keyboard.insertText(env.SHOP_TOKEN);
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "namespace");
  await page.keyboard.insertText("shop");
  await page.keyboard.press("Enter");
  await page.locator("#live[data-state=on]").waitFor();
  assert.equal(await page.inputValue("#token"), "");
});

await test("the token is in no store of the browser", async () => {
  const stored = await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie.length, location.href]);
  assert.deepEqual(stored.slice(0, 3), [0, 0, 0]);
  assert.doesNotMatch(stored[3], /ey/);
});

await test("a restart is asked for by keyboard and is live", async () => {
  await page.locator("#ask-open").focus();
  await page.keyboard.press("Enter");
  await page.locator("#ask[open]").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("#ask[open]").waitFor({ state: "detached" });
  await page.locator("#ask-open").press("Enter");
  assert.equal(await page.inputValue("#ask-namespace"), "shop");
  await page.fill("#ask-name", "web");
  await page.fill("#ask-reason", "new price table");
  await page.press("#ask-reason", "Enter");
  await page.locator("#ask[open]").waitFor({ state: "detached" });
  await page.locator("#now li button").first().waitFor();
  assert.match(await text("#run-target"), /Deployment web/);
  await badge("(restarting|waiting for requests)");
});

await test("a second one is refused with its code", async () => {
  await page.click("#ask-open");
  await page.fill("#ask-reason", "again");
  await page.click("#ask-send");
  await page.locator("#ask-error", { hasText: "RESTART_001" }).waitFor();
  await page.click("#ask-close");
});

await test("one that waits for its turn is cancelled by its button, and the other goes on", async () => {
  const manifest = (name) => ({ apiVersion: "restart-controller.dev/v1alpha1", kind: "RestartRequest", metadata: { name },
    spec: { targetRef: { kind: "Deployment", name: "web" }, reason: "a second price table", concurrencyPolicy: "Queue" } });
  const both = { apiVersion: "v1", kind: "List", items: ["queued", "doubted"].map(manifest) };
  execFileSync("kubectl", ["--namespace", "shop", "create", "-f", "-"], { input: JSON.stringify(both) });
  const cancel = async (name, answer) => {
    await page.locator(`#now button[data-key='shop/${name}']`).click();
    await badge("pending");
    await page.locator("#cancel:not([disabled])").click();
    await page.locator("#sure[open]").waitFor();
    await answer();
  };
  const yes = () => page.locator("#sure button[value=yes]").click();
  await cancel("queued", yes);
  await badge("cancelled");
  await cancel("doubted", () => page.keyboard.press("Escape"));
  await page.locator("#sure[open]").waitFor({ state: "detached" });
  assert.notEqual(kubectl("get", "restartrequest", "doubted", "--output", "jsonpath={.spec.cancel}"), "true");
  await cancel("doubted", yes);
  await badge("cancelled");
  await page.locator("#now button").first().press("Enter");
  assert.equal(await page.locator("#cancel").isDisabled(), true);
});

await test("the restart is watched to its end: pods, phases, curve", async () => {
  await page.locator("#timeline svg text.name").nth(1).waitFor({ timeout: 60000 });
  await badge("completed");
  assert.equal(await text("#facts div:first-child dd"), "2/2");
  assert.equal(await page.getAttribute("#bar", "aria-valuenow"), "2");
  const phases = await page.locator("#timeline [data-phase]").evaluateAll((all) => [...new Set(all.map((one) => one.dataset.phase))]);
  for (const phase of ["Preparing", "Restarting", "WaitingRequests", "Completed"]) assert.ok(phases.includes(phase), `${phase} in ${phases}`);
  assert.ok(await page.locator("#curve path.curve").count());
  assert.ok((await page.locator("#log li").count()) >= 4);
  assert.match(await text("#diff"), /web-config[\s\S]*New pods start on what the old ones had/);
  assert.match(await text("#facts"), /system:serviceaccount:shop:tester/);
  assert.equal(await page.locator("#before li button").count(), 3);
});

await test("a configuration that changed is shown line by line", async () => {
  kubectl("patch", "configmap", "web-config", "--type=merge", "--patch", JSON.stringify({ data: { "config.yaml": "greeting: good morning\ndelayMillis: 200\n" } }));
  await page.click("#ask-open");
  await page.fill("#ask-reason", "another greeting");
  await page.click("#ask-send");
  await page.locator("#diff .plus", { hasText: "greeting: good morning" }).waitFor({ timeout: 30000 });
  await page.locator("#diff .minus", { hasText: "greeting: hello" }).waitFor();
  await badge("(restarting|waiting for requests)");
  if (env.UPDATE) {
    await page.locator("#timeline svg text.name").nth(1).waitFor({ timeout: 60000 });
    await badge("waiting for requests");
    await page.waitForTimeout(1500);
    await page.screenshot({ path: "docs/page.png" });
  }
});

await test("the list is walked by the arrow keys", async () => {
  await page.locator("#list button").first().focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  const keys = await page.locator("#list button").evaluateAll((all) => all.map((one) => one.dataset.key));
  assert.equal(await page.locator("#list button[aria-current=true]").getAttribute("data-key"), keys[1]);
});

await test("light and dark differ, and both are read easily", async () => {
  const contrast = () => page.evaluate(() => {
    const light = (colour) => {
      const [red, green, blue] = colour.match(/\d+/g).map((part) => part / 255).map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const back = light(getComputedStyle(document.querySelector(".card#login ~ #board .card")).backgroundColor);
    return ["#run-target", "#run-reason", "#log b"].map((selector) => {
      const ink = light(getComputedStyle(document.querySelector(selector)).color);
      return (Math.max(ink, back) + 0.05) / (Math.min(ink, back) + 0.05);
    });
  });
  const paper = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const day = await paper();
  for (const ratio of await contrast()) assert.ok(ratio >= 4.5, `light: ${ratio}`);
  await page.emulateMedia({ colorScheme: "dark" });
  assert.notEqual(await paper(), day);
  for (const ratio of await contrast()) assert.ok(ratio >= 4.5, `dark: ${ratio}`);
});

await test("who logs out leaves nothing behind", async () => {
  await page.click("#logout");
  await page.locator("#login").waitFor();
  assert.equal(await page.locator("#list button").count(), 0);
  assert.equal(await focused(), "token");
});

await test("no request to the pods was lost meanwhile", async () => {
  traffic.on = false;
  await Promise.all(clients);
  assert.deepEqual(traffic.lost, []);
  assert.ok(traffic.served > 20, String(traffic.served));
});

await test("Chromium had nothing to complain of", async () => assert.deepEqual(complaints, []));

await browser.close();
exit(failed ? 1 : 0);
