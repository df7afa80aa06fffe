//! The fields of an answer in the order in which the query names them, as the specification of GraphQL has it.
//!
//! The engine resolves the fields of an object at the same time and enters each as it is done, so that what had to wait
//! for the database comes last. Here the document's order is remembered before it runs, and put back afterwards.
//!
//! Almost always it is there already: then an answer is walked once and nothing is moved. The document has passed
//! [`super::shape`], so that what fragments spread to is bounded. The type that a fragment is on is not looked at: of two
//! fragments that name the same fields in two orders, the first one's order holds for both.

use async_graphql::{
    Name, Response, Value,
    indexmap::IndexMap,
    parser::types::{ExecutableDocument, OperationDefinition, Selection, SelectionSet},
};

use crate::http::show_null;

/// The keys of an object in the document's order, with those of what lies below.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    fields: IndexMap<Name, Sequence>,
    /// Some key is there twice and has fields of its own, here or below.
    has_merges: bool,
}

impl Sequence {
    /// Of an operation whose document is bounded.
    pub(super) fn of(document: &ExecutableDocument, operation: &OperationDefinition) -> Sequence {
        let mut sequence = Sequence::default();
        sequence.add(document, &operation.selection_set.node);
        sequence
    }

    fn add(&mut self, document: &ExecutableDocument, set: &SelectionSet) {
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => {
                    let (key, set) = (field.node.response_key(), &field.node.selection_set.node);
                    let is_again = self.fields.contains_key(&key.node);
                    let below = self.fields.entry(key.node.clone()).or_default();
                    below.add(document, set);
                    let (has_fields, has_merges) = (!below.fields.is_empty(), below.has_merges);
                    self.has_merges |= has_merges || (is_again && has_fields);
                }
                Selection::InlineFragment(inline) => self.add(document, &inline.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                        self.add(document, &fragment.node.selection_set.node);
                    }
                }
            }
        }
    }

    /// How many keys it has, here and below; a map has places for four at least.
    pub(super) fn places(&self) -> u64 {
        let here = match self.fields.len() as u64 {
            0 => 0,
            keys => keys.max(4),
        };
        here + self.fields.values().map(Sequence::places).sum::<u64>()
    }

    /// Whether the answer's fields are all resolved apart: no two of them make up one object.
    pub(super) fn is_unmerged(&self) -> bool {
        !self.has_merges
    }

    /// Puts a response into order, with null where a field failed.
    pub(super) fn put(&self, response: &mut Response) {
        let Response { data, errors, .. } = response;
        errors.iter().for_each(|error| show_null(data, &error.path));
        self.put_value(data);
    }

    fn put_value(&self, value: &mut Value) {
        match value {
            Value::List(items) => items.iter_mut().for_each(|item| self.put_value(item)),
            Value::Object(fields) => self.put_fields(fields),
            _ => {}
        }
    }

    fn put_fields(&self, fields: &mut IndexMap<Name, Value>) {
        // What was skipped is in the document and not in the answer.
        let mut keys = self.fields.keys();
        if !fields.keys().all(|key| keys.any(|known| known == key)) {
            let place = |key: &Name| self.fields.get_index_of(key);
            fields.sort_by(|one, _, other, _| place(one).cmp(&place(other)));
        }
        for (key, value) in fields {
            if let Some(below) = self.fields.get(key).filter(|below| !below.fields.is_empty()) {
                below.put_value(value);
            }
        }
    }
}
