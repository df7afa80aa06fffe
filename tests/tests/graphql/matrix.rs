//! Every root field and every type against every role: what the table of guards says, what the server does, and what
//! people agreed on and operators read in `docs/roles.md` are one and the same.

use crate::{
    desk::Desk,
    walk::{Named, Schema},
};
use docket::{auth::Caller, graphql};
use docket_domain::Role;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};
use uuid::Uuid;

const ROLES: [Role; 5] = [
    Role::Customer,
    Role::Staff,
    Role::Operator,
    Role::Service,
    Role::Gateway,
];
const PARENTS: [&str; 3] = ["Query", "Mutation", "Subscription"];

/// Each role asks for each field with arguments that the schema takes. Who may not is told so, and nobody else is.
#[tokio::test(flavor = "multi_thread")]
async fn every_root_field_answers_every_role_as_the_table_says() {
    let desk = Desk::open().await;
    let (schema, guards) = (Schema::of(&desk).await, graphql::guards());
    let (mut matrix, mut wrong) = (String::new(), Vec::new());
    let roles: Vec<Option<Role>> = [None].into_iter().chain(ROLES.map(Some)).collect();
    for parent in PARENTS {
        for field in schema.fields(parent) {
            let mut codes = Vec::new();
            for role in &roles {
                // A new id each time: what one role has made is not in the way of the next.
                let order = Uuid::new_v4().to_string();
                let named = Named {
                    order: &order,
                    customer: "x",
                    text: "x",
                };
                let caller = role.map_or(Caller::Anonymous, |role| Caller::known(role, "x"));
                let arguments = schema.arguments(parent, field, &named);
                let selection = schema.selected(parent, field, 0, &mut BTreeSet::new());
                let query = format!("{} {{ {field}{arguments}{selection} }}", parent.to_lowercase());
                let answer = match parent {
                    "Subscription" => desk.follow(&caller, &query, json!({})).answer().await,
                    _ => desk.ask(&caller, &query, json!({})).await,
                };
                let error = &answer["errors"][0];
                let code = error["extensions"]["code"]
                    .as_str()
                    .unwrap_or(match error.is_null() {
                        true => "-",
                        false => "not a document of this schema",
                    });
                let admitted = guards
                    .roles(parent, field)
                    .is_some_and(|roles| roles.admit(*role));
                let expected = match (admitted, role) {
                    (true, _) => ["-", "NOT_FOUND", "BAD_USER_INPUT"].contains(&code),
                    (false, None) => code == "UNAUTHENTICATED",
                    (false, Some(_)) => code == "FORBIDDEN",
                };
                if !expected {
                    wrong.push(format!(
                        "{role:?} {parent}.{field} (may: {admitted}): {query}\n  {answer}"
                    ));
                }
                codes.push(code.to_owned());
            }
            writeln!(matrix, "{parent}.{field}: {}", codes.join(" ")).unwrap();
        }
    }
    let columns = "(nobody, customer, staff, operator, service, gateway)";
    assert!(wrong.is_empty(), "{}\n\n{columns}\n{matrix}", wrong.join("\n"));
}

/// `UPDATE_ROLES=1` writes the page anew.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_roles_says_what_the_guards_do() {
    let desk = Desk::open().await;
    let page = page(&Schema::of(&desk).await);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/roles.md");
    if std::env::var_os("UPDATE_ROLES").is_some() {
        std::fs::write(path, &page).expect("docs/roles.md can be written");
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/roles.md is not what the guards say: UPDATE_ROLES=1 cargo test -p docket-tests --test graphql roles \
         writes it anew; look at what changed"
    );
}

fn page(schema: &Schema) -> String {
    let guards = graphql::guards();
    let mut page = "# Who may ask for what\n\n\
        Made from the table of guards ([api/src/graphql/guard.rs](../api/src/graphql/guard.rs)); a test keeps it true.\n\
        Nobody may ask for anything without a token, but for the type system where the server is for developers. Which\n\
        orders and payments a role then sees and changes stands in [operations.md](operations.md#roles-and-tokens).\n"
        .to_owned();
    for parent in PARENTS {
        let names = ROLES.map(|role| role.to_string());
        write!(
            page,
            "\n| {parent} | {} |\n|---|{}\n",
            names.join(" | "),
            ":---:|".repeat(ROLES.len())
        )
        .unwrap();
        let mut fields = schema.fields(parent);
        fields.sort_unstable();
        for field in fields {
            let roles = guards.roles(parent, field).expect("a field has roles");
            assert!(
                !roles.admit(None),
                "{parent}.{field} is open to nobody in particular"
            );
            let may = ROLES.map(|role| if roles.admit(Some(role)) { "yes" } else { "" });
            writeln!(page, "| `{field}` | {} |", may.join(" | ")).unwrap();
        }
    }
    page.push_str("\nThe types that they answer with, by who may ask for their fields.\n\n| roles | types |\n|---|---|\n");
    let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in guards.types().filter(|name| !PARENTS.contains(name)) {
        let may: BTreeSet<Vec<String>> = guards
            .fields_of(name)
            .into_iter()
            .map(|field| {
                let roles = guards.roles(name, field).expect("a field has roles");
                let may = ROLES.into_iter().filter(|role| roles.admit(Some(*role)));
                may.map(|role| role.to_string()).collect()
            })
            .collect();
        assert_eq!(may.len(), 1, "{name} is guarded as a whole");
        let roles = may.into_iter().flatten().collect::<Vec<_>>().join(", ");
        types.entry(roles).or_default().push(format!("`{name}`"));
    }
    for (roles, mut names) in types {
        names.sort_unstable();
        writeln!(page, "| {roles} | {} |", names.join(", ")).unwrap();
    }
    page
}
