//! Values as Go sees them: what a template reads, passes on and prints.

use std::{cell::RefCell, collections::BTreeMap, fmt, rc::Rc, sync::Arc};

/// One value of the template language.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Nothing: a missing map key, or `nil`.
    #[default]
    Nil,
    /// `bool`.
    Bool(bool),
    /// `int`, the type of whole literals.
    Int(i64),
    /// `int64`, the type that Sprig's arithmetic gives.
    Int64(i64),
    /// `uint64`, the type of the parts of a version.
    Uint64(u64),
    /// `uint8`, the type of one byte of a text.
    Byte(u8),
    /// `float64`.
    Float(f64),
    /// `string`.
    Str(Arc<str>),
    /// A slice.
    List(List),
    /// A map.
    Map(Map),
    /// A struct.
    Struct(Rc<Struct>),
}

/// A slice: values in a row, never changed.
#[derive(Clone)]
pub struct List(Rc<Row>);

struct Row {
    type_name: &'static str,
    depth: usize,
    items: Vec<Value>,
}

/// A map, iterated in the order in which Go prints maps.
#[derive(Clone)]
pub struct Map(Rc<Table>);

struct Table {
    type_name: &'static str,
    zero: Value,
    writable: bool,
    entries: RefCell<BTreeMap<Key, Entry>>,
}

struct Entry {
    key: Value,
    value: Value,
}

/// What orders the keys of a map: a text by its bytes, a struct by its texts in turn.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Text(Arc<str>),
    Struct(Vec<Arc<str>>),
}

/// A struct: named fields in the order of their declaration.
#[derive(Clone, Debug, Default)]
pub struct Struct {
    /// The type, as Go prints it with `%T`.
    pub type_name: &'static str,
    /// The fields.
    pub fields: Vec<Field>,
    /// What can be read by name and is not printed.
    pub methods: Vec<(&'static str, Value)>,
    /// What the type's `String` method gives, where it has one.
    pub text: Option<Arc<str>>,
}

/// One field of a [`Struct`].
#[derive(Clone, Debug)]
pub struct Field {
    /// The name in the template.
    pub name: &'static str,
    /// The name in JSON; a field that has one is left out where it is empty.
    pub json: Option<&'static str>,
    /// Whether the field's own fields can be read as if they were the struct's.
    pub embedded: bool,
    /// The value.
    pub value: Value,
}

impl Value {
    /// The type, as Go prints it with `%T`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Uint64(_) => "uint64",
            Self::Byte(_) => "uint8",
            Self::Float(_) => "float64",
            Self::Str(_) => "string",
            Self::List(list) => list.0.type_name,
            Self::Map(map) => map.0.type_name,
            Self::Struct(value) => value.type_name,
        }
    }

    /// The kind, as Go's reflection names it.
    pub(super) fn kind_name(&self) -> &'static str {
        match self {
            Self::Nil => "invalid",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
            Self::Struct(value) if value.type_name.starts_with('*') => "ptr",
            Self::Struct(_) => "struct",
            _ => self.type_name(),
        }
    }

    /// Whether `if` takes the value for true: neither nothing, nor zero, nor empty.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Int64(value) => *value != 0,
            Self::Uint64(value) => *value != 0,
            Self::Byte(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(list) => !list.items().is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Struct(_) => true,
        }
    }

    /// The whole number, whatever its size and sign.
    pub(super) fn as_whole(&self) -> Option<i128> {
        match self {
            Self::Int(value) | Self::Int64(value) => Some((*value).into()),
            Self::Uint64(value) => Some((*value).into()),
            Self::Byte(value) => Some((*value).into()),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.into())
    }
}

impl List {
    /// Makes a slice of the type `type_name`, such as `[]string`.
    pub fn new(type_name: &'static str, items: Vec<Value>) -> Self {
        let below = items.iter().map(|item| match item {
            Value::List(list) => list.depth(),
            _ => 0,
        });
        let depth = below.max().unwrap_or(0) + 1;
        Self(Rc::new(Row {
            type_name,
            depth,
            items,
        }))
    }

    /// The values.
    pub fn items(&self) -> &[Value] {
        &self.0.items
    }

    /// How many lists deep the list is.
    pub(super) fn depth(&self) -> usize {
        self.0.depth
    }
}

impl Map {
    /// Makes a map from texts, of the type `type_name`, such as `map[string]string`.
    ///
    /// `zero` is what `index` gives for a key that is missing.
    pub fn of_texts(
        type_name: &'static str,
        zero: Value,
        entries: impl IntoIterator<Item = (Arc<str>, Value)>,
    ) -> Self {
        Self::make(type_name, zero, false, entries.into_iter().map(text_entry))
    }

    /// Makes a map from structs.
    pub fn of_structs(
        type_name: &'static str,
        zero: Value,
        entries: impl IntoIterator<Item = (Rc<Struct>, Value)>,
    ) -> Self {
        let entries = entries.into_iter().map(|(key, value)| {
            let order = Key::Struct(key.texts());
            let key = Value::Struct(key);
            (order, Entry { key, value })
        });
        Self::make(type_name, zero, false, entries)
    }

