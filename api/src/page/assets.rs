//! The files, their paths and what each may do in a browser.

/// How a file's bytes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
}

/// A file of the binary.
#[derive(Debug)]
pub(super) struct Asset {
    pub(super) path: &'static str,
    pub(super) media_type: &'static str,
    pub(super) encoding: Encoding,
    /// Its `Content-Security-Policy`. Only a document's counts; the other files have the same.
    pub(super) policy: &'static str,
    pub(super) bytes: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";
const TTF: &str = "font/ttf";

/// The page: its own files and `/graphql`, and no text that turns into markup.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// GraphiQL: as the page, but its editor writes style elements, draws with images of data, and has a worker.
const GRAPHIQL_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

macro_rules! page {
    ($path:literal, $media_type:expr, $file:literal) => {
        Asset {
            path: $path,
            media_type: $media_type,
            encoding: Encoding::Plain,
            policy: PAGE_POLICY,
            bytes: include_bytes!(concat!("../../assets/page/", $file)),
        }
    };
}

macro_rules! graphiql {
    ($path:literal, $media_type:expr, $encoding:ident, $file:literal) => {
        Asset {
            path: $path,
            media_type: $media_type,
            encoding: Encoding::$encoding,
            policy: GRAPHIQL_POLICY,
            bytes: include_bytes!(concat!("../../assets/graphiql/", $file)),
        }
    };
}

/// All of them. `bin/build-graphiql` makes what is compressed.
pub(super) static FILES: &[Asset] = &[
    page!("/", HTML, "page.html"),
    page!("/page/page.css", CSS, "page.css"),
    page!("/page/icon.svg", SVG, "icon.svg"),
    page!("/page/app.js", JS, "app.js"),
    page!("/page/dom.js", JS, "dom.js"),
    page!("/page/graphql.js", JS, "graphql.js"),
    page!("/page/log.js", JS, "log.js"),
    page!("/page/order.js", JS, "order.js"),
    page!("/page/orders.js", JS, "orders.js"),
    page!("/page/projections.js", JS, "projections.js"),
    page!("/page/session.js", JS, "session.js"),
    page!("/page/text.js", JS, "text.js"),
    graphiql!("/graphiql", HTML, Plain, "graphiql.html"),
    graphiql!("/graphiql/frame.css", CSS, Plain, "frame.css"),
    graphiql!("/graphiql/graphiql.js", JS, Gzip, "built/graphiql.js.gz"),
    graphiql!("/graphiql/graphiql.css", CSS, Gzip, "built/graphiql.css.gz"),
    graphiql!("/graphiql/worker.js", JS, Gzip, "built/worker.js.gz"),
    graphiql!("/graphiql/codicon.ttf", TTF, Gzip, "built/codicon.ttf.gz"),
    graphiql!("/graphiql/licenses.txt", TEXT, Gzip, "built/licenses.txt.gz"),
];
