//! Gives the schema to `tests/cynic.rs`, which is compiled against it.

fn main() {
    cynic_codegen::register_schema("docket")
        .from_sdl_file("../api/schema.graphql")
        .and_then(|schema| schema.as_default())
        .expect("the schema of this repository is one");
}
