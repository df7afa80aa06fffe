// How read models fare, and rebuilds in progress. For operators: anybody else is refused, and sees nothing of it.

import { byId, h, keyed } from "./dom.js";
import { words } from "./text.js";

const PROGRESS = `subscription { projectionProgress { projections { name
  generations { generation role standing detail lagEvents lagSeconds }
  rebuild { generation step wish owner yields outcome endedAt partitions { partition folded target } } } } }`;

const TONES = { AT_HEAD: "good", MOVING: "going", WAITING: "going", PAUSED: "back", SLOW: "back" };
/** What a rebuild does at each step. */
const STEPS = {
  CREATE: "makes tables", LOAD: "folds the log", INDEX: "builds indexes", VERIFY: "compares with what is served", SWAP: "swaps",
};
const whole = new Intl.NumberFormat();
const percent = new Intl.NumberFormat(undefined, { style: "percent" });

export class Projections {
  #frame = 0;

  /** Follows all of them; each message is all that there is to show. */
  start({ live }) {
    return live.follow(PROGRESS, {}, {
      onStart: () => {},
      onMessage: ({ projections }) => this.#draw(projections),
      onError: () => this.clear(),
    });
  }

  clear() {
    cancelAnimationFrame(this.#frame);
    byId("projections").hidden = true;
  }

  #draw(projections) {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      const generations = projections.flatMap(({ name, generations }) => generations.map((of) => ({ name, ...of })));
      const rebuilds = projections.map(({ rebuild, name }) => ({ ...rebuild, name })).filter((one) => one.step && !one.endedAt);
      byId("projections").hidden = false;
      byId("projections-note").textContent = summary(generations, rebuilds);
      keyed(byId("projections-list"), generations, ({ name, generation }) => `${name} ${generation}`, row);
      keyed(byId("rebuilds"), rebuilds, ({ name }) => name, bars);
    });
  }
}

/** One line for all of them. */
function summary(generations, rebuilds) {
  const trouble = generations.filter(({ standing }) => !(standing in TONES));
  const behind = generations.filter(({ standing, role }) => standing !== "AT_HEAD" && role !== "BUILDING").length;
  if (trouble.length > 0) return trouble.map(({ name, standing }) => `${name}: ${words(standing).toLowerCase()}`).join(", ");
  if (rebuilds.length > 0) return `${rebuilds.length === 1 ? "1 is" : `${rebuilds.length} are`} being rebuilt`;
  return behind > 0 ? `${behind} not at the head` : "all at the head";
}

function row({ name, generation, role, standing, detail, lagEvents, lagSeconds }) {
  const lag = lagEvents === "0" ? "" : `${whole.format(lagEvents)} events, ${lagSeconds.toFixed(1)} s behind`;
  return h("li", null,
    h("span", { class: "what" }, h("b", null, name), ` ${role === "REACTOR" ? "reactor" : `generation ${generation}, ${words(role).toLowerCase()}`}`),
    h("span", { class: "note" }, lag || (standing === "AT_HEAD" ? "" : detail)),
    h("span", { class: `tag ${TONES[standing] ?? "bad"}` }, words(standing)));
}

/** A bar for the whole, and a small one for each partition. */
function bars({ name, generation, step, wish, owner, yields, outcome, partitions }) {
  const sum = (of) => partitions.reduce((total, partition) => total + Number(partition[of]), 0);
  const [folded, target] = [sum("folded"), sum("target")];
  const held = wish === "PAUSE" ? "paused" : !owner ? (outcome ?? "nobody does it now") : yields ? "makes way for live read models" : null;
  return h("li", null,
    h("p", null, h("b", null, name), ` generation ${generation} ${STEPS[step]}${held ? `: ${held}` : ""}`,
      h("span", { class: "note" }, ` ${whole.format(folded)} of ${whole.format(target)} events`)),
    bar(folded, target, name),
    h("div", { class: "bars" }, partitions.map((at) => bar(Number(at.folded), Number(at.target), `partition ${at.partition}`))));
}

/** Full where there is nothing to do. */
function bar(folded, target, what) {
  const share = target > 0 ? folded / target : 1;
  return h("progress", { value: share, max: 1, "aria-label": what, title: `${what}: ${percent.format(share)}` });
}
