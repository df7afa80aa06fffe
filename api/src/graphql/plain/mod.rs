//! Objects whose fields are there already, resolved without a task for each.
//!
//! The engine boxes a future for each field of each object and polls all of an object's at once, which is what fields need
//! that wait for the database. Most of an answer is not like that: a page of orders has thousands of fields that only
//! have to be copied. Here they are resolved one after the other where they stand, and in the order of the query; those that
//! an object [shows](Shown) become JSON without the engine.

mod shown;

use std::borrow::Cow;

use async_graphql::{
    ContainerType, ContextSelectionSet, Name, OutputType, Positioned, ServerError, ServerResult, Value,
    indexmap::IndexMap,
    parser::types::{Field, Selection, SelectionSet},
    registry::Registry,
    resolver_utils::{resolve_container, resolve_list},
};

use crate::json;

pub(in crate::graphql) use shown::{Below, Written, leaf, leaf_enum, shown, within, write_enum, write_leaf};
pub use shown::{Form, Shown};

/// An object whose fields are resolved one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain<T>(pub T);

/// A list of such objects, itself resolved from the first to the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainList<T>(Vec<Plain<T>>);

impl<T> Default for PlainList<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> FromIterator<T> for PlainList<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().map(Plain).collect())
    }
}

impl<T: Shown> OutputType for Plain<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn introspection_type_name(&self) -> Cow<'static, str> {
        self.0.introspection_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        match Selected::of::<T>(ctx, self.0.is_whole()) {
            Some(selected) if selected.as_json => {
                let mut text = Vec::with_capacity(T::USUAL_BYTES);
                selected.write(ctx, &self.0, &mut text).await?;
                Ok(Value::Binary(text.into()))
            }
            Some(selected) => selected.resolve(ctx, &self.0).await,
            None => resolve_container(ctx, &self.0).await,
        }
    }
}

impl<T: Shown> OutputType for PlainList<T> {
    fn type_name() -> Cow<'static, str> {
        Vec::<T>::type_name()
    }

    fn qualified_type_name() -> String {
        Vec::<T>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Vec::<T>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        let is_whole = self.0.iter().all(|Plain(item)| item.is_whole());
        let selected = Selected::of::<T>(ctx, is_whole);
        let usual = T::USUAL_BYTES * self.0.len() + 2;
        if let Some(selected) = selected.as_ref().filter(|selected| selected.is_shown()) {
            let mut text = Vec::with_capacity(usual);
            self.write(Some(selected), &mut text);
            return Ok(Value::Binary(text.into()));
        }
        if T::MAY_WAIT {
            return resolve_list(ctx, field, self.0.iter(), Some(self.0.len())).await;
        }
        if let Some(selected) = selected.as_ref().filter(|selected| selected.as_json) {
            let mut text = Vec::with_capacity(usual);
            text.push(b'[');
            for (index, Plain(item)) in self.0.iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                selected.write(&ctx.with_index(index), item, &mut text).await?;
            }
            text.push(b']');
            return Ok(Value::Binary(text.into()));
        }
        let mut list = Vec::with_capacity(self.0.len());
        for (index, Plain(item)) in self.0.iter().enumerate() {
            let ctx = ctx.with_index(index);
            list.push(match &selected {
                Some(selected) => selected.resolve(&ctx, item).await?,
                None => resolve_container(&ctx, item).await?,
            });
        }
        Ok(Value::List(list))
    }
}

/// In a request's data: no key is there twice with fields of its own, so that nothing that is resolved has to be merged
/// with anything. Objects whose fields are there may then be answered as JSON, without a tree of values that is built,
/// walked and torn down for the same text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unmerged;

/// What is asked for of an object.
pub(in crate::graphql) struct Selected<'a> {
    /// One for each key of the answer.
    fields: Vec<Asked<'a>>,
    as_json: bool,
    /// What is shown is there.
    is_whole: bool,
}

/// A field that is asked for.
struct Asked<'a> {
    field: &'a Positioned<Field>,
    /// How it is written, where the object shows it.
    form: Option<Form<'a>>,
}

