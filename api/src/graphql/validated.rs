//! Documents that the engine has validated before.
//!
//! Whether a document is valid depends on its text and on the schema alone, and so does the order of its fields; clients send
//! the same few texts again and again, and validating one takes longer than answering it with an order. What is left of
//! validation is the variables: each must be of the type that the document declares for it, and the document is valid only if it
//! uses each where such a value may stand. Where one is not, the engine validates all of it again and says what is wrong.

use std::sync::Arc;

use async_graphql::{
    Value, Variables,
    parser::types::OperationDefinition,
    registry::{MetaType, MetaTypeName, Registry},
};
use quick_cache::{Weighter, sync::Cache};

use super::sequence::Sequence;

/// Memory for documents that are known to be valid, in bytes: at least sixty of the usual length.
const MAX_KNOWN: u64 = 8 << 20;
/// What is kept for each byte of a document's text at most, which is where it has nothing but short fields with one short
/// field each: the maps of both, with places for four, are some 700 bytes for eight of the text.
const BYTES_A_BYTE: u64 = 110;
/// A text of the usual length, in bytes.
const USUAL: u64 = 1_200;

/// What is known of a valid document.
#[derive(Debug)]
pub(super) struct Known {
    /// The operation that was looked at.
    pub(super) operation: Option<String>,
    pub(super) sequence: Arc<Sequence>,
}

#[derive(Clone)]
struct Memory;

impl Weighter<String, Arc<Known>> for Memory {
    fn weight(&self, text: &String, _: &Arc<Known>) -> u64 {
        (text.len() as u64 + 1) * BYTES_A_BYTE
    }
}

/// The documents, and the types of their variables.
pub(super) struct Validated {
    registry: Registry,
    known: Cache<String, Arc<Known>, Memory>,
}

impl Validated {
    pub(super) fn new(registry: Registry) -> Validated {
        let usual = (MAX_KNOWN / BYTES_A_BYTE / USUAL) as usize;
        Validated {
            registry,
            known: Cache::with_weighter(usual, MAX_KNOWN, Memory),
        }
    }

    /// What is known of an operation of a document.
    pub(super) fn get(&self, text: &str, operation: Option<&str>) -> Option<Arc<Known>> {
        let known = self.known.get(text)?;
        (known.operation.as_deref() == operation).then_some(known)
    }

    /// Remembers a document whose operation has begun to run.
    pub(super) fn insert(&self, text: String, known: Known) {
        self.known.insert(text, Arc::new(known));
    }

    /// Whether every variable that has a value is of its declared type; [`super::document`] refuses one that must have one.
    pub(super) fn admits(&self, operation: &OperationDefinition, variables: &Variables) -> bool {
        let mut declared = operation.variable_definitions.iter();
        declared.all(|declared| {
            let declared = &declared.node;
            let ty = declared.var_type.node.to_string();
            let value = variables.get(&declared.name.node);
            value.is_none_or(|value| self.is_of(&ty, value))
        })
    }

    fn is_of(&self, ty: &str, value: &Value) -> bool {
        match MetaTypeName::create(ty) {
            MetaTypeName::NonNull(ty) => *value != Value::Null && self.is_of(ty, value),
            _ if *value == Value::Null => true,
            MetaTypeName::List(ty) => match value {
                Value::List(items) => items.iter().all(|item| self.is_of(ty, item)),
                // One value stands for a list of one.
                value => self.is_of(ty, value),
            },
            MetaTypeName::Named(name) => match (self.registry.types.get(name), value) {
                (Some(MetaType::Scalar { is_valid, .. }), value) => {
                    is_valid.as_ref().is_none_or(|is_valid| is_valid(value))
                }
                (Some(MetaType::Enum { enum_values, .. }), Value::Enum(word)) => {
                    enum_values.contains_key(word.as_str())
                }
                (Some(MetaType::Enum { enum_values, .. }), Value::String(word)) => {
                    enum_values.contains_key(word)
                }
                (
                    Some(MetaType::InputObject {
                        input_fields,
                        oneof: false,
                        ..
                    }),
                    Value::Object(fields),
                ) => {
                    fields.keys().all(|name| input_fields.contains_key(name.as_str()))
                        && input_fields
                            .values()
                            .all(|field| match fields.get(field.name.as_str()) {
                                Some(value) => self.is_of(&field.ty, value),
                                None => field.default_value.is_some() || !field.ty.ends_with('!'),
                            })
                }
                _ => false,
            },
        }
    }
}
