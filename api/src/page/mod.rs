//! The page at `/` of a development server, and GraphiQL at `/graphiql`: fixed files in the binary, nothing from elsewhere.
//!
//! They hold no data and ask for no token; what they show they get from `/graphql` like anybody else. What the page may
//! do is bound by its content security policy: scripts, styles and connections of its own origin alone, and no text that
//! could become markup (trusted types), so that an order's content cannot run whatever it says.
//!
//! A file is known by its path and by nothing else: there is no folder behind the routes. Each has an `ETag`, and a
//! browser asks again each time whether it still holds, so that another build is seen at once.

mod assets;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest;

use self::assets::{Asset, Encoding, FILES};

/// Every file at its path. Wants the host and origin checks around it, and only where the server is a development server.
pub fn router() -> Router {
    FILES.iter().fold(Router::new(), |router, asset| {
        router.route(asset.path, get(answer).with_state(Served::of(asset)))
    })
}

/// A file and its `ETag`.
#[derive(Clone)]
struct Served {
    asset: &'static Asset,
    tag: HeaderValue,
}

impl Served {
    fn of(asset: &'static Asset) -> Served {
        let hash = digest::digest(&digest::SHA256, asset.bytes);
        let tag = format!(
            "\"{}\"",
            URL_SAFE_NO_PAD.encode(hash.as_ref().get(..12).unwrap_or_default())
        );
        // Base64url between quotes is always a header's value; without one a browser just asks for the file again.
        let tag = HeaderValue::from_str(&tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        Served { asset, tag }
    }
}

async fn answer(State(served): State<Served>, headers: HeaderMap) -> Response {
    let Served { asset, tag } = served;
    let mut fixed: Vec<(HeaderName, HeaderValue)> = vec![
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(asset.policy),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, tag.clone()),
    ];
    if is_known(&headers, &tag) {
        return (StatusCode::NOT_MODIFIED, into_map(fixed)).into_response();
    }
    fixed.push((header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type)));
    if asset.encoding == Encoding::Gzip {
        fixed.push((header::VARY, HeaderValue::from_static("accept-encoding")));
        if !takes_gzip(&headers) {
            let why = "This file is kept compressed: accept gzip.\n";
            fixed.retain(|(name, _)| name != header::CONTENT_TYPE && name != header::ETAG);
            return (StatusCode::NOT_ACCEPTABLE, into_map(fixed), why).into_response();
        }
        fixed.push((header::CONTENT_ENCODING, HeaderValue::from_static("gzip")));
    }
    (into_map(fixed), Body::from(asset.bytes)).into_response()
}

fn into_map(headers: Vec<(HeaderName, HeaderValue)>) -> HeaderMap {
    headers.into_iter().collect()
}

/// Whether the caller has this very file. `*` and weak tags count too, as for any GET.
fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let tags = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = tags
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    tags.any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag.as_bytes()
    })
}

/// Whether the caller can read gzip: named, or by `*`, and not with a quality of zero.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let codings = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut wildcard = false;
    for coding in codings {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused = parts.any(|part| {
            let quality = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            quality.and_then(|quality| quality.parse::<f32>().ok()) == Some(0.0)
        });
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return !refused;
        }
        wildcard |= name == "*" && !refused;
    }
    wildcard
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn gzip_goes_to_who_can_read_it() {
        for (value, expected) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("*", true),
            ("gzip;q=0, *", false),
            ("*;q=0", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(
                takes_gzip(&headers(header::ACCEPT_ENCODING, value)),
                expected,
                "{value}"
            );
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_tag_is_known_in_any_form() {
        let tag = HeaderValue::from_static("\"a\"");
        for (value, expected) in [
            ("\"a\"", true),
            ("\"b\", W/\"a\"", true),
            ("*", true),
            ("a", false),
            ("", false),
        ] {
            assert_eq!(
                is_known(&headers(header::IF_NONE_MATCH, value), &tag),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn every_file_has_a_path_and_a_tag_of_its_own() {
        for (index, asset) in FILES.iter().enumerate() {
            assert!(!asset.bytes.is_empty(), "{}", asset.path);
            assert!(FILES.iter().skip(index + 1).all(|other| other.path != asset.path));
            assert!(Served::of(asset).tag.len() > 10, "{}", asset.path);
        }
    }
}
