//! A document looked at before anything of it runs: who asks, and how much it asks for.
//!
//! One pass over the operation. A fragment is measured once and its measure used at each of its spreads, so the pass
//! takes time in the length of the document although what it measures grows with every spread. Numbers are counted as
//! spread: aliases, directives and fields multiply in fragments too.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned, Value, Variables,
    parser::types::{
        DocumentOperations, ExecutableDocument, Field as AskedField, OperationDefinition, OperationType,
        Selection, SelectionSet, TypeCondition,
    },
};
use docket_domain::Role;

use super::{
    error::Refused,
    guard::{Field, Guards},
    limits, shape,
};
use crate::http::missing_variable;

/// Stands for every type of the type system.
const TYPE_SYSTEM: &str = "__Type";

/// The lists of the type system that can be nested without end.
const INTROSPECTION_LISTS: [&str; 4] = ["fields", "inputFields", "interfaces", "possibleTypes"];

/// The lists of the root whose arguments name no size, and which may be long: of letters, each with its payload.
const LETTER_LISTS: [&str; 2] = ["deadLetter", "discardedEvents"];
/// The counts of these lists.
const LETTER_COUNTS: [&str; 2] = ["deadLetterCount", "discardedEventCount"];

/// Who may ask for the schema. `__typename` is no part of it: clients ask for it everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Introspection {
    /// Whoever comes.
    Everybody,
    /// Staff and operators.
    Desk,
}

impl Introspection {
    fn admits(self, role: Option<Role>) -> bool {
        match self {
            Introspection::Everybody => true,
            Introspection::Desk => matches!(role, Some(Role::Staff | Role::Operator)),
        }
    }
}

/// What an operation asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// The estimated number of values to fetch and write.
    pub cost: u64,
    fields: u64,
    aliases: u64,
    directives: u64,
    depth: u32,
    introspection_lists: u32,
}

impl Measure {
    fn and(self, other: Measure) -> Measure {
        Measure {
            cost: self.cost.saturating_add(other.cost),
            fields: self.fields.saturating_add(other.fields),
            aliases: self.aliases.saturating_add(other.aliases),
            directives: self.directives.saturating_add(other.directives),
            depth: self.depth.max(other.depth),
            introspection_lists: self.introspection_lists.max(other.introspection_lists),
        }
    }

    /// A field with this measure above what it selects, `items` times.
    fn above(self, below: Measure, items: u64, introspection_lists: u32) -> Measure {
        Measure {
            cost: below.cost.saturating_mul(items).saturating_add(self.cost),
            fields: below.fields.saturating_add(self.fields),
            aliases: below.aliases.saturating_add(self.aliases),
            directives: below.directives.saturating_add(self.directives),
            depth: below.depth.saturating_add(self.depth),
            introspection_lists: below.introspection_lists.saturating_add(introspection_lists),
        }
    }

    fn check(self) -> Result<(), Refused> {
        for (what, asked, limit) in [
            ("fields", self.fields, limits::MAX_FIELDS),
            ("aliases", self.aliases, limits::MAX_ALIASES),
            ("directives", self.directives, limits::MAX_DIRECTIVES),
            ("levels", u64::from(self.depth), u64::from(limits::MAX_DEPTH)),
            (
                "nested lists of the type system",
                u64::from(self.introspection_lists),
                u64::from(limits::MAX_INTROSPECTION_LISTS),
            ),
        ] {
            if asked > limit {
                let message = format!("The document has {asked} {what}; {limit} are allowed.");
                return Err(Refused::bad_input(message).over(what, limit, asked));
            }
        }
        if self.cost > limits::MAX_COST {
            return Err(Refused::too_costly(self.cost, limits::MAX_COST));
        }
        Ok(())
    }
}

/// Checks the operation that would run.
pub(super) fn check(
    guards: &Guards,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Variables,
    role: Option<Role>,
    introspection: Introspection,
) -> Result<Measure, Refused> {
    let mut check = Check {
        guards,
        document,
        operation,
        variables,
        role,
        introspection,
        fragments: HashMap::new(),
    };
    check.root()
}

/// The operation that the engine will run, of a document whose shape is bounded.
pub(super) fn chosen<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<&'a OperationDefinition, Refused> {
    shape::check(document)?;
    let chosen = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(operation),
        (DocumentOperations::Single(_), Some(_)) => None,
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
            operations.values().next()
        }
        (DocumentOperations::Multiple(_), None) => None,
    };
    let chosen = chosen.map(|operation| &operation.node);
    chosen.ok_or_else(|| {
        Refused::bad_input(match name {
            Some(name) => format!("The document has no operation {name:?}."),
            None => "The document has several operations; `operationName` says which.".to_owned(),
        })
    })
}

