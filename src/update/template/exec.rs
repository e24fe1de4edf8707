//! Walking the tree: what a template does with its data.

use std::{cell::Cell, rc::Rc};

use super::{
    error::{ErrorKind, RemovedField},
    functions::{self, Call, Function, Special},
    lexer::Misplaced,
    limits::{Bounded, DEPTH, Fault, Limit, Meter},
    parser::Bodies,
    printf,
    tree::{Binding, Branch, Command, Keyword, Node, Operand, Pipe, Term},
    value::Value,
};
use crate::nearest::nearest;

/// Renders a parsed template on `data`; `source` is what error texts quote from.
pub(super) fn render(bodies: &Bodies, source: &str, data: &Value) -> Result<String, Misplaced> {
    let mut run = Run {
        bodies,
        source,
        out: Bounded::default(),
        meter: Meter::new(),
        variables: vec![("$".into(), data.clone())],
        depth: 0,
    };
    run.nodes(data, &bodies.main)?;
    Ok(run.out.into_string())
}

struct Run<'t> {
    bodies: &'t Bodies,
    source: &'t str,
    out: Bounded,
    meter: Meter,
    variables: Vec<(Rc<str>, Value)>,
    depth: usize,
}

/// What comes after a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

type Evaluated = Result<Value, Misplaced>;

