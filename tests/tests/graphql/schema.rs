//! The schema is what its committed text says, and no field of it is without a guard.

use docket::graphql;
use docket_tests::server::{embedded, verb};
use std::path::Path;

/// `UPDATE_SCHEMA=1` writes the text anew.
#[test]
fn the_committed_schema_is_the_schema() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../api/schema.graphql");
    let sdl = graphql::sdl();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(path, &sdl).expect("api/schema.graphql can be written");
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == sdl,
        "api/schema.graphql differs from the schema: `docket schema > api/schema.graphql` writes it anew"
    );
}

#[tokio::test]
async fn the_program_prints_it_without_a_database() {
    let printed = verb(embedded(Path::new("/there/is/none")), &["schema"]).await;
    assert!(printed.status.success(), "{printed:?}");
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), graphql::sdl());
}

/// Deny is the default, so a field that is not in the table is closed. This tells whoever forgot one.
#[test]
fn every_field_is_in_the_table_of_guards_and_every_entry_is_a_field() {
    let guards = graphql::guards();
    assert_eq!(
        guards.unguarded(),
        [""; 0],
        "nobody may ask for these fields; enter them in graphql/guard.rs"
    );
    assert_eq!(guards.stale(), [""; 0], "the schema does not have these");
}

/// The SDL is walked as text, apart from the registry that the guards were built from.
#[test]
fn the_guards_know_every_field_that_the_text_has() {
    let (guards, sdl) = (graphql::guards(), graphql::sdl());
    let mut parent = None;
    let (mut fields, mut in_description) = (0, false);
    for line in sdl.lines() {
        let text = line.trim();
        if text.matches("\"\"\"").count() == 1 {
            in_description = !in_description;
            continue;
        }
        if in_description || text.starts_with('"') {
            continue;
        }
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["type" | "interface", name, ..] => parent = Some((*name).to_owned()),
            ["}"] => parent = None,
            [field, ..] if line.starts_with('\t') && !line.starts_with("\t\t") => {
                let Some(parent) = &parent else { continue };
                let name: String = field
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if !name.is_empty() {
                    assert!(
                        guards.roles(parent, &name).is_some(),
                        "{parent}.{name} is unknown to the guards"
                    );
                    fields += 1;
                }
            }
            _ => {}
        }
    }
    assert!(fields > 300, "the walk saw only {fields} fields");
}
