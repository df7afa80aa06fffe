//! Documents that were parsed before. A client sends the same few texts again and again, and parsing one takes longer than
//! most of what it asks for.
//!
//! Each thread keeps its own: the names in a document are counted references, and all threads counting the same ones would
//! wait for each other at every field of every answer.

use std::cell::RefCell;

use async_graphql::{Request, parser::types::ExecutableDocument};
use quick_cache::{Weighter, unsync::Cache};

/// Text that each thread keeps the documents of, in bytes; a document takes some twenty times its text.
const MAX_KEPT: u64 = 256 * 1024;
/// A text of the usual length, in bytes.
const USUAL: usize = 1024;

#[derive(Clone)]
struct Length;

impl Weighter<String, ExecutableDocument> for Length {
    fn weight(&self, text: &String, _: &ExecutableDocument) -> u64 {
        text.len().max(1) as u64
    }
}

thread_local! {
    static KEPT: RefCell<Cache<String, ExecutableDocument, Length>> = RefCell::new(
        Cache::with_weighter(MAX_KEPT as usize / USUAL, MAX_KEPT, Length),
    );
}

/// A request's document, in the request as well; `None` where its text is none.
pub(super) fn parse(request: &mut Request) -> Option<&ExecutableDocument> {
    let kept = KEPT.with_borrow(|kept| kept.get(request.query.as_str()).cloned());
    match kept {
        Some(document) => request.set_parsed_query(document),
        None => {
            let document = request.parsed_query().ok()?.clone();
            KEPT.with_borrow_mut(|kept| kept.insert(request.query.clone(), document));
        }
    }
    request.parsed_query().ok()
}
