//! How old payloads of payment events are lifted to the current ones.

use serde_json::{Map, Value, json};

/// `payment.initiated`, 1 to 2: the method was its type alone (`"card"`) and became an object with brand, last digits
/// and token.
pub(super) fn initiated_1(payload: &mut Map<String, Value>) -> Result<(), &'static str> {
    match payload.get_mut("method") {
        Some(method @ Value::String(_)) => {
            *method = json!({ "type": method.take() });
            Ok(())
        }
        _ => Err("the method is not a text"),
    }
}
