// How variables and headers are formatted: as JSON, where they are JSON, and left alone where they are not. In place of
// two plugins of the formatter that know all of JavaScript, a third of the whole bundle.
const end = (text) => text.length;
export const parsers = { jsonc: { parse: (text) => ({ type: "text", text }), astFormat: "docket-json", locStart: () => 0, locEnd: ({ text }) => end(text) } };
export const printers = { "docket-json": { print: (path) => formatted(path.node.text) } };

function formatted(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