    /// Makes a map from texts that `set` may change.
    pub(super) fn writable(
        type_name: &'static str,
        zero: Value,
        entries: BTreeMap<Arc<str>, Value>,
    ) -> Self {
        Self::make(type_name, zero, true, entries.into_iter().map(text_entry))
    }

    fn make(
        type_name: &'static str,
        zero: Value,
        writable: bool,
        entries: impl Iterator<Item = (Key, Entry)>,
    ) -> Self {
        Self(Rc::new(Table {
            type_name,
            zero,
            writable,
            entries: RefCell::new(entries.collect()),
        }))
    }

    /// The value of a key that is a text.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.find(&Key::Text(key.into()))
    }

    /// The value of a key that is a struct.
    pub fn get_struct(&self, key: &Struct) -> Option<Value> {
        self.find(&Key::Struct(key.texts()))
    }

    fn find(&self, key: &Key) -> Option<Value> {
        let entries = self.0.entries.borrow();
        entries.get(key).map(|entry| entry.value.clone())
    }

    /// The keys and values in order, as they are now.
    pub fn entries(&self) -> Vec<(Value, Value)> {
        let entries = self.0.entries.borrow();
        let entries = entries.values();
        entries
            .map(|entry| (entry.key.clone(), entry.value.clone()))
            .collect()
    }

    /// How many keys the map has.
    pub fn len(&self) -> usize {
        self.0.entries.borrow().len()
    }

    /// Whether the map has no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What `index` gives for a key that is missing.
    pub(super) fn zero(&self) -> &Value {
        &self.0.zero
    }

    /// Whether the template made this map, and so may change it.
    pub(super) fn is_writable(&self) -> bool {
        self.0.writable
    }

    /// Whether the keys are structs.
    pub(super) fn has_struct_keys(&self) -> bool {
        let entries = self.0.entries.borrow();
        matches!(entries.keys().next(), Some(Key::Struct(_)))
    }

    /// Puts a value into a writable map; any other stays as it is.
    pub(super) fn insert(&self, key: Arc<str>, value: Value) {
        if self.0.writable {
            let (key, entry) = text_entry((key, value));
            self.0.entries.borrow_mut().insert(key, entry);
        }
    }

    /// Takes a key out of a writable map.
    pub(super) fn remove(&self, key: &str) {
        if self.0.writable {
            self.0.entries.borrow_mut().remove(&Key::Text(key.into()));
        }
    }

    /// Empties the map.
    pub(super) fn clear(&self) {
        // Dropping a value may come back to this map, so the borrow must have ended by then.
        let entries = std::mem::take(&mut *self.0.entries.borrow_mut());
        drop(entries);
    }

    /// Whether both are one map, and not only equal.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

fn text_entry((key, value): (Arc<str>, Value)) -> (Key, Entry) {
    let order = Key::Text(key.clone());
    let key = Value::Str(key);
    (order, Entry { key, value })
}

// A map can hold itself, so what is in it is not shown.
impl fmt::Debug for Map {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {}", self.0.type_name, self.len())
    }
}

impl fmt::Debug for List {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.items()).finish()
    }
}

impl Struct {
    /// The field or method `name`, looked up in embedded structs as well.
    pub fn get(&self, name: &str) -> Option<Value> {
        if let Some(field) = self.fields.iter().find(|field| field.name == name) {
            return Some(field.value.clone());
        }
        if let Some((_, value)) = self.methods.iter().find(|(method, _)| *method == name) {
            return Some(value.clone());
        }
        let embedded = self.fields.iter().filter(|field| field.embedded);
        let mut inner = embedded.filter_map(|field| match &field.value {
            Value::Struct(inner) => Some(inner),
            _ => None,
        });
        inner.find_map(|inner| inner.get(name))
    }

    /// Every name that [`Struct::get`] knows, from the outside in.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for field in &self.fields {
            match &field.value {
                Value::Struct(inner) if field.embedded => names.extend(inner.names()),
                _ => names.push(field.name),
            }
        }
        names.extend(self.methods.iter().map(|(name, _)| *name));
        names
    }

    /// The texts of all fields, from the outside in: what orders structs and tells them apart.
    pub(super) fn texts(&self) -> Vec<Arc<str>> {
        let mut texts = Vec::new();
        for field in &self.fields {
            match &field.value {
                Value::Str(text) => texts.push(text.clone()),
                Value::Struct(inner) => texts.extend(inner.texts()),
                _ => {}
            }
        }
        texts
    }
}

impl Field {
    /// A field without a name in JSON.
    pub fn new(name: &'static str, value: Value) -> Self {
        Self {
            name,
            json: None,
            embedded: false,
            value,
        }
    }

    /// The same field with a name in JSON.
    #[must_use]
    pub fn tagged(self, json: &'static str) -> Self {
        Self {
            json: Some(json),
            ..self
        }
    }

    /// A struct whose fields can be read as if they were the outer struct's.
    pub fn embedded(name: &'static str, inner: Struct) -> Self {
        Self {
            embedded: true,
            ..Self::new(name, Value::Struct(Rc::new(inner)))
        }
    }
}
