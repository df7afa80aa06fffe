//! Documents that the engine has validated before.
//!
//! Whether a document is valid depends on its text and on the schema, and so does the order of its fields; clients send the
//! same few texts again and again, and validating one takes longer than answering it with an order. What is left of
//! validation is the variables: each must be of the type that the document declares for it, and the document is valid only if
//! it uses each where such a value may stand. The engine passes over an argument in which a variable has no value, so what it
//! found is good for requests that leave as many out, or more. Where anything is otherwise, it validates all of it again and
//! says what is wrong.

use std::sync::Arc;

use async_graphql::{
    Value, Variables,
    parser::types::OperationDefinition,
    registry::{MetaType, MetaTypeName, Registry},
};
use quick_cache::{Weighter, sync::Cache};

use super::sequence::Sequence;

/// Memory for documents that are known to be valid, in bytes.
const MAX_KNOWN: u64 = 8 << 20;
/// What a key takes in a map that has just grown, in bytes: two places of a hundred, and its name's count.
const BYTES_A_KEY: u64 = 224;
/// What a document of the usual length takes, in bytes.
const USUAL: u64 = 16 << 10;

/// What is known of a valid document.
#[derive(Debug)]
pub(super) struct Known {
    /// The operation that was looked at.
    pub(super) operation: Option<String>,
    /// What had a value when the engine validated it.
    pub(super) given: Given,
    pub(super) sequence: Arc<Sequence>,
}

/// Which of an operation's variables have a value, in the order in which it declares them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given(Vec<bool>);

impl Given {
    pub(super) fn of(operation: &OperationDefinition, variables: &Variables) -> Given {
        let declared = operation.variable_definitions.iter();
        Given(
            declared
                .map(|declared| variables.contains_key(&declared.node.name.node))
                .collect(),
        )
    }

    /// Whether what has a value here has one there.
    pub(super) fn is_within(&self, other: &Given) -> bool {
        self.0.iter().zip(&other.0).all(|(here, there)| !here || *there)
    }
}

#[derive(Clone)]
struct Memory;

impl Weighter<String, Arc<Known>> for Memory {
    fn weight(&self, text: &String, known: &Arc<Known>) -> u64 {
        // The text is there twice: as the key, and in the names.
        2 * text.len() as u64 + known.sequence.places() * BYTES_A_KEY
    }
}

/// The documents, and the types of their variables.
pub(super) struct Validated {
    registry: Registry,
    known: Cache<String, Arc<Known>, Memory>,
}

impl Validated {
    pub(super) fn new(registry: Registry) -> Validated {
        let usual = (MAX_KNOWN / USUAL) as usize;
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
            match variables.get(&declared.name.node) {
                // With a default it may stand where there must be a value; whether it does, the engine sees.
                Some(Value::Null) if declared.default_value.is_some() => false,
                Some(value) => self.is_of(&ty, value),
                None => true,
            }
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