struct Check<'a> {
    guards: &'a Guards,
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
    role: Option<Role>,
    introspection: Introspection,
    /// `None` while it is being measured: a spread of it within itself is a cycle.
    fragments: HashMap<&'a Name, Option<Measure>>,
}

impl<'a> Check<'a> {
    fn root(&mut self) -> Result<Measure, Refused> {
        let (parent, set) = (self.root_type(), &self.operation.selection_set.node);
        if self.operation.ty == OperationType::Subscription {
            // The engine would run several at once and pass over fragments.
            let one = matches!(set.items.as_slice(), [item] if matches!(item.node, Selection::Field(_)));
            if !one {
                return Err(Refused::bad_input(
                    "A subscription selects exactly one field, by its name.",
                ));
            }
        }
        // The engine runs an operation without a variable that it must have, as long as nothing that is resolved needs it.
        if let Some(missing) = missing_variable(self.operation, self.variables) {
            let (name, ty) = (&missing.node.name.node, &missing.node.var_type.node);
            let message = format!("The variable ${name} of type {ty} has no value.");
            return Err(Refused::bad_input(message).at(missing.pos));
        }
        let roots = self.root_fields(set, 0)?;
        if roots > limits::MAX_ROOT_FIELDS {
            let limit = limits::MAX_ROOT_FIELDS;
            let refused = Refused::bad_input(format!("The operation begins with more than {limit} fields."));
            return Err(refused.over("root fields", u64::from(limit), u64::from(roots)));
        }
        let mut measure = self.set(parent, set)?;
        measure.directives = measure
            .directives
            .saturating_add(self.operation.directives.len() as u64);
        measure.check()?;
        Ok(measure)
    }

