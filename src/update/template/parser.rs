//! From tokens to a tree, by the grammar of Go's `text/template`.

use std::{collections::BTreeMap, ops::Range};

use super::{
    error::ErrorKind,
    functions,
    lexer::{Misplaced, Token, TokenKind, lex},
    limits::{DEPTH, Limit},
    literal,
    tree::{Binding, Branch, Command, Keyword, Node, Operand, Pipe, Term},
};

/// The bodies of a template: the main one, and those that it defines.
#[derive(Clone, Debug, Default)]
pub(super) struct Bodies {
    pub(super) main: Vec<Node>,
    pub(super) defined: BTreeMap<Box<str>, Vec<Node>>,
}

/// Parses a whole source.
pub(super) fn parse(source: &str) -> Result<Bodies, Misplaced> {
    let mut parser = Parser {
        tokens: lex(source)?,
        next: 0,
        variables: vec!["$".into()],
        loops: 0,
        depth: 0,
        defined: BTreeMap::new(),
    };
    let (main, end) = parser.list(Place::Top)?;
    match end {
        Stop::End => Ok(Bodies {
            main,
            defined: parser.defined,
        }),
        Stop::Keyword(token) => Err(unexpected(token, "input")),
    }
}

struct Parser<'s> {
    tokens: Vec<Token<'s>>,
    next: usize,
    /// The variables in scope, `$` first.
    variables: Vec<Box<str>>,
    /// How many `range` bodies are open.
    loops: usize,
    depth: usize,
    defined: BTreeMap<Box<str>, Vec<Node>>,
}

/// Where a list of nodes stands; `define` is allowed at the top only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Inner,
}

/// What ended a list of nodes.
enum Stop<'s> {
    /// The end of the source.
    End,
    /// `else` or `end`, its action not yet closed.
    Keyword(Token<'s>),
}

