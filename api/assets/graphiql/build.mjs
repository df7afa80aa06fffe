// Builds GraphiQL into `built/`: a page's script, a worker's, a stylesheet and the symbols' font, each compressed, with the
// licences of everything that is in them. The same packages give the same bytes.

import { build } from "esbuild";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";

/** What all of it may have, in bytes: more means that a package brought something new along, which wants a look. */
const MAX_BYTES = 1_500_000;

const source = (file) => resolve("src", file);
/** What of the packages is left out, and what stands in for it. */
const slimmer = {
  name: "slimmer",
  setup({ onResolve, resolve: find }) {
    onResolve({ filter: /editor\/edcore\.main\.js$/ }, () => ({ path: source("editor.js") }));
    onResolve({ filter: /diffEditor\/diffEditorWidget\.js$/ }, () => ({ path: source("no-diff.js") }));
    onResolve({ filter: /^prettier\/(parser-babel|plugins\/estree)$/ }, () => ({ path: source("json.js") }));
    // The same plugin under an older name.
    onResolve({ filter: /^prettier\/parser-graphql$/ }, ({ resolveDir }) =>
      find("prettier/plugins/graphql", { kind: "import-statement", resolveDir }));
  },
};

const { outputFiles, metafile } = await build({
  entryPoints: { graphiql: "src/main.jsx", worker: "src/worker.js" },
  plugins: [slimmer],
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"' },
  loader: { ".ttf": "file" },
  assetNames: "[name]",
  legalComments: "none",
  outdir: "built",
});

/** The licence texts of the packages that are in the bundle. */
function licences() {
  const names = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs));
  const packages = names.map((name) => name.match(/^.*node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[0]).filter(Boolean);
  return [...new Set(packages)].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json")));
    const texts = readdirSync(folder).filter((file) => /^(licen[cs]e|notice|copying|thirdpartynotices)/i.test(file)).sort();
    return [`${name} ${version} (${license})`, ...texts.map((file) => readFileSync(join(folder, file), "utf8").trim())].join("\n\n");
  }).join(`\n\n${"-".repeat(80)}\n\n`);
}

if (existsSync("built")) rmSync("built", { recursive: true });
mkdirSync("built");
const files = outputFiles.map(({ path, contents }) => [path.split("/").at(-1), contents]);
files.push(["licenses.txt", new TextEncoder().encode(`${licences()}\n`)]);
let total = 0;
for (const [name, contents] of files) {
  const packed = gzipSync(contents, { level: 9 });
  total += packed.length;
  writeFileSync(join("built", `${name}.gz`), packed);
  console.log(`graphiql: ${name}: ${contents.length} bytes, ${packed.length} compressed`);
}
console.log(`graphiql: ${total} bytes compressed`);
if (total > MAX_BYTES) throw new Error(`more than ${MAX_BYTES} bytes`);
