//! The page of a development server: there for developers, bounded in what it may do, and not there in production.

use docket_tests::database;
use docket_tests::server::{Ask, Client, Reply, Server, on};

/// What the page is made of. A file that is not here is served to nobody.
const PAGE: [(&str, &str); 12] = [
    ("/", "text/html"),
    ("/page/page.css", "text/css"),
    ("/page/icon.svg", "image/svg+xml"),
    ("/page/app.js", "text/javascript"),
    ("/page/dom.js", "text/javascript"),
    ("/page/graphql.js", "text/javascript"),
    ("/page/log.js", "text/javascript"),
    ("/page/order.js", "text/javascript"),
    ("/page/orders.js", "text/javascript"),
    ("/page/projections.js", "text/javascript"),
    ("/page/session.js", "text/javascript"),
    ("/page/text.js", "text/javascript"),
];

/// What GraphiQL is made of, and whether it is kept compressed.
const GRAPHIQL: [(&str, &str, bool); 7] = [
    ("/graphiql", "text/html", false),
    ("/graphiql/frame.css", "text/css", false),
    ("/graphiql/graphiql.css", "text/css", true),
    ("/graphiql/graphiql.js", "text/javascript", true),
    ("/graphiql/worker.js", "text/javascript", true),
    ("/graphiql/codicon.ttf", "font/ttf", true),
    ("/graphiql/licenses.txt", "text/plain", true),
];

/// Every path.
fn paths() -> impl Iterator<Item = &'static str> {
    let graphiql = GRAPHIQL.iter().map(|(path, _, _)| *path);
    PAGE.iter().map(|(path, _)| *path).chain(graphiql)
}

/// A server of this mode, for one caller without a token.
async fn server(mode: &str) -> (Server, Client, impl Sized) {
    let db = database().await;
    let server = Server::launch(on(&db).env("DOCKET_SERVER__MODE", mode)).await;
    let client = server.client("");
    (server, client, db)
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    let lines = reply.head.lines().filter_map(|line| line.split_once(": "));
    let mut values = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
    let value = values.next().map(|(_, value)| value);
    assert!(values.next().is_none(), "{name} twice in {}", reply.head);
    value
}

#[tokio::test(flavor = "multi_thread")]
async fn a_development_server_shows_the_page_to_its_own_hosts() {
    let (_server, client, _db) = server("auto").await;
    for (path, media_type) in PAGE {
        let reply = client.ask(Ask::new("GET", path)).await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(
            header(&reply, "content-type").unwrap().starts_with(media_type),
            "{path}"
        );
        let policy = header(&reply, "content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.split("; ").any(|known| known == rule), "{path}: {rule}");
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains("http"),
            "{path}: {policy}"
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(header(&reply, name), Some(value), "{path}: {name}");
        }
    }
    let foreign = client
        .ask(Ask::new("GET", "/").header("host", "evil.example"))
        .await;
    assert_eq!(foreign.status, 421);
    let foreign = client
        .ask(Ask::new("GET", "/").header("origin", "https://evil.example"))
        .await;
    assert_eq!(foreign.status, 403);
    assert_eq!(header(&foreign, "cache-control"), Some("no-store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn graphiql_has_rules_of_its_own_and_goes_compressed_to_who_can_read_that() {
    let (_server, client, _db) = server("development").await;
    for (path, media_type, packed) in GRAPHIQL {
        let reply = client
            .ask(Ask::new("GET", path).header("accept-encoding", "br, gzip"))
            .await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(
            header(&reply, "content-type").unwrap().starts_with(media_type),
            "{path}"
        );
        assert_eq!(
            header(&reply, "content-encoding"),
            packed.then_some("gzip"),
            "{path}"
        );
        assert_eq!(
            header(&reply, "vary"),
            packed.then_some("accept-encoding"),
            "{path}"
        );
        assert_eq!(
            header(&reply, "x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        let policy = header(&reply, "content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "connect-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split("; ").any(|known| known == rule), "{path}: {rule}");
        }
        assert!(
            !policy.contains("unsafe-eval") && !policy.contains("http"),
            "{path}: {policy}"
        );
        let plain = client.ask(Ask::new("GET", path)).await;
        assert_eq!(plain.status, if packed { 406 } else { 200 }, "{path}");
        assert_eq!(header(&plain, "content-encoding"), None, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_has_a_file_is_not_sent_it_again() {
    let (_server, client, _db) = server("development").await;
    for path in paths() {
        let ask = |method| Ask::new(method, path).header("accept-encoding", "gzip");
        let whole = client.ask(ask("GET")).await;
        let tag = header(&whole, "etag").unwrap();
        let again = client
            .ask(Ask::new("GET", path).header("if-none-match", tag))
            .await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
        assert_eq!(header(&again, "etag"), Some(tag), "{path}");
        let other = client
            .ask(ask("GET").header("if-none-match", "\"another\""))
            .await;
        assert_eq!((other.status, &other.body), (200, &whole.body), "{path}");
        let head = client.ask(ask("HEAD")).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert_eq!(
            header(&head, "content-length"),
            header(&whole, "content-length"),
            "{path}"
        );
        assert_eq!(header(&head, "etag"), Some(tag), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_reading_known_files_is_possible() {
    let (_server, client, _db) = server("development").await;
    for path in paths() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let reply = client.ask(Ask::new(method, path)).await;
            assert_eq!(reply.status, 405, "{method} {path}");
            assert_eq!(header(&reply, "allow"), Some("GET,HEAD"), "{method} {path}");
        }
    }
    for path in [
        "/page",
        "/page/",
        "/page/mod.rs",
        "/graphiql/",
        "/graphiql/built/graphiql.js.gz",
        "/graphiql/package.json",
        "/page/page.html",
        "/page/../page/app.js",
        "/page/%2e%2e/app.js",
        "/page/..%2f..%2fCargo.toml",
        "//page/app.js",
        "/page/app.js/",
        "/index.html",
        "/favicon.ico",
        "/.git/config",
    ] {
        let reply = client.ask(Ask::new("GET", path)).await;
        assert_eq!((reply.status, reply.body.as_str()), (404, ""), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn production_serves_no_page() {
    let (_server, client, _db) = server("production").await;
    for path in paths() {
        for method in ["GET", "HEAD", "POST"] {
            let reply = client.ask(Ask::new(method, path)).await;
            assert_eq!((reply.status, reply.body.as_str()), (404, ""), "{method} {path}");
        }
    }
    assert_eq!(client.ask(Ask::new("GET", "/healthz")).await.status, 200);
}