impl<'s> Parser<'s> {
    fn peek(&self) -> Token<'s> {
        let end = Token {
            kind: TokenKind::End,
            text: "",
            offset: 0,
        };
        let token = self.tokens.get(self.next).or(self.tokens.last());
        token.copied().unwrap_or(end)
    }

    fn take(&mut self) -> Token<'s> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn skip_space(&mut self) {
        while self.peek().kind == TokenKind::Space {
            self.next += 1;
        }
    }

    fn peek_word(&mut self) -> Token<'s> {
        self.skip_space();
        self.peek()
    }

    fn take_word(&mut self) -> Token<'s> {
        self.skip_space();
        self.take()
    }

    fn expect(&mut self, kind: TokenKind, context: &str) -> Result<Token<'s>, Misplaced> {
        let token = self.take_word();
        if token.kind == kind {
            Ok(token)
        } else {
            Err(unexpected(token, context))
        }
    }

    /// Counts one level deeper; [`Parser::leave`] counts back.
    fn enter(&mut self, offset: usize) -> Result<(), Misplaced> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err((Limit::Depth.into(), offset));
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Parses nodes up to `else`, `end` or the end of the source.
    fn list(&mut self, place: Place) -> Result<(Vec<Node>, Stop<'s>), Misplaced> {
        let mut nodes = Vec::new();
        loop {
            let token = self.take();
            match token.kind {
                TokenKind::Text => nodes.push(Node::Text {
                    offset: token.offset,
                    text: token.text.into(),
                }),
                TokenKind::Open => {
                    let word = self.peek_word();
                    if word.kind != TokenKind::Identifier {
                        nodes.push(Node::Action(self.action(token)?));
                        continue;
                    }
                    match word.text {
                        "else" | "end" => {
                            self.next += 1;
                            return Ok((nodes, Stop::Keyword(word)));
                        }
                        "define" if place == Place::Top => self.define()?,
                        "define" => return Err(unexpected(word, "command")),
                        _ => nodes.push(self.keyword(token, word)?),
                    }
                }
                TokenKind::End => return Ok((nodes, Stop::End)),
                _ => return Err(unexpected(token, "input")),
            }
        }
    }

    /// Parses the action that begins with `word`.
    fn keyword(&mut self, open: Token<'s>, word: Token<'s>) -> Result<Node, Misplaced> {
        let node = match word.text {
            "if" => self.branch(Keyword::If)?,
            "range" => self.branch(Keyword::Range)?,
            "with" => self.branch(Keyword::With)?,
            "block" => self.block()?,
            "template" => self.template()?,
            "break" => self.jump(word, Node::Break)?,
            "continue" => self.jump(word, Node::Continue)?,
            _ => Node::Action(self.action(open)?),
        };
        Ok(node)
    }

    fn action(&mut self, open: Token<'s>) -> Result<Pipe, Misplaced> {
        self.pipe("command", TokenKind::Close, open.offset, 1)
    }

    fn jump(&mut self, word: Token<'s>, node: Node) -> Result<Node, Misplaced> {
        self.next += 1;
        if self.loops == 0 {
            let text = format!("{{{{{}}}}} outside {{{{range}}}}", word.text);
            return Err((ErrorKind::Syntax(text), word.offset));
        }
        self.expect(TokenKind::Close, word.text)?;
        Ok(node)
    }

    /// Parses `if`, `range` or `with`, from the keyword to the `end`.
    fn branch(&mut self, keyword: Keyword) -> Result<Node, Misplaced> {
        let word = self.take();
        self.enter(word.offset)?;
        let scope = self.variables.len();
        let most = if keyword == Keyword::Range { 2 } else { 1 };
        let condition = self.pipe(word.text, TokenKind::Close, word.offset, most)?;
        self.loops += usize::from(keyword == Keyword::Range);
        let (body, stop) = self.list(Place::Inner)?;
        self.loops -= usize::from(keyword == Keyword::Range);
        let otherwise = if self.keyword_of(&stop)? == "else" {
            self.otherwise(keyword)?
        } else {
            self.expect(TokenKind::Close, "end")?;
            Vec::new()
        };
        self.variables.truncate(scope);
        self.leave();
        let branch = Branch {
            condition,
            body,
            otherwise,
        };
        Ok(Node::Branch(keyword, branch))
    }

    fn otherwise(&mut self, keyword: Keyword) -> Result<Vec<Node>, Misplaced> {
        let word = self.peek_word();
        // `else if` stands for an `if` in the `else`, and shares its `end`.
        let chained = matches!(
            (keyword, word.kind, word.text),
            (Keyword::If, TokenKind::Identifier, "if")
                | (Keyword::With, TokenKind::Identifier, "with")
        );
        if chained {
            return Ok(vec![self.branch(keyword)?]);
        }
        self.expect(TokenKind::Close, "else")?;
        let (nodes, stop) = self.list(Place::Inner)?;
        match &stop {
            Stop::Keyword(token) if token.text == "else" => {
                Err(syntax("expected end; found {{else}}", token.offset))
            }
            _ => {
                self.keyword_of(&stop)?;
                self.expect(TokenKind::Close, "end")?;
                Ok(nodes)
            }
        }
    }

    fn keyword_of(&self, stop: &Stop<'s>) -> Result<&'s str, Misplaced> {
        match stop {
            Stop::Keyword(token) => Ok(token.text),
            Stop::End => Err(syntax("unexpected EOF", self.peek().offset)),
        }
    }

    fn define(&mut self) -> Result<(), Misplaced> {
        self.next += 1;
        let (name, offset) = self.name("define clause")?;
        self.expect(TokenKind::Close, "define clause")?;
        let body = self.body(offset)?;
        self.add(name, body, offset)
    }

    fn block(&mut self) -> Result<Node, Misplaced> {
        self.next += 1;
        let (name, offset) = self.name("block clause")?;
        let argument = self.pipe("block clause", TokenKind::Close, offset, 1)?;
        let body = self.body(offset)?;
        self.add(name.clone(), body, offset)?;
        Ok(Node::Template {
            offset,
            name,
            argument: Some(argument),
        })
    }

    /// Parses the body of `define` or `block`, which sees no variable but `$` and no loop.
    fn body(&mut self, offset: usize) -> Result<Vec<Node>, Misplaced> {
        self.enter(offset)?;
        let variables = std::mem::replace(&mut self.variables, vec!["$".into()]);
        let loops = std::mem::take(&mut self.loops);
        let (body, stop) = self.list(Place::Inner)?;
        if let Stop::Keyword(token) = &stop
            && token.text == "else"
        {
            return Err(unexpected(*token, "define clause"));
        }
        self.keyword_of(&stop)?;
        self.expect(TokenKind::Close, "end")?;
        self.variables = variables;
        self.loops = loops;
        self.leave();
        Ok(body)
    }

    /// Adds a definition; an empty one never replaces another.
    fn add(&mut self, name: Box<str>, body: Vec<Node>, offset: usize) -> Result<(), Misplaced> {
        match self.defined.get(&name) {
            Some(known) if is_blank(&body) && !is_blank(known) => {}
            Some(known) if !is_blank(known) => {
                let text = format!("multiple definition of template {name:?}");
                return Err((ErrorKind::Syntax(text), offset));
            }
            _ => {
                self.defined.insert(name, body);
            }
        }
        Ok(())
    }

    fn template(&mut self) -> Result<Node, Misplaced> {
        self.next += 1;
        let (name, offset) = self.name("template clause")?;
        let argument = if self.peek_word().kind == TokenKind::Close {
            self.next += 1;
            None
        } else {
            Some(self.pipe("template clause", TokenKind::Close, offset, 1)?)
        };
        Ok(Node::Template {
            offset,
            name,
            argument,
        })
    }

    fn name(&mut self, context: &str) -> Result<(Box<str>, usize), Misplaced> {
        let token = self.take_word();
        let text = match token.kind {
            TokenKind::Quoted => literal::unquote(token.text),
            TokenKind::Raw => Some(literal::raw(token.text)),
            _ => return Err(unexpected(token, context)),
        };
        let text = text.ok_or_else(|| bad("string", token))?;
        Ok((text.into(), token.offset))
    }

    /// Parses a pipe up to and with `end`, with up to `most` variables in front.
    fn pipe(
        &mut self,
        context: &str,
        end: TokenKind,
        offset: usize,
        most: usize,
    ) -> Result<Pipe, Misplaced> {
        if matches!(context, "if" | "range" | "with") {
            self.skip_space();
        }
        let (variables, binding) = self.bindings(context, most)?;
        let mut commands: Vec<Command> = Vec::new();
        loop {
            let token = self.peek_word();
            if token.kind == end {
                self.next += 1;
                break;
            }
            let command = self.command(token)?;
            if !commands.is_empty() && is_constant(&command.first.term) {
                let stage = commands.len() + 1;
                let text = format!("non executable command in pipeline stage {stage}");
                return Err((ErrorKind::Syntax(text), command.first.span.start));
            }
            commands.push(command);
        }
        if commands.is_empty() {
            return Err(syntax(&format!("missing value for {context}"), offset));
        }
        if binding == Binding::Declare {
            self.variables.extend(variables.iter().cloned());
        }
        let offset = commands
            .first()
            .map_or(offset, |command| command.first.span.start);
        Ok(Pipe {
            offset,
            variables,
            binding,
            commands,
        })
    }

    /// Parses `$x :=`, `$x =` or, for `range`, `$i, $x :=`; nothing where there is none.
    fn bindings(
        &mut self,
        context: &str,
        most: usize,
    ) -> Result<(Vec<Box<str>>, Binding), Misplaced> {
        let mut names = Vec::new();
        let start = self.next;
        loop {
            let variable = self.peek_word();
            if variable.kind != TokenKind::Variable {
                break;
            }
            self.next += 1;
            let sign = self.take_word();
            names.push(variable);
            let binding = match sign.kind {
                TokenKind::Declare => Binding::Declare,
                TokenKind::Assign => Binding::Assign,
                TokenKind::Comma if names.len() < most => continue,
                TokenKind::Comma => {
                    return Err(syntax(
                        &format!("too many declarations in {context}"),
                        sign.offset,
                    ));
                }
                _ => break,
            };
            if binding == Binding::Assign {
                for name in &names {
                    self.known(*name)?;
                }
            }
            let names = names.iter().map(|name| name.text.into()).collect();
            return Ok((names, binding));
        }
        if names.len() > 1 {
            return Err(unexpected(self.peek(), context));
        }
        self.next = start;
        Ok((Vec::new(), Binding::Declare))
    }

    fn known(&self, variable: Token<'s>) -> Result<(), Misplaced> {
        if self.variables.iter().any(|name| **name == *variable.text) {
            return Ok(());
        }
        let text = format!("undefined variable {:?}", variable.text);
        Err((ErrorKind::Syntax(text), variable.offset))
    }

    fn command(&mut self, start: Token<'s>) -> Result<Command, Misplaced> {
        let mut operands = Vec::new();
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            let token = self.peek();
            match token.kind {
                TokenKind::Space => {}
                TokenKind::Close | TokenKind::RightParen => break,
                TokenKind::Pipe => {
                    self.next += 1;
                    let after = self.peek_word();
                    if matches!(after.kind, TokenKind::Close | TokenKind::RightParen) {
                        return Err(syntax("missing value for command", after.offset));
                    }
                    break;
                }
                _ => return Err(unexpected(token, "operand")),
            }
        }
        let mut operands = operands.into_iter();
        let Some(first) = operands.next() else {
            return Err(syntax("empty command", start.offset));
        };
        Ok(Command {
            first,
            arguments: operands.collect(),
        })
    }

    /// Parses a term and the fields that hang on it; nothing where no term begins.
    fn operand(&mut self) -> Result<Option<Operand>, Misplaced> {
        let Some(operand) = self.term()? else {
            return Ok(None);
        };
        let mut fields = Vec::new();
        let mut end = operand.span.end;
        while self.peek().kind == TokenKind::Field {
            let token = self.take();
            end = token.offset + token.text.len();
            fields.push(field_name(token));
        }
        if fields.is_empty() {
            return Ok(Some(operand));
        }
        let span = operand.span.start..end;
        let term = match operand.term {
            Term::Field(mut first) => {
                first.append(&mut fields);
                Term::Field(first)
            }
            Term::Variable(name, _) => Term::Variable(name, fields),
            term @ (Term::Pipe(_) | Term::Function(_)) => Term::Chain(
                Box::new(Operand {
                    span: operand.span,
                    term,
                }),
                fields,
            ),
            _ => return Err(syntax("unexpected . after term", operand.span.end)),
        };
        Ok(Some(Operand { span, term }))
    }

    fn term(&mut self) -> Result<Option<Operand>, Misplaced> {
        let token = self.peek_word();
        self.next += 1;
        let span = span_of(token);
        let term = match token.kind {
            TokenKind::Dot => Term::Dot,
            TokenKind::Field => Term::Field(vec![field_name(token)]),
            TokenKind::Variable => {
                self.known(token)?;
                Term::Variable(token.text.into(), Vec::new())
            }
            TokenKind::Identifier => match token.text {
                "true" => Term::Bool(true),
                "false" => Term::Bool(false),
                "nil" => Term::Nil,
                name => {
                    Term::Function(functions::lookup(name).map_err(|kind| (kind, token.offset))?)
                }
            },
            TokenKind::Number => {
                literal::number(token.text).map_err(|text| syntax(&text, token.offset))?
            }
            TokenKind::Character => {
                literal::character(token.text).ok_or_else(|| bad("character", token))?
            }
            TokenKind::Quoted => {
                let text = literal::unquote(token.text).ok_or_else(|| bad("string", token))?;
                Term::Text(text.into())
            }
            TokenKind::Raw => Term::Text(literal::raw(token.text).into()),
            TokenKind::LeftParen => {
                self.enter(token.offset)?;
                let pipe = self.pipe(
                    "parenthesized pipeline",
                    TokenKind::RightParen,
                    token.offset,
                    1,
                )?;
                self.leave();
                let end = self
                    .tokens
                    .get(self.next - 1)
                    .map_or(span.end, |last| last.offset + 1);
                return Ok(Some(Operand {
                    span: span.start..end,
                    term: Term::Pipe(Box::new(pipe)),
                }));
            }
            _ => {
                self.next -= 1;
                return Ok(None);
            }
        };
        Ok(Some(Operand { span, term }))
    }
}

