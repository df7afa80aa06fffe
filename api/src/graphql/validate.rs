//! Whether a document fits the schema, without running anything of it.
//!
//! The engine has no door for that; an extension of it stops every request once its document is valid, before a resolver
//! is reached.

use std::sync::Arc;

use async_graphql::{
    Request, ServerError, ValidationResult,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation},
};
use futures::FutureExt as _;

use super::{DocketSchema, builder, shape};

/// What a valid document is stopped with.
const VALID: &str = "valid";

struct StopWhenValid;

impl ExtensionFactory for StopWhenValid {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(StopWhenValid)
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for StopWhenValid {
    async fn validation(
        &self,
        context: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        next.run(context).await?;
        Err(vec![ServerError::new(VALID, None)])
    }
}

/// Checks documents against the schema.
pub struct Validator(DocketSchema);

impl Default for Validator {
    fn default() -> Self {
        Validator(builder().extension(StopWhenValid).finish())
    }
}

impl Validator {
    /// Why a document cannot run, with the places where; none where it can. Whether its caller may ask for all of it is
    /// seen when somebody does.
    pub fn reasons(&self, text: &str) -> Vec<String> {
        let document = match async_graphql::parser::parse_query(text) {
            Ok(document) => document,
            Err(error) => return vec![error.to_string()],
        };
        if let Err(refused) = shape::check(&document) {
            return vec![refused.into_server_error().message];
        }
        // Nothing is waited for: the request ends before anything could.
        let response = self.0.execute(Request::new(text)).now_or_never();
        let Some(response) = response else {
            return vec!["it could not be checked".to_owned()];
        };
        let errors = response.errors.iter().filter(|error| error.message != VALID);
        let reasons = errors.map(|error| match error.locations.first() {
            Some(at) => format!("{} (line {}, column {})", error.message, at.line, at.column),
            None => error.message.clone(),
        });
        reasons.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Validator;

    #[test]
    fn what_fits_the_schema_is_valid_and_what_does_not_is_told_why() {
        let validator = Validator::default();
        for valid in [
            "{ __typename }",
            "query A($id: ID!) { order(id: $id) { id } }",
            "query A { __typename } query B { __typename }",
            "subscription S { ordersChanged { cursor } }",
        ] {
            assert_eq!(validator.reasons(valid), Vec::<String>::new(), "{valid}");
        }
        for (invalid, why) in [
            ("{ nope }", "nope"),
            ("{", "expected"),
            ("query A($id: ID!) { order(id: $id, x: 1) { id } }", "x"),
            ("subscription S { nope }", "nope"),
            ("{ ...a } fragment a on Query { ...a }", "spreads itself"),
        ] {
            let reasons = validator.reasons(invalid);
            assert!(
                reasons.iter().any(|reason| reason.contains(why)),
                "{invalid}: {reasons:?}"
            );
        }
    }
}
