//! What a template says, after parsing.

use std::{ops::Range, sync::Arc};

use super::functions::Function;

/// One thing that is done in order.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Text, printed as it stands.
    Text { offset: usize, text: Box<str> },
    /// `{{ … }}`.
    Action(Pipe),
    /// `{{ if … }}`, `{{ range … }}` or `{{ with … }}`.
    Branch(Keyword, Branch),
    /// `{{ template "name" … }}`.
    Template {
        offset: usize,
        name: Box<str>,
        argument: Option<Pipe>,
    },
    /// `{{ break }}`.
    Break,
    /// `{{ continue }}`.
    Continue,
}

/// What a branch does with its condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    If,
    Range,
    With,
}

/// A condition, what is done under it, and what is done else.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) condition: Pipe,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands, each of which gets the value of the one before.
#[derive(Clone, Debug)]
pub(super) struct Pipe {
    pub(super) offset: usize,
    pub(super) variables: Vec<Box<str>>,
    pub(super) binding: Binding,
    pub(super) commands: Vec<Command>,
}

/// How a pipe's variables are bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// `:=` makes a variable.
    Declare,
    /// `=` changes one.
    Assign,
}

/// An operand and its arguments.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) first: Operand,
    pub(super) arguments: Vec<Operand>,
}

/// A term, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) span: Range<usize>,
    pub(super) term: Term,
}

/// What can be an argument.
#[derive(Clone, Debug)]
pub(super) enum Term {
    /// `.`.
    Dot,
    /// `nil`.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number, or a character.
    Int(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// A text, unquoted.
    Text(Arc<str>),
    /// `.A.B`.
    Field(Vec<Box<str>>),
    /// `$x.A.B`.
    Variable(Box<str>, Vec<Box<str>>),
    /// `(…).A.B`.
    Chain(Box<Operand>, Vec<Box<str>>),
    /// The name of a function.
    Function(&'static Function),
    /// `(…)`.
    Pipe(Box<Pipe>),
}
