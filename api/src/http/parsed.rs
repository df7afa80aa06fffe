//! Documents that were parsed before. A client sends the same few texts again and again, and parsing one takes longer than
//! most of what it asks for.
//!
//! Each thread keeps its own: the names in a document are counted references, and all threads counting the same ones would
//! wait for each other at every field of every answer.

use std::cell::RefCell;

use async_graphql::{Request, parser::types::ExecutableDocument};
use quick_cache::{Weighter, unsync::Cache};

/// Memory that each thread keeps documents in, in bytes: about sixty of the usual length.
const MAX_KEPT: u64 = 8 << 20;
/// What a document takes for each byte of its text at most, which is where it has nothing but names of one letter.
const BYTES_A_BYTE: u64 = 110;
/// A text of the usual length, in bytes.
const USUAL: u64 = 1_200;

#[derive(Clone)]
struct Memory;

impl Weighter<String, ExecutableDocument> for Memory {
    fn weight(&self, text: &String, _: &ExecutableDocument) -> u64 {
        (text.len() as u64 + 1) * BYTES_A_BYTE
    }
}

thread_local! {
    static KEPT: RefCell<Cache<String, ExecutableDocument, Memory>> = RefCell::new(
        Cache::with_weighter((MAX_KEPT / BYTES_A_BYTE / USUAL) as usize, MAX_KEPT, Memory),
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
