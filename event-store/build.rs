//! A migration that is added makes this crate anew: the macro that embeds them sees those alone that were there.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
