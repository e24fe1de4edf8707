//! The functions of the template language: Go's built-ins and Sprig's.

mod builtins;
mod compare;
mod decimal;
mod dicts;
mod encoding;
mod json;
mod lists;
mod logic;
mod numbers;
mod paths;
mod patterns;
mod refused;
mod strings;
mod times;
mod urls;
mod versions;
mod words;

use std::{cell::Cell, collections::BTreeMap, sync::Arc};

use super::{
    error::ErrorKind,
    limits::{Fault, Meter},
    value::{List, Map, Value},
};
use crate::nearest::nearest;

pub(super) use self::{patterns::Pattern, versions::compare_versions};

/// A function, and how many arguments it takes.
pub(super) struct Function {
    pub(super) name: &'static str,
    least: usize,
    most: usize,
    pub(super) run: fn(&mut Call<'_>) -> Outcome,
    /// Set where the operands are not all evaluated.
    pub(super) special: Option<Special>,
}

/// The functions that stop at the first operand that settles the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    And,
    Or,
}

/// One call: the arguments, and what they may cost.
pub(super) struct Call<'m> {
    pub(super) arguments: Vec<Value>,
    pub(super) meter: &'m mut Meter,
    /// The argument that has the wrong type, so that the error can point to it.
    pub(super) culprit: Cell<Option<usize>>,
}

/// What a call gives.
pub(super) type Outcome = Result<Value, Fault>;

/// For [`Function::most`]: any number of arguments.
const MANY: usize = usize::MAX;

const ALL: [&[Function]; 14] = [
    builtins::FUNCTIONS,
    compare::FUNCTIONS,
    strings::FUNCTIONS,
    words::FUNCTIONS,
    encoding::FUNCTIONS,
    numbers::FUNCTIONS,
    logic::FUNCTIONS,
    json::FUNCTIONS,
    lists::FUNCTIONS,
    dicts::FUNCTIONS,
    paths::FUNCTIONS,
    patterns::FUNCTIONS,
    times::FUNCTIONS,
    urls::FUNCTIONS,
];

/// Finds a function by its name.
pub(super) fn lookup(name: &str) -> Result<&'static Function, Fault> {
    let mut all = ALL.into_iter().flatten().chain(versions::FUNCTIONS);
    if let Some(function) = all.find(|function| function.name == name) {
        return Ok(function);
    }
    if let Some((name, reason)) = refused::reason(name) {
        return Err(ErrorKind::Refused { name, reason });
    }
    let all = ALL.into_iter().flatten().chain(versions::FUNCTIONS);
    Err(ErrorKind::UnknownFunction {
        name: name.to_owned(),
        suggestion: nearest(name, all.map(|function| function.name)),
    })
}

/// Every function's name.
#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    let all = ALL.into_iter().flatten().chain(versions::FUNCTIONS);
    all.map(|function| function.name).collect()
}

#[cfg(test)]
pub(super) use self::refused::names as refused_names;

impl std::fmt::Debug for Function {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

impl Function {
    /// A function of `least` to `most` arguments.
    const fn new(
        name: &'static str,
        least: usize,
        most: usize,
        run: fn(&mut Call<'_>) -> Outcome,
    ) -> Self {
        Self {
            name,
            least,
            most,
            run,
            special: None,
        }
    }

    /// Refuses a call with too few or too many arguments.
    pub(super) fn check(&self, got: usize) -> Result<(), Fault> {
        if (self.least..=self.most).contains(&got) {
            return Ok(());
        }
        let want = if self.least == self.most {
            self.least.to_string()
        } else if self.most == MANY {
            format!("at least {}", self.least)
        } else {
            format!("{} to {}", self.least, self.most)
        };
        Err(ErrorKind::Arity {
            function: self.name,
            want,
            got,
        })
    }
}

impl Call<'_> {
    fn value(&self, index: usize) -> Value {
        self.arguments.get(index).cloned().unwrap_or_default()
    }

    /// The arguments from `index` on.
    fn values(&self, index: usize) -> Vec<Value> {
        self.arguments.iter().skip(index).cloned().collect()
    }

    /// The fault that the argument at `index` is not what the function takes.
    fn wrong_type(&self, index: usize, expected: &'static str) -> Fault {
        self.culprit.set(Some(index));
        let got = self.value(index).type_name();
        ErrorKind::WrongType { expected, got }
    }

    fn text(&self, index: usize) -> Result<Arc<str>, Fault> {
        match self.arguments.get(index) {
            Some(Value::Str(text)) => Ok(text.clone()),
            _ => Err(self.wrong_type(index, "string")),
        }
    }

    fn texts(&self, index: usize) -> Result<Vec<Arc<str>>, Fault> {
        (index..self.arguments.len())
            .map(|index| self.text(index))
            .collect()
    }

    /// A whole number; a float counts as one if nothing stands after its point.
    fn whole(&self, index: usize) -> Result<i64, Fault> {
        let value = self.arguments.get(index);
        let whole = match value {
            Some(Value::Float(number)) if number.fract() == 0.0 => numbers::to_whole(*number),
            Some(value) => value.as_whole().and_then(|whole| i64::try_from(whole).ok()),
            None => None,
        };
        whole.ok_or_else(|| self.wrong_type(index, "int"))
    }

    /// A whole number that counts something: what is negative counts nothing.
    fn count(&self, index: usize) -> Result<usize, Fault> {
        Ok(usize::try_from(self.whole(index)?).unwrap_or(0))
    }

    fn list(&self, index: usize) -> Result<List, Fault> {
        match self.arguments.get(index) {
            Some(Value::List(list)) => Ok(list.clone()),
            _ => Err(self.wrong_type(index, "list")),
        }
    }

    /// A map from texts; what is missing is an empty one.
    fn map(&self, index: usize) -> Result<Map, Fault> {
        match self.arguments.get(index) {
            Some(Value::Map(map)) if !map.has_struct_keys() => Ok(map.clone()),
            Some(Value::Nil) => Ok(Map::of_texts(DICT, Value::Nil, [])),
            _ => Err(self.wrong_type(index, DICT)),
        }
    }

    /// A map that the template itself made; the data is nobody's to change.
    fn own_map(&mut self, index: usize) -> Result<Map, Fault> {
        match self.arguments.get(index) {
            Some(Value::Map(map)) if map.is_writable() => Ok(map.clone()),
            Some(Value::Nil) => self.meter.dict(DICT, Value::Nil, BTreeMap::new()),
            _ => Err(self.wrong_type(index, DICT)),
        }
    }

    fn items(&mut self, items: Vec<Value>) -> Outcome {
        self.meter.list("[]interface {}", items)
    }

    fn give(&mut self, text: impl AsRef<str>) -> Outcome {
        self.meter.text(text)
    }

    /// Gives a map of the type that `dict` makes.
    fn give_map(&mut self, entries: impl IntoIterator<Item = (Arc<str>, Value)>) -> Outcome {
        let entries = entries.into_iter().collect();
        let map = self.meter.dict(DICT, Value::Nil, entries)?;
        Ok(Value::Map(map))
    }
}

/// The type that `dict` makes.
const DICT: &str = "map[string]interface {}";

fn failed(text: impl Into<String>) -> Fault {
    ErrorKind::Failed(text.into())
}

fn length(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}
