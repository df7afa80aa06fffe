//! Who acts. Always from the caller's token, never from its input.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::ParseIdError;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $expected:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// As it is stored.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err(ParseIdError::new(text, $expected)),
                }
            }
        }
    };
}

words!(
    /// What kind of actor an event names.
    ActorKind, "a kind of actor (customer, staff, system, gateway, carrier)" {
        /// Someone who buys.
        Customer = "customer",
        /// Someone who works in the shop.
        Staff = "staff",
        /// A program of the shop.
        System = "system",
        /// A payment gateway.
        Gateway = "gateway",
        /// A carrier, or the program that speaks for it.
        Carrier = "carrier",
    }
);

words!(
    /// What a token allows.
    Role, "a role (customer, staff, operator, service, gateway)" {
        /// Their own orders.
        Customer = "customer",
        /// The order desk.
        Staff = "staff",
        /// The order desk, and running the system: imports and forgetting.
        Operator = "operator",
        /// Processes and carriers.
        Service = "service",
        /// Results of its own payments.
        Gateway = "gateway",
    }
);

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor {
    /// What kind of actor events name.
    pub kind: ActorKind,
    /// Which one: a customer's id, a member of staff, a gateway's name.
    pub id: String,
    /// What they may do.
    pub role: Role,
}

impl Actor {
    /// An actor of the kind that usually goes with `role`; a carrier is a [`Role::Service`] of another kind.
    pub fn new(role: Role, id: impl Into<String>) -> Self {
        let kind = match role {
            Role::Customer => ActorKind::Customer,
            Role::Staff | Role::Operator => ActorKind::Staff,
            Role::Service => ActorKind::System,
            Role::Gateway => ActorKind::Gateway,
        };
        Self {
            kind,
            id: id.into(),
            role,
        }
    }
}
