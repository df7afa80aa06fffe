//! The schema as it says of itself, walked by tests that must not forget a field: arguments and selections made from it.

use crate::desk::{Desk, staff};
use docket::graphql;
use docket_domain::Role;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const QUERY: &str = "{ __schema { types { kind name possibleTypes { name }
    fields { name args { ...input } type { ...type } }
    inputFields { ...input } enumValues { name } } } }
    fragment input on __InputValue { name defaultValue type { ...type } }
    fragment type on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// What arguments are made of, where nothing else is asked for.
pub(crate) struct Named<'a> {
    pub(crate) order: &'a str,
    pub(crate) customer: &'a str,
    pub(crate) text: &'a str,
}

pub(crate) struct Schema {
    types: BTreeMap<String, Value>,
    /// Types that selections pass over.
    closed: BTreeSet<String>,
}

/// The type behind brackets and exclamation marks.
fn bare(mut ty: &Value) -> &str {
    while !ty["ofType"].is_null() {
        ty = &ty["ofType"];
    }
    ty["name"].as_str().unwrap()
}

fn is_required(input: &Value) -> bool {
    input["type"]["kind"] == "NON_NULL" && input["defaultValue"].is_null()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn name(value: &Value) -> &str {
    value["name"].as_str().unwrap()
}

impl Schema {
    pub(crate) async fn of(desk: &Desk) -> Schema {
        let types = desk.data(&staff(), QUERY, json!({})).await["__schema"]["types"].take();
        let types = list(&types).iter().map(|ty| (name(ty).to_owned(), ty.clone()));
        Schema {
            types: types.collect(),
            closed: BTreeSet::new(),
        }
    }

    /// Leaves out of selections the types whose fields a role may not ask for.
    pub(crate) fn close_to(&mut self, role: Role) {
        let guards = graphql::guards();
        let is_closed = |ty: &&String| {
            let first = self.fields(ty).first().copied();
            let roles = first.and_then(|field| guards.roles(ty, field));
            roles.is_some_and(|roles| !roles.admit(Some(role)))
        };
        self.closed = self.types.keys().filter(is_closed).cloned().collect();
    }

    pub(crate) fn fields(&self, parent: &str) -> Vec<&str> {
        list(&self.types[parent]["fields"]).iter().map(name).collect()
    }

    fn field(&self, parent: &str, field: &str) -> &Value {
        let mut fields = list(&self.types[parent]["fields"]).iter();
        fields
            .find(|known| name(known) == field)
            .unwrap_or_else(|| panic!("there is no {parent}.{field}"))
    }

    /// The type that a field leads to.
    pub(crate) fn leads_to(&self, parent: &str, field: &str) -> &str {
        bare(&self.field(parent, field)["type"])
    }

    fn is_composite(&self, ty: &str) -> bool {
        ["OBJECT", "INTERFACE", "UNION"].contains(&self.types[ty]["kind"].as_str().unwrap())
    }

    /// The names and kinds of an input type's fields.
    pub(crate) fn inputs(&self, ty: &str) -> Vec<(&str, &str)> {
        let fields = list(&self.types[ty]["inputFields"]).iter();
        fields.map(|field| (name(field), bare(&field["type"]))).collect()
    }

    /// The arguments that a field needs, and no more.
    pub(crate) fn arguments(&self, parent: &str, field: &str, named: &Named<'_>) -> String {
        let needed = list(&self.field(parent, field)["args"])
            .iter()
            .filter(|input| is_required(input));
        let written: Vec<String> = needed
            .map(|input| {
                format!(
                    "{}: {}",
                    name(input),
                    self.literal(name(input), &input["type"], named)
                )
            })
            .collect();
        if written.is_empty() {
            String::new()
        } else {
            format!("({})", written.join(", "))
        }
    }

    /// A value of a type, as a document writes it.
    pub(crate) fn literal(&self, argument: &str, ty: &Value, named: &Named<'_>) -> String {
        match ty["kind"].as_str().unwrap() {
            "NON_NULL" => self.literal(argument, &ty["ofType"], named),
            "LIST" => format!("[{}]", self.literal(argument, &ty["ofType"], named)),
            "ENUM" => name(&list(&self.types[name(ty)]["enumValues"])[0]).to_owned(),
            "INPUT_OBJECT" => format!("{{{}}}", self.object(name(ty), named).join(", ")),
            _ => scalar(argument, name(ty), named),
        }
    }

    /// The fields that an input needs.
    pub(crate) fn object(&self, ty: &str, named: &Named<'_>) -> Vec<String> {
        let needed = list(&self.types[ty]["inputFields"])
            .iter()
            .filter(|input| is_required(input));
        needed
            .map(|input| {
                format!(
                    "{}: {}",
                    name(input),
                    self.literal(name(input), &input["type"], named)
                )
            })
            .collect()
    }

    /// Everything of a type that needs no arguments, `depth` levels down; what was selected is put into `seen`.
    pub(crate) fn selection(&self, ty: &str, depth: u32, seen: &mut BTreeSet<String>) -> String {
        let mut written = vec!["__typename".to_owned()];
        for field in list(&self.types[ty]["fields"]) {
            if list(&field["args"]).iter().any(is_required) {
                continue;
            }
            let to = bare(&field["type"]);
            if self.closed.contains(to) {
                continue;
            }
            let below = if !self.is_composite(to) {
                String::new()
            } else if depth == 0 {
                continue;
            } else {
                format!(" {{ {} }}", self.selection(to, depth - 1, seen))
            };
            seen.insert(format!("{ty}.{}", name(field)));
            written.push(format!("{}{below}", name(field)));
        }
        written.join(" ")
    }

    /// A selection for a field, where its type has fields.
    pub(crate) fn selected(
        &self,
        parent: &str,
        field: &str,
        depth: u32,
        seen: &mut BTreeSet<String>,
    ) -> String {
        let to = self.leads_to(parent, field);
        seen.insert(format!("{parent}.{field}"));
        if self.is_composite(to) {
            format!(" {{ {} }}", self.selection(to, depth, seen))
        } else {
            String::new()
        }
    }

    /// Every field that leads to one of these types and can be reached from these root fields.
    pub(crate) fn leading_to(&self, roots: &[(&str, &str)], types: &[&str]) -> BTreeSet<String> {
        let (mut found, mut reached) = (BTreeSet::new(), BTreeSet::new());
        let mut visit = |parent: &str, field: &str| {
            let to = self.leads_to(parent, field);
            if types.contains(&to) {
                found.insert(format!("{parent}.{field}"));
            }
            to.to_owned()
        };
        let mut queue: Vec<String> = roots.iter().map(|(parent, field)| visit(parent, field)).collect();
        while let Some(ty) = queue.pop() {
            if !reached.insert(ty.clone()) {
                continue;
            }
            queue.extend(
                list(&self.types[&ty]["possibleTypes"])
                    .iter()
                    .map(|ty| name(ty).to_owned()),
            );
            for field in self.fields(&ty) {
                queue.push(visit(&ty, field));
            }
        }
        found
    }
}

fn scalar(argument: &str, ty: &str, named: &Named<'_>) -> String {
    let Named {
        order,
        customer,
        text,
    } = named;
    let value = match (ty, argument) {
        ("ID" | "String", "payment") => format!("{order}-p1"),
        ("ID" | "String", "shipment") => format!("{order}-s1"),
        ("ID" | "String", "customer") => (*customer).to_owned(),
        ("ID", _) => (*order).to_owned(),
        ("String", "idempotencyKey") => format!("key of {order}"),
        ("String", "email") => "ada@example.org".to_owned(),
        ("String", "locale") => "de-DE".to_owned(),
        ("String", _) => (*text).to_owned(),
        ("Int", _) => return "1".to_owned(),
        ("Boolean", _) => return "true".to_owned(),
        ("BigInt" | "Decimal", _) => "1".to_owned(),
        ("DateTime", _) => "2020-01-01T00:00:00Z".to_owned(),
        ("Date", _) => "2020-01-01".to_owned(),
        ("UUID", _) => (*order).to_owned(),
        ("Currency", _) => "EUR".to_owned(),
        ("CountryCode", _) => "DE".to_owned(),
        _ => panic!("no value is known for the scalar {ty} of `{argument}`: add one here"),
    };
    format!("{value:?}")
}
