// A `docket serve` of its own: started with the demo's orders, asked, killed and started again on the same port and data.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How long a start may take, in milliseconds: a debug build that recovers its database on a busy machine. */
const UP_WITHIN_MS = 60_000;

export class Server {
  #program;
  #folder = mkdtempSync(join(tmpdir(), "docket-page-"));
  #child = null;
  address = "127.0.0.1:0";
  token = "";

  constructor(program) {
    this.#program = program;
  }

  /** Starts it; the first time with the demo's orders and a token, later with what there is. */
  async start() {
    const { DATABASE_URL: _, ...env } = process.env;
    // With `--simulate 0` nothing happens but what a test does.
    const demo = this.token ? [] : ["--demo", "--simulate", "0"];
    const places = ["--listen", this.address, "--metrics-listen", "127.0.0.1:0", "--data-dir", join(this.#folder, "data")];
    const child = spawn(this.#program, ["serve", ...demo, ...places], { env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    let said = "";
    child.stderr.on("data", (data) => (said += data));
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`the server did not come up:\n${said}`)), UP_WITHIN_MS);
      child.on("exit", () => reject(new Error(`the server ended:\n${said}`)));
      child.stdout.on("data", (data) => {
        said += data;
        const [, page, token] = said.match(/http:\/\/([^/\s]+)\/#token=(\S+)/) ?? [];
        if (page) [this.address, this.token] = [page, token];
        if (!said.includes(demo.length ? "Ctrl-C" : "Docket is at") || !this.token) return;
        clearTimeout(late);
        resolve();
      });
    });
  }

  /** Runs another verb beside it; what it says. */
  verb(...args) {
    const { DATABASE_URL: _, ...env } = process.env;
    return execFileSync(this.#program, [...args, "--data-dir", join(this.#folder, "data")], { env, encoding: "utf8" });
  }

  /** A token of a role. */
  tokenOf(role) {
    return JSON.parse(this.verb("token", "create", "--role", role, "--actor", role, "--json")).token;
  }

  get url() {
    return `http://${this.address}`;
  }

  /** Ends the process and waits until it is gone. */
  async end(signal) {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.removeAllListeners("exit");
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await gone;
  }

  async stop() {
    await this.end("SIGTERM");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** The data of an operation that must succeed. */
  async run(query, variables = {}) {
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${this.token}` };
    const response = await fetch(`${this.url}/graphql`, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
    const answer = await response.json();
    if (answer.errors) throw new Error(JSON.stringify(answer.errors));
    const [first] = Object.values(answer.data);
    if (first?.userErrors?.length) throw new Error(JSON.stringify(first.userErrors));
    return first;
  }

  /** Runs the mutation `name`; its key is made from the input, so sending it again changes nothing. */
  async mutate(name, input) {
    const kind = `${name[0].toUpperCase()}${name.slice(1)}Input`;
    const query = `mutation($input: ${kind}!) { ${name}(input: $input) { order { id } version userErrors { message } } }`;
    const idempotencyKey = input.idempotencyKey ?? `${name}-${JSON.stringify(input)}`.slice(0, 255);
    return this.run(query, { input: { ...input, idempotencyKey } });
  }
}