impl<'t> Run<'t> {
    fn nodes(&mut self, dot: &Value, nodes: &'t [Node]) -> Result<Flow, Misplaced> {
        for node in nodes {
            let flow = self.node(dot, node)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, dot: &Value, node: &'t Node) -> Result<Flow, Misplaced> {
        match node {
            Node::Text { offset, text } => self.write(text, *offset)?,
            Node::Action(pipe) => {
                let value = self.pipe(dot, pipe)?;
                if pipe.variables.is_empty() {
                    let text = printf::shown(&value).map_err(at(pipe.offset))?;
                    self.write(&text, pipe.offset)?;
                }
            }
            Node::Branch(keyword, branch) => return self.branch(dot, *keyword, branch),
            Node::Template {
                offset,
                name,
                argument,
            } => self.template(dot, *offset, name, argument.as_ref())?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn write(&mut self, text: &str, offset: usize) -> Result<(), Misplaced> {
        self.meter.spend(1).map_err(at(offset))?;
        self.meter.spend_text(text.len()).map_err(at(offset))?;
        self.out.push_str(text).map_err(at(offset))
    }

    fn enter(&mut self, offset: usize) -> Result<(), Misplaced> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err((Limit::Depth.into(), offset));
        }
        Ok(())
    }

    /// Does a branch in a scope of its own.
    fn branch(
        &mut self,
        dot: &Value,
        keyword: Keyword,
        branch: &'t Branch,
    ) -> Result<Flow, Misplaced> {
        self.enter(branch.condition.offset)?;
        let scope = self.variables.len();
        let value = self.pipe(dot, &branch.condition)?;
        let flow = match (keyword, value.is_true()) {
            (Keyword::Range, _) => self.range(dot, branch, &value)?,
            (Keyword::If, true) => self.nodes(dot, &branch.body)?,
            (Keyword::With, true) => self.nodes(&value, &branch.body)?,
            (Keyword::If | Keyword::With, false) => self.nodes(dot, &branch.otherwise)?,
        };
        self.variables.truncate(scope);
        self.depth -= 1;
        Ok(flow)
    }

    fn range(&mut self, dot: &Value, branch: &'t Branch, over: &Value) -> Result<Flow, Misplaced> {
        let offset = branch.condition.offset;
        let mut ran = false;
        match over {
            Value::Nil => {}
            Value::List(list) => {
                for (index, item) in list.items().iter().enumerate() {
                    ran = true;
                    if self.turn(branch, whole(index), item)? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                self.meter.spend(map.len()).map_err(at(offset))?;
                for (key, item) in map.entries() {
                    ran = true;
                    if self.turn(branch, key, &item)? == Flow::Break {
                        break;
                    }
                }
            }
            number => {
                let Some(count) = number.as_whole() else {
                    let text = printf::shown(over).map_err(at(offset))?;
                    return Err(failed(format!("range can't iterate over {text}"), offset));
                };
                if branch.condition.variables.len() > 1 {
                    let text = format!("can't use {count} to iterate over more than one variable");
                    return Err(failed(text, offset));
                }
                for index in 0..i64::try_from(count).unwrap_or(i64::MAX) {
                    ran = true;
                    if self.turn(branch, Value::Int(index), &Value::Int(index))? == Flow::Break {
                        break;
                    }
                }
            }
        }
        if ran {
            return Ok(Flow::Next);
        }
        self.nodes(dot, &branch.otherwise)
    }

    /// Runs the body of a `range` once.
    fn turn(&mut self, branch: &'t Branch, key: Value, item: &Value) -> Result<Flow, Misplaced> {
        let pipe = &branch.condition;
        self.meter.spend(1).map_err(at(pipe.offset))?;
        let scope = self.variables.len();
        match pipe.variables.as_slice() {
            [] => {}
            [name] => self.bind(pipe, name, item.clone())?,
            [first, second, ..] => {
                self.bind(pipe, first, key)?;
                self.bind(pipe, second, item.clone())?;
            }
        }
        let flow = self.nodes(item, &branch.body)?;
        self.variables.truncate(scope);
        Ok(flow)
    }

    fn template(
        &mut self,
        dot: &Value,
        offset: usize,
        name: &str,
        argument: Option<&'t Pipe>,
    ) -> Result<(), Misplaced> {
        let Some(body) = self.bodies.defined.get(name) else {
            return Err((ErrorKind::UnknownTemplate(name.to_owned()), offset));
        };
        self.meter.spend(1).map_err(at(offset))?;
        self.enter(offset)?;
        let inner = match argument {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Value::Nil,
        };
        let outer = std::mem::replace(&mut self.variables, vec![("$".into(), inner.clone())]);
        self.nodes(&inner, body)?;
        self.variables = outer;
        self.depth -= 1;
        Ok(())
    }

    /// Evaluates a pipe and binds its variables; a `range` binds its own, turn by turn.
    fn pipe(&mut self, dot: &Value, pipe: &'t Pipe) -> Evaluated {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(dot, command, last)?);
        }
        let value = last.unwrap_or_default();
        if let [name] = pipe.variables.as_slice() {
            self.bind(pipe, name, value.clone())?;
        }
        Ok(value)
    }

    fn bind(&mut self, pipe: &Pipe, name: &str, value: Value) -> Result<(), Misplaced> {
        if pipe.binding == Binding::Declare {
            self.meter.spend(1).map_err(at(pipe.offset))?;
            self.variables.push((name.into(), value));
            return Ok(());
        }
        let known = self
            .variables
            .iter_mut()
            .rev()
            .find(|known| *known.0 == *name);
        match known {
            Some((_, known)) => {
                *known = value;
                Ok(())
            }
            None => Err(failed(format!("undefined variable: {name}"), pipe.offset)),
        }
    }

    fn command(&mut self, dot: &Value, command: &'t Command, last: Option<Value>) -> Evaluated {
        let Command { first, arguments } = command;
        let offset = first.span.start;
        self.meter.spend(1).map_err(at(offset))?;
        match &first.term {
            Term::Function(function) => self.call(dot, function, offset, arguments, last),
            Term::Nil => Err(failed("nil is not a command".to_owned(), offset)),
            _ if arguments.is_empty() && last.is_none() => self.operand(dot, first),
            Term::Field(names) if names.len() > 1 => {
                self.method(dot.clone(), names, first, dot, arguments, last)
            }
            Term::Variable(name, names) if !names.is_empty() => {
                let value = self.variable(name, offset)?;
                self.method(value, names, first, dot, arguments, last)
            }
            Term::Chain(inner, names) => {
                let value = self.operand(dot, inner)?;
                self.method(value, names, first, dot, arguments, last)
            }
            _ => Err(self.no_function(first)),
        }
    }

    /// Calls the one kind of method that takes an argument: a comparison of two versions.
    fn method(
        &mut self,
        value: Value,
        names: &[Box<str>],
        operand: &Operand,
        dot: &Value,
        arguments: &'t [Operand],
        last: Option<Value>,
    ) -> Evaluated {
        let Some((name, path)) = names.split_last() else {
            return Err(self.no_function(operand));
        };
        let offset = operand.span.start;
        let receiver = self.fields(value, path, offset)?;
        let mut values = Vec::new();
        for argument in arguments {
            values.push(self.operand(dot, argument)?);
        }
        values.extend(last);
        match (&receiver, values.as_slice()) {
            (Value::Struct(left), [Value::Struct(right)]) => {
                functions::compare_versions(left, name, right)
                    .ok_or_else(|| self.no_function(operand))
            }
            _ => Err(self.no_function(operand)),
        }
    }

    fn no_function(&self, operand: &Operand) -> Misplaced {
        let text = self.source.get(operand.span.clone()).unwrap_or_default();
        let text = format!("can't give argument to non-function {text}");
        failed(text, operand.span.start)
    }

    fn operand(&mut self, dot: &Value, operand: &'t Operand) -> Evaluated {
        let offset = operand.span.start;
        match &operand.term {
            Term::Dot => Ok(dot.clone()),
            Term::Nil => Ok(Value::Nil),
            Term::Bool(value) => Ok(Value::Bool(*value)),
            Term::Int(value) => Ok(Value::Int(*value)),
            Term::Float(value) => Ok(Value::Float(*value)),
            Term::Text(text) => Ok(Value::Str(text.clone())),
            Term::Field(names) => self.fields(dot.clone(), names, offset),
            Term::Variable(name, names) => {
                let value = self.variable(name, offset)?;
                self.fields(value, names, offset)
            }
            Term::Chain(inner, names) => {
                let value = self.operand(dot, inner)?;
                self.fields(value, names, offset)
            }
            Term::Function(function) => self.call(dot, function, offset, &[], None),
            Term::Pipe(pipe) => self.pipe(dot, pipe),
        }
    }

    fn variable(&self, name: &str, offset: usize) -> Evaluated {
        let known = self.variables.iter().rev().find(|known| *known.0 == *name);
        match known {
            Some((_, value)) => Ok(value.clone()),
            None => Err(failed(format!("undefined variable: {name}"), offset)),
        }
    }

    /// Follows names into a value; a missing map key is nothing, a missing field is an error.
    fn fields(&mut self, value: Value, names: &[Box<str>], offset: usize) -> Evaluated {
        let mut value = value;
        for name in names {
            self.meter.spend(1).map_err(at(offset))?;
            value = match &value {
                Value::Nil => Value::Nil,
                Value::Map(map) if !map.has_struct_keys() => map.get(name).unwrap_or_default(),
                Value::Struct(fields) => match fields.get(name) {
                    Some(value) => value,
                    None => return Err((unknown_field(&value, name), offset)),
                },
                _ => return Err((unknown_field(&value, name), offset)),
            };
        }
        Ok(value)
    }

    fn call(
        &mut self,
        dot: &Value,
        function: &'static Function,
        offset: usize,
        arguments: &'t [Operand],
        last: Option<Value>,
    ) -> Evaluated {
        let count = arguments.len() + usize::from(last.is_some());
        function.check(count).map_err(at(offset))?;
        self.meter.spend(1).map_err(at(offset))?;
        if let Some(special) = function.special {
            return self.short_circuit(dot, special, arguments, last);
        }
        let mut values = Vec::with_capacity(count);
        for argument in arguments {
            values.push(self.operand(dot, argument)?);
        }
        values.extend(last);
        let mut call = Call {
            arguments: values,
            meter: &mut self.meter,
            culprit: Cell::new(None),
        };
        let outcome = (function.run)(&mut call);
        let culprit = call.culprit.get().and_then(|index| arguments.get(index));
        let place = culprit.map_or(offset, |argument| argument.span.start);
        outcome.map_err(|fault| match fault {
            ErrorKind::Failed(text) => {
                failed(format!("error calling {}: {text}", function.name), offset)
            }
            fault @ ErrorKind::WrongType { .. } => (fault, place),
            fault => (fault, offset),
        })
    }

    /// `and` and `or` look at their operands one by one, and stop when they know.
    fn short_circuit(
        &mut self,
        dot: &Value,
        special: Special,
        arguments: &'t [Operand],
        last: Option<Value>,
    ) -> Evaluated {
        let stops = |value: &Value| value.is_true() == (special == Special::Or);
        let mut value = Value::Nil;
        for argument in arguments {
            value = self.operand(dot, argument)?;
            if stops(&value) {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }
}

fn whole(index: usize) -> Value {
    Value::Int(i64::try_from(index).unwrap_or(i64::MAX))
}

fn at(offset: usize) -> impl Fn(Fault) -> Misplaced {
    move |fault| (fault, offset)
}

fn failed(text: String, offset: usize) -> Misplaced {
    (ErrorKind::Failed(text), offset)
}

fn unknown_field(value: &Value, field: &str) -> Fault {
    let type_name = value.type_name();
    match (type_name, field) {
        ("source.TemplateData", "Updated") => {
            return ErrorKind::RemovedField(RemovedField::Updated);
        }
        ("update.Result", "ImageResult") => {
            return ErrorKind::RemovedField(RemovedField::ImageResult);
        }
        _ => {}
    }
    let suggestion = match value {
        Value::Struct(fields) => nearest(field, fields.names()),
        _ => None,
    };
    ErrorKind::UnknownField {
        field: field.to_owned(),
        type_name: type_name.to_owned(),
        suggestion,
    }
}