fn is_constant(term: &Term) -> bool {
    matches!(
        term,
        Term::Bool(_) | Term::Dot | Term::Nil | Term::Int(_) | Term::Float(_) | Term::Text(_)
    )
}

fn is_blank(nodes: &[Node]) -> bool {
    nodes
        .iter()
        .all(|node| matches!(node, Node::Text { text, .. } if text.trim().is_empty()))
}

fn field_name(token: Token<'_>) -> Box<str> {
    token.text.strip_prefix('.').unwrap_or(token.text).into()
}

fn span_of(token: Token<'_>) -> Range<usize> {
    token.offset..token.offset + token.text.len()
}

fn syntax(text: &str, offset: usize) -> Misplaced {
    (ErrorKind::Syntax(text.to_owned()), offset)
}

fn bad(what: &str, token: Token<'_>) -> Misplaced {
    let text = format!("bad {what} syntax: {}", token.text);
    (ErrorKind::Syntax(text), token.offset)
}

fn unexpected(token: Token<'_>, context: &str) -> Misplaced {
    let text = match (token.kind, token.text) {
        (TokenKind::End, _) => "unexpected EOF".to_owned(),
        (TokenKind::Identifier, word @ ("else" | "end")) => format!("unexpected {{{{{word}}}}}"),
        (_, text) => format!("unexpected {text:?} in {context}"),
    };
    (ErrorKind::Syntax(text), token.offset)
}
