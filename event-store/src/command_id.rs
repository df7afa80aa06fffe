//! Names for commands, so that a retry meets itself.
//!
//! A command id is UUIDv5(caller, key). The caller is the actor's kind and id, never the token, which may change between
//! tries; the key is the caller's text, or made here where the caller gave none.

use docket_domain::{Actor, CommandId, OrderId};
use serde_json::Value;
use uuid::Uuid;

/// The longest idempotency key, in bytes.
pub const MAX_KEY_BYTES: usize = 255;

/// The namespace of every caller: UUIDv5(URL, "docket:caller").
const CALLERS: Uuid = Uuid::from_u128(0xd41d_7739_ee09_514b_b862_e8f6_de2e_22e2);

/// The id of the command that `actor` calls `key`.
pub fn derive(actor: &Actor, key: &str) -> CommandId {
    CommandId(Uuid::new_v5(&caller(actor), key.as_bytes()))
}

/// The id of a command that nobody will repeat.
pub fn fresh(actor: &Actor) -> CommandId {
    derive(actor, &Uuid::now_v7().to_string())
}

/// The id of an order that its creator did not name: the same for a repeated command.
pub fn order_of(actor: &Actor, command: CommandId) -> OrderId {
    OrderId(Uuid::new_v5(&caller(actor), command.0.as_bytes()))
}

fn caller(actor: &Actor) -> Uuid {
    // A kind holds no colon, so no two actors share a name.
    Uuid::new_v5(&CALLERS, format!("{}:{}", actor.kind, actor.id).as_bytes())
}

/// A request's input as bytes that do not depend on the order of its keys or on white space.
pub fn canonical_json(input: &Value) -> Vec<u8> {
    // Writing a value that was read as JSON cannot fail.
    sorted(input).to_string().into_bytes()
}

/// Sorted here, because a feature of serde_json that any crate may turn on keeps keys in the order of arrival.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut entries: Vec<_> = fields
                .iter()
                .map(|(key, value)| (key.clone(), sorted(value)))
                .collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::{canonical_json, derive, order_of};
    use docket_domain::{Actor, Role};
    use serde_json::json;

    #[test]
    fn the_same_key_of_another_caller_is_another_command() {
        let (ann, bob) = (Actor::new(Role::Staff, "ann"), Actor::new(Role::Staff, "bob"));
        assert_eq!(derive(&ann, "k"), derive(&ann, "k"));
        assert_ne!(derive(&ann, "k"), derive(&bob, "k"));
        assert_ne!(derive(&ann, "k"), derive(&Actor::new(Role::Customer, "ann"), "k"));
        assert_eq!(
            order_of(&ann, derive(&ann, "k")),
            order_of(&ann, derive(&ann, "k"))
        );
    }

    #[test]
    fn the_order_of_keys_does_not_change_a_request() {
        let one = json!({"b": [{"y": 1, "x": 2}], "a": "t"});
        let other = serde_json::from_str(r#"{"a":"t","b":[{"x":2,"y":1}]}"#).unwrap();
        assert_eq!(canonical_json(&one), canonical_json(&other));
        assert_ne!(canonical_json(&one), canonical_json(&json!({"a": "t"})));
    }
}