    fn root_type(&self) -> &'a str {
        match self.operation.ty {
            OperationType::Query => &self.guards.query,
            OperationType::Mutation => &self.guards.mutation,
            OperationType::Subscription => &self.guards.subscription,
        }
    }

    /// Counts up to one more than is allowed, so that fragments that spread each other end it too.
    fn root_fields(&self, set: &SelectionSet, mut count: u32) -> Result<u32, Refused> {
        for item in &set.items {
            if count > limits::MAX_ROOT_FIELDS {
                break;
            }
            count = match &item.node {
                Selection::Field(_) => count + 1,
                // A fragment counts for itself as well: an endless chain of empty ones ends here.
                Selection::InlineFragment(inline) => {
                    self.root_fields(&inline.node.selection_set.node, count + 1)?
                }
                Selection::FragmentSpread(spread) => {
                    match self.document.fragments.get(&spread.node.fragment_name.node) {
                        Some(fragment) => self.root_fields(&fragment.node.selection_set.node, count + 1)?,
                        None => count,
                    }
                }
            };
        }
        Ok(count)
    }

    fn set(&mut self, parent: &'a str, set: &'a SelectionSet) -> Result<Measure, Refused> {
        let mut sum = Measure::default();
        for item in &set.items {
            let (measure, directives) = match &item.node {
                Selection::Field(field) => (self.field(parent, field)?, field.node.directives.len()),
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    let parent = condition.map_or(Ok(parent), |condition| self.condition(condition))?;
                    (
                        self.set(parent, &inline.node.selection_set.node)?,
                        inline.node.directives.len(),
                    )
                }
                Selection::FragmentSpread(spread) => (
                    self.fragment(&spread.node.fragment_name)?,
                    spread.node.directives.len(),
                ),
            };
            sum = sum.and(measure);
            sum.directives = sum.directives.saturating_add(directives as u64);
        }
        Ok(sum)
    }

    fn fragment(&mut self, name: &'a Positioned<Name>) -> Result<Measure, Refused> {
        let name = &name.node;
        match self.fragments.get(name) {
            Some(Some(measure)) => return Ok(*measure),
            Some(None) => return Err(Refused::bad_input(format!("The fragment {name} spreads itself."))),
            None => {}
        }
        // A fragment that is not there is for the engine to refuse.
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(Measure::default());
        };
        self.fragments.insert(name, None);
        let parent = self.condition(&fragment.node.type_condition)?;
        let measure = self.set(parent, &fragment.node.selection_set.node)?;
        self.fragments.insert(name, Some(measure));
        Ok(measure)
    }

    /// The type that a fragment is on. One that the guards do not know is refused here, so that nothing under it could
    /// pass them by.
    fn condition(&self, condition: &'a Positioned<TypeCondition>) -> Result<&'a str, Refused> {
        let name = &condition.node.on;
        if self.guards.knows(&name.node) || name.node.starts_with("__") {
            return Ok(&name.node);
        }
        Err(
            Refused::bad_input(format!("There is no type {:?} with fields.", name.node.as_str()))
                .at(name.pos),
        )
    }

    fn field(&mut self, parent: &'a str, asked: &'a Positioned<AskedField>) -> Result<Measure, Refused> {
        let (at, asked) = (asked.pos, &asked.node);
        let name = asked.name.node.as_str();
        let own = Measure {
            cost: 1 + self.fold_cost(parent, asked) + self.count_cost(parent, name),
            fields: 1,
            aliases: u64::from(asked.alias.is_some()),
            depth: 1,
            ..Measure::default()
        };
        if name == "__typename" {
            return Ok(own);
        }
        if name.starts_with("__") && !self.introspection.admits(self.role) {
            return Err(Refused::denied(self.role, parent, name).at(at));
        }
        // All that counts in the type system is how deep somebody goes.
        if parent.starts_with("__") || name.starts_with("__") {
            let below = self.set(TYPE_SYSTEM, &asked.selection_set.node)?;
            let lists = u32::from(INTROSPECTION_LISTS.contains(&name));
            return Ok(own.above(below, 1, lists));
        }
        let Some(field) = self.guards.field(parent, name) else {
            return Err(Refused::bad_input(format!("There is no field {name:?} in {parent}.")).at(at));
        };
        if !field.roles.admit(self.role) {
            return Err(Refused::denied(self.role, parent, name).at(at));
        }
        let below = self.set(&field.leads_to, &asked.selection_set.node)?;
        Ok(own.above(below, self.items(parent, field, asked), 0))
    }

    /// What a field costs for being asked of the past.
    fn fold_cost(&self, parent: &str, asked: &AskedField) -> u64 {
        let is_named = |name: &&str| {
            self.argument(asked, name)
                .is_some_and(|value| value != Value::Null)
        };
        let is_order = parent == self.guards.query && asked.name.node.as_str() == "order";
        if is_order && ["atVersion", "asOf"].iter().any(is_named) {
            limits::FOLD_COST
        } else {
            0
        }
    }

    /// What counting a list costs.
    fn count_cost(&self, parent: &str, field: &str) -> u64 {
        let of_page = parent.ends_with("Connection") && field == "totalCount";
        let of_letters = parent == self.guards.query && LETTER_COUNTS.contains(&field);
        if of_page || of_letters {
            limits::COUNT_COST
        } else {
            0
        }
    }

    /// An argument's value, where it has one.
    fn argument(&self, asked: &AskedField, name: &str) -> Option<Value> {
        let value = asked.get_argument(name)?.node.clone();
        value.into_const_with(|name| self.variable(&name)).ok()
    }

    /// How many items a field is taken to have.
    fn items(&self, parent: &str, field: &Field, asked: &AskedField) -> u64 {
        if field.is_paged {
            let size = |name: &str| match self.argument(asked, name)? {
                Value::Number(number) => number.as_u64(),
                _ => None,
            };
            let named = size("first").or_else(|| size("last"));
            return named
                .unwrap_or(u64::from(limits::DEFAULT_PAGE))
                .min(u64::from(limits::MAX_PAGE));
        }
        if field.is_by_ids {
            let named = match self.argument(asked, "ids") {
                Some(Value::List(ids)) => ids.len(),
                // One value stands for a list of one.
                _ => 1,
            };
            return named as u64;
        }
        if parent == self.guards.query && LETTER_LISTS.contains(&asked.name.node.as_str()) {
            return limits::ESTIMATED_LETTERS;
        }
        // The items of a page were counted where the page was asked for.
        let counted = parent.ends_with("Connection") || parent.ends_with("Page");
        if field.is_list && !counted {
            limits::ESTIMATED_ITEMS
        } else {
            1
        }
    }

    /// A variable's value, or its default.
    fn variable(&self, name: &Name) -> Result<Value, Unset> {
        let declared = || {
            self.operation
                .variable_definitions
                .iter()
                .find(|declared| declared.node.name.node == *name)
        };
        let default = || {
            declared()?
                .node
                .default_value
                .as_ref()
                .map(|value| value.node.clone())
        };
        self.variables.get(name).cloned().or_else(default).ok_or(Unset)
    }
}

/// A variable without a value.
struct Unset;
