// The editor's three workers in one file, which share most of what they are; the worker's name says which it is.
const workers = {
  graphql: () => import("monaco-graphql/esm/graphql.worker.js"),
  json: () => import("monaco-editor/esm/vs/language/json/json.worker.js"),
};
(workers[self.name] ?? (() => import("monaco-editor/esm/vs/editor/editor.worker.js")))();
