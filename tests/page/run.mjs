// What the page promises, tried in a browser. Each promise is a function; the first that fails ends the run.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { Server } from "./server.mjs";

/** No wait is longer, in milliseconds. */
const DEADLINE_MS = 30_000;
const [program, browserPath] = process.argv.slice(2);
const HOSTILE = `<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>&amp;"'`;

const server = new Server(program);
const browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox"] });

/** A page of a browser of its own; what it complains of is in `complaints`. */
async function open(fragment = `#token=${server.token}`, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(error.message));
  page.on("console", (message) => message.type() === "error" && page.complaints.push(message.text()));
  await page.goto(`${server.url}/${fragment}`);
  return page;
}

async function close(page, allowed = /^$/) {
  assert.deepEqual(page.complaints.filter((text) => !allowed.test(text)), []);
  await page.context().close();
}

const rows = (page) => page.locator("#order-list > li");
const entries = (page) => page.locator("#timeline > li");
const row = (page, text) => rows(page).filter({ hasText: text });
const live = (page) => page.locator('#state[data-state="live"]').waitFor();

async function eventually(what, expected) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await what();
    if (found === expected) return;
    if (Date.now() > end) assert.deepEqual(found, expected);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function draft(customer, currency, minor, name = "Tea", key = customer) {
  const input = { customer, name: customer, channel: "web", currency, locale: "en-GB", idempotencyKey: `create-${key}` };
  const { order } = await server.mutate("createOrder", input);
  if (minor) {
    const line = { sku: "TEA", name, quantity: 1, unitPrice: { amountMinor: String(minor), currency } };
    await server.mutate("addLine", { order: order.id, line });
  }
  return order.id;
}

/** All events of an order, as the log has them. */
async function logged(order) {
  let count = 0;
  for (const stream of [order, `${order}-p1`, `${order}-s1`]) {
    const { events } = await server.run("query($stream: String!) { events(stream: $stream, first: 100) { events { id } } }", { stream });
    count += events.length;
  }
  return count;
}