impl<'a> Selected<'a> {
    /// `None` where a key is there twice and has fields of its own: they have to be merged, which the engine knows how
    /// to.
    fn of<T: Shown>(ctx: &ContextSelectionSet<'a>, is_whole: bool) -> Option<Selected<'a>> {
        let set = &ctx.item.node;
        let mut selected = Selected {
            fields: Vec::with_capacity(set.items.len()),
            as_json: ctx.data_opt::<Unmerged>().is_some(),
            is_whole,
        };
        selected.add::<T>(ctx, set).then_some(selected)
    }

    fn add<T: Shown>(&mut self, ctx: &ContextSelectionSet<'a>, set: &'a SelectionSet) -> bool {
        set.items.iter().all(|item| match &item.node {
            Selection::Field(field) => {
                let key = field.node.response_key();
                let known = self
                    .fields
                    .iter()
                    .find(|known| known.field.node.response_key().node == key.node);
                match known {
                    Some(known) => is_same_leaf(&known.field.node, &field.node),
                    None => {
                        let form = || Form::of::<T>(&field.node.name.node, &|| below(ctx, field));
                        let form = if self.as_json && self.is_whole {
                            form()
                        } else {
                            None
                        };
                        self.fields.push(Asked { field, form });
                        true
                    }
                }
            }
            Selection::InlineFragment(inline) => {
                let on = inline.node.type_condition.as_ref().map(|on| &on.node.on.node);
                !applies::<T>(ctx, on) || self.add::<T>(ctx, &inline.node.selection_set.node)
            }
            Selection::FragmentSpread(spread) => {
                let fragment = ctx.query_env.fragments.get(&spread.node.fragment_name.node);
                // The engine refuses one that does not exist.
                fragment.is_some_and(|fragment| {
                    let on = &fragment.node.type_condition.node.on.node;
                    !applies::<T>(ctx, Some(on)) || self.add::<T>(ctx, &fragment.node.selection_set.node)
                })
            }
        })
    }

    async fn resolve<T: ContainerType>(
        &self,
        ctx: &ContextSelectionSet<'a>,
        object: &T,
    ) -> ServerResult<Value> {
        let mut fields = IndexMap::with_capacity(self.fields.len());
        for Asked { field, .. } in &self.fields {
            let key = field.node.response_key().node.clone();
            fields.insert(key, value(ctx, object, field).await?);
        }
        Ok(Value::Object(fields))
    }

    /// Everything that is asked for is shown, and may be written.
    fn is_shown(&self) -> bool {
        self.as_json && self.fields.iter().all(|asked| asked.form.is_some())
    }

    /// Adds the text of an object that shows everything that is asked for.
    fn show<T: Shown>(&self, object: &T, text: &mut Vec<u8>) {
        text.push(b'{');
        for (place, Asked { field, form }) in self.fields.iter().enumerate() {
            begin(place, field, text);
            if let Some(form) = form {
                form.write(object, text);
            }
        }
        text.push(b'}');
    }

    /// Adds the object's text.
    async fn write<T: Shown>(
        &self,
        ctx: &ContextSelectionSet<'a>,
        object: &T,
        text: &mut Vec<u8>,
    ) -> ServerResult<()> {
        text.push(b'{');
        for (place, Asked { field, form }) in self.fields.iter().enumerate() {
            begin(place, field, text);
            if let Some(form) = form {
                form.write(object, text);
                continue;
            }
            let value = value(ctx, object, field).await?;
            let written = json::write(&value, text);
            written.map_err(|error| ServerError::new(error.to_string(), Some(field.pos)))?;
        }
        text.push(b'}');
        Ok(())
    }
}

/// Adds what stands in front of a field's value.
fn begin(place: usize, field: &Positioned<Field>, text: &mut Vec<u8>) {
    if place > 0 {
        text.push(b',');
    }
    json::write_key(&field.node.response_key().node, text);
}

/// The selection within a field.
fn below<'a>(ctx: &ContextSelectionSet<'a>, field: &'a Positioned<Field>) -> ContextSelectionSet<'a> {
    ctx.with_selection_set(&field.node.selection_set)
}

/// A field's value. Where one fails that cannot be null, the object fails with it.
async fn value<'a, T: ContainerType>(
    ctx: &ContextSelectionSet<'a>,
    object: &T,
    field: &'a Positioned<Field>,
) -> ServerResult<Value> {
    if field.node.name.node == "__typename" {
        return Ok(Value::from(object.introspection_type_name()));
    }
    match object.resolve_field(&ctx.with_field(field)).await {
        Ok(value) => Ok(value.unwrap_or_default()),
        Err(error) if can_be_null::<T>(ctx, field) => {
            ctx.add_error(error);
            Ok(Value::Null)
        }
        Err(error) => Err(error),
    }
}

/// Whether two fields of one key are the same, as `id` is in a document and in its fragment.
fn is_same_leaf(one: &Field, other: &Field) -> bool {
    let is_bare = |field: &Field| field.arguments.is_empty() && field.selection_set.node.items.is_empty();
    one.name.node == other.name.node && is_bare(one) && is_bare(other)
}

/// Whether a fragment on a type is about an object.
fn applies<T: ContainerType>(ctx: &ContextSelectionSet<'_>, on: Option<&Name>) -> bool {
    let name = T::type_name();
    let interfaces = || ctx.schema_env.registry.implements.get(&*name);
    on.is_none_or(|on| *on == *name || interfaces().is_some_and(|all| all.contains(on.as_str())))
}

/// Whether the schema lets a field be null.
fn can_be_null<T: ContainerType>(ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> bool {
    let object = ctx.schema_env.registry.types.get(&*T::type_name());
    let field = object.and_then(|object| object.field_by_name(&field.node.name.node));
    field.is_none_or(|field| !field.ty.ends_with('!'))
}
