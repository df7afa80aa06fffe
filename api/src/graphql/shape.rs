//! How deep and how large a document is once its fragments are spread: looked at first, over every operation and
//! fragment in it.
//!
//! The engine walks the whole document before it runs the operation that was asked for, recursively and without
//! remembering where it has been. So a chain of fragments, used or not, would end the process on a full stack, and
//! fragments that each spread the next one twice would keep a thread busy for hours. This walk goes no deeper than it
//! allows, and measures each fragment once.

use std::collections::HashMap;

use async_graphql::{
    Name,
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};

use super::{error::Refused, limits};

/// What a set of selections spreads to.
#[derive(Clone, Copy, Default)]
struct Shape {
    selections: u64,
    levels: u32,
}

/// Checks every operation and every fragment.
pub(super) fn check(document: &ExecutableDocument) -> Result<(), Refused> {
    let mut walk = Walk {
        document,
        fragments: HashMap::new(),
    };
    for (_, operation) in document.operations.iter() {
        walk.set(&operation.node.selection_set.node, 1)?;
    }
    for name in document.fragments.keys() {
        walk.fragment(name, 1)?;
    }
    Ok(())
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    /// `None` while it is being measured: a spread of it within itself is a cycle.
    fragments: HashMap<&'a Name, Option<Shape>>,
}

impl<'a> Walk<'a> {
    /// Measures a set that stands `level` deep on the way that led here.
    fn set(&mut self, set: &'a SelectionSet, level: u32) -> Result<Shape, Refused> {
        if level > limits::MAX_NESTED_SETS {
            return Err(too_deep(level));
        }
        let mut shape = Shape::default();
        for item in &set.items {
            let below = match &item.node {
                Selection::Field(field) => match &field.node.selection_set.node {
                    empty if empty.items.is_empty() => Shape::default(),
                    set => self.set(set, level + 1)?,
                },
                Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node, level + 1)?,
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node, level + 1)?
                }
            };
            // What a spread leads to counts, and so does the spread: one of a fragment that is not there is walked too.
            shape.selections = shape
                .selections
                .saturating_add(1)
                .saturating_add(below.selections);
            shape.levels = shape.levels.max(below.levels);
        }
        shape.levels += 1;
        // The way here may have been short because fragments that were measured before are not walked again.
        if shape.levels > limits::MAX_NESTED_SETS {
            return Err(too_deep(shape.levels));
        }
        if shape.selections > limits::MAX_SELECTIONS {
            let limit = limits::MAX_SELECTIONS;
            let message =
                format!("The document has more than {limit} selections once its fragments are spread.");
            return Err(Refused::bad_input(message).over("selections", limit, shape.selections));
        }
        Ok(shape)
    }

    fn fragment(&mut self, name: &'a Name, level: u32) -> Result<Shape, Refused> {
        match self.fragments.get(name) {
            Some(Some(shape)) => return Ok(*shape),
            Some(None) => return Err(Refused::bad_input(format!("The fragment {name} spreads itself."))),
            None => {}
        }
        // A fragment that is not there is for the engine to refuse.
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(Shape::default());
        };
        self.fragments.insert(name, None);
        let shape = self.set(&fragment.node.selection_set.node, level)?;
        self.fragments.insert(name, Some(shape));
        Ok(shape)
    }
}

fn too_deep(levels: u32) -> Refused {
    let limit = limits::MAX_NESTED_SETS;
    Refused::bad_input(format!(
        "The document nests selections more than {limit} deep once its fragments are spread."
    ))
    .over("nested selections", u64::from(limit), u64::from(levels))
}

#[cfg(test)]
mod tests {
    use super::check;
    use async_graphql::parser::parse_query;

    fn passes(document: &str) -> bool {
        check(&parse_query(document).expect("it parses")).is_ok()
    }

    /// A chain of fragments of which each spreads the next one `times` times.
    fn chain(start: &str, length: usize, times: usize, end: &str) -> String {
        let link = |at: usize| {
            format!(
                "fragment f{at} on Q {{ {} }}",
                format!("...f{} ", at + 1).repeat(times)
            )
        };
        let links: String = (0..length).map(link).collect();
        format!("{start} {links} fragment f{length} on Q {{ {end} }}")
    }

    #[test]
    fn a_chain_of_fragments_is_as_deep_as_it_is_long_wherever_it_stands() {
        let every: String = (0..=1_000).rev().map(|at| format!("...f{at} ")).collect();
        let every = format!("{{ a {{ {every} }} }}");
        for start in [
            "{ a { ...f0 } }",
            "{ a }",
            "query A { a } query B { ...f0 }",
            &every,
        ] {
            assert!(!passes(&chain(start, 1_000, 1, "a")), "{start:.40}");
        }
        assert!(passes(&chain("{ a { ...f0 } }", 28, 1, "a")));
        assert!(!passes(&chain("{ a { ...f0 } }", 32, 1, "a")));
    }

    #[test]
    fn fragments_that_double_are_counted_as_spread_also_where_they_lead_nowhere() {
        for end in ["a", "...nowhere"] {
            assert!(passes(&chain("{ ...f0 }", 10, 2, end)));
            assert!(!passes(&chain("{ ...f0 }", 13, 2, end)));
            assert!(!passes(&chain("{ a }", 28, 2, end)));
        }
    }

    #[test]
    fn a_cycle_is_found_also_where_nobody_asks_for_it() {
        let cycle = "fragment a on Q { ...b } fragment b on Q { x { ...a } }";
        assert!(!passes(&format!("{{ ...a }} {cycle}")));
        assert!(!passes(&format!("{{ x }} {cycle}")));
    }
}