const promises = {
  async "the address brings the token and does not keep it"() {
    const page = await open();
    await rows(page).nth(4).waitFor();
    assert.ok(!page.url().includes("token"), page.url());
    await live(page);
    await page.reload();
    await rows(page).nth(4).waitFor();
    await close(page);
  },

  async "without a token it asks for one, and takes it"() {
    const page = await open("");
    await page.locator("#gate").waitFor();
    assert.ok(await page.locator("#desk").isHidden());
    await page.getByLabel("Token").fill(server.token);
    await page.keyboard.press("Enter");
    await rows(page).first().waitFor();
    assert.ok(!page.url().includes("docket_"), page.url());
    await page.getByRole("button", { name: "Forget token" }).click();
    await page.locator("#gate").waitFor();
    assert.equal(await rows(page).count(), 0);
    await close(page);
  },

  async "a token that does not hold is said to, and forgotten"() {
    const page = await open("#token=docket_nobodys");
    await page.getByText("This token no longer holds").waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await close(page, /401/);
  },

  async "orders arrive, and a chosen one moves, without a reload"() {
    const page = await open();
    await live(page);
    await page.evaluate(() => (window.same = true));
    const order = await draft("arrival", "EUR", 1999);
    await row(page, "arrival").click();
    await eventually(() => entries(page).count(), 2);
    const line = { sku: "POT", name: "Pot", quantity: 2, unitPrice: { amountMinor: "500", currency: "EUR" } };
    await server.mutate("addLine", { order, line });
    await eventually(() => entries(page).count(), 3);
    await page.locator("#order-head").getByText("€29.99").waitFor();
    await eventually(() => page.locator("#log-list > li").count(), 3);
    await page.locator("#log-list summary").first().click();
    await page.locator("#log-list pre").getByText('"unit_price"').waitFor();
    assert.ok(await page.evaluate(() => window.same));
    await close(page);
  },

  async "the keyboard reaches everything in the list"() {
    const page = await open();
    await rows(page).nth(3).waitFor();
    await rows(page).first().locator("button").focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.locator('#order-list > li:nth-child(3) > [aria-current="true"]').waitFor();
    await close(page);
  },

  async "amounts have the places of their currency"() {
    const page = await open();
    await draft("yen", "JPY", 500);
    await draft("dinar", "KWD", 1250);
    await row(page, "yen").getByText(/^(JP)?¥500$/).waitFor();
    await row(page, "dinar").getByText(/^KWD\s1\.250$/).waitFor();
    await close(page);
  },

  async "what comes from data is text, whatever it says"() {
    const page = await open();
    await live(page);
    await draft(HOSTILE, "EUR", 100, HOSTILE, "hostile");
    await row(page, HOSTILE).click();
    await page.locator("#order-parts").getByText(HOSTILE, { exact: true }).waitFor();
    await page.locator("#order-head").getByText(HOSTILE, { exact: true }).waitFor();
    await page.locator("#log-list summary").first().click();
    await page.locator("#log-list pre").waitFor();
    assert.equal(await page.locator("main script, main img").count(), 0);
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    await close(page);
  },

  async "a server that is killed is waited for, and nothing is missed or comes twice"() {
    const page = await open();
    await live(page);
    await page.evaluate(() => (window.same = true));
    const order = await draft("survivor", "EUR", 1000);
    await row(page, "survivor").click();
    await eventually(() => entries(page).count(), 2);
    await server.end("SIGKILL");
    await page.locator('#state[data-state="waiting"]').waitFor();
    await page.locator("#notice").waitFor();
    await server.start();
    // These may come before or after the page is back.
    for (let quantity = 1; quantity <= 20; quantity += 1) {
      const line = { sku: `S${quantity}`, name: "Spoon", quantity, unitPrice: { amountMinor: "1", currency: "EUR" } };
      await server.mutate("addLine", { order, line });
    }
    await live(page);
    const all = await logged(order);
    await eventually(() => entries(page).count(), all);
    await eventually(() => page.locator("#log-list > li").count(), all);
    const places = await page.locator("#log-list .place").allTextContents();
    assert.equal(new Set(places).size, all);
    assert.ok(await page.locator("#notice").isHidden());
    assert.ok(await page.evaluate(() => window.same));
    await close(page, /ERR_CONNECTION|WebSocket/);
  },

  async "the list keeps the newest fifty"() {
    const page = await open();
    await live(page);
    for (let number = 0; number < 52; number += 1) await draft(`many-${number}`, "EUR", 0);
    await row(page, "many-51").waitFor();
    await eventually(() => rows(page).count(), 50);
    assert.equal(await row(page, "many-1").filter({ hasNotText: /many-1\d/ }).count(), 0);
    await page.reload();
    await eventually(() => rows(page).count(), 50);
    await close(page);
  },

  async "an operator sees read models and a rebuild, and staff do not"() {
    const page = await open(`#token=${server.tokenOf("operator")}`);
    await live(page);
    await page.locator("#projections summary").click();
    await eventually(() => page.locator("#projections-list > li").count(), 10);
    await page.locator("#projections-note").getByText("all at the head").waitFor();
    const ask = "mutation { rebuildReadModel(input: {name: \"order_summary\", parallel: 1}) { userErrors { message } } }";
    await page.evaluate(async (query) => {
      const headers = { "Content-Type": "application/json", Authorization: `Bearer ${sessionStorage.getItem("docket.token")}` };
      await fetch("/graphql", { method: "POST", headers, body: JSON.stringify({ query }) });
    }, ask);
    await page.locator("#projections-list").getByText("generation 2, served").waitFor();
    await eventually(() => page.locator("#rebuilds > li").count(), 0);
    await close(page);
    const staff = await open();
    await live(staff);
    await rows(staff).first().waitFor();
    assert.ok(await staff.locator("#projections").isHidden());
    await close(staff);
  },

  async "GraphiQL completes, runs, formats and follows, with the page's token and without anybody else's server"() {
    const page = await open();
    await rows(page).first().waitFor();
    page.on("request", (request) => request.url().startsWith(server.url) || page.complaints.push(request.url()));
    await page.getByRole("link", { name: "GraphiQL" }).click();
    const result = page.locator(".result-window");
    const run = async (name) => {
      await page.locator(".graphiql-execute-button").click();
      await page.getByRole("menuitem", { name }).click();
    };
    await run("Orders");
    await result.getByText("paymentStatus").first().waitFor();
    await run("Changes");
    await result.getByText('"cursor"').waitFor();
    await draft("followed", "EUR", 0);
    await result.getByText("order.drafted").waitFor();
    await page.locator(".graphiql-execute-button").click();
    const editor = page.locator(".graphiql-query-editor .monaco-editor").first();
    await editor.click();
    await page.keyboard.press("Control+A");
    await page.keyboard.type("{ orde", { delay: 20 });
    await page.locator(".suggest-widget").getByText("orders", { exact: true }).waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+A");
    await page.keyboard.type("{orders{nodes{id", { delay: 20 });
    await page.getByRole("button", { name: /prettify/i }).click();
    await eventually(() => editor.locator(".view-line").count(), 8);
    await close(page);
  },

  async "a phone shows one part at a time, and nothing sideways"() {
    const page = await open(undefined, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
    await row(page, "many-51").tap();
    await page.locator("#order-head .head").waitFor();
    assert.ok(await page.locator("#orders").isHidden());
    await page.getByRole("button", { name: "Events" }).tap();
    await page.locator("#log-list > li").first().waitFor();
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await close(page);
  },
};

let status = 0;
try {
  await server.start();
  for (const [promise, check] of Object.entries(promises)) {
    const begun = Date.now();
    await check();
    console.log(`page: ${promise} (${Date.now() - begun} ms)`);
  }
} catch (error) {
  console.error(error);
  status = 1;
} finally {
  await browser.close();
  await server.stop();
}
process.exit(status);
