//! Go's `text/template` with Sprig's text functions, as Flux renders commit messages.
//!
//! A message that Flux renders from a template is rendered here to the same text. What could make
//! two runs differ (the clock, chance, the machine) is refused when the template is parsed, and
//! everything a template does is bounded by [`limits`]: there is no input or output here.
//!
//! From source to text: `lexer`, `parser`, `tree`, `exec`, on [`value`]s that `printf` prints.
//! [`message`] is the data that Flux offers to a template.

pub mod message;
pub mod value;

mod lexer;
mod literal;
mod parser;
mod tree;

mod exec;
mod functions;

mod numerals;
mod printer;
mod printf;
mod quoting;

mod error;
pub mod limits;

pub use self::{
    error::{ErrorKind, RemovedField, TemplateError},
    limits::Limit,
    message::{FileObjectChange, MessageData, check, check_with, message_value},
    value::Value,
};

/// A template that has been read, and whose functions all exist.
///
/// ```
/// use tagwright::update::template::{Template, Value};
///
/// let template = Template::parse("{{ . | upper | printf \"%s!\" }}").unwrap();
/// assert_eq!(template.render(&Value::from("done")).unwrap(), "DONE!");
/// ```
#[derive(Clone, Debug)]
pub struct Template {
    source: Box<str>,
    bodies: parser::Bodies,
}

impl Template {
    /// Reads a template.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        if source.len() > limits::SOURCE_BYTES {
            let kind = ErrorKind::Limit(Limit::Source);
            return Err(TemplateError::new(kind, limits::SOURCE_BYTES, source));
        }
        let bodies = parser::parse(source)
            .map_err(|(kind, offset)| TemplateError::new(kind, offset, source))?;
        Ok(Self {
            source: source.into(),
            bodies,
        })
    }

    /// Renders the template on `data`, which is its first `.` and its `$`.
    pub fn render(&self, data: &Value) -> Result<String, TemplateError> {
        exec::render(&self.bodies, &self.source, data)
            .map_err(|(kind, offset)| TemplateError::new(kind, offset, &self.source))
    }
}

#[cfg(test)]
mod tests;
