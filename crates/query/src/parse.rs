//! Reads a target's text into an [`Expr`], by graphite-web's grammar.
//!
//! One pass, no backtracking: every choice is made by looking at the next token, so the time is
//! linear in the text. What graphite-web would silently drop after a target is an error here.

use nom::IResult;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag_no_case, take_while, take_while1};
use nom::character::complete::{char, digit1, one_of};
use nom::combinator::{opt, recognize};

use crate::ast::{CallExpr, Expr, TemplateExpr};

/// Calls within calls, pipes included; deeper targets are refused.
pub const DEPTH_MAX: usize = 256;

/// The text is not a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at position {position}")]
pub struct ParseError {
    /// Bytes from the start of the target.
    pub position: usize,
    /// What is wrong there.
    pub message: String,
}

/// Reads one target.
pub fn parse(target: &str) -> Result<Expr, ParseError> {
    let mut parser = Cursor { text: target, position: 0, depth: 0 };
    parser.skip_blanks();
    let expr = parser.expression()?;
    parser.skip_blanks();
    if parser.position < target.len() {
        return Err(parser.error(format!("unexpected {:?}", excerpt(parser.rest()))));
    }
    Ok(expr)
}

/// The first pattern inside a series name that looks like a call: `f(g(a.b,2))` holds `a.b`.
pub fn first_path(name: &str) -> Option<String> {
    let mut expr = &parse_prefix(name)?;
    loop {
        match expr {
            Expr::Path(path) => return Some(path.clone()),
            Expr::Tagged { .. } | Expr::Template(_) => return None,
            Expr::Call(call) => expr = call.args.first()?,
            _ => return None,
        }
    }
}

/// As [`parse`], but what follows the first expression is ignored: names need not be whole targets.
pub(crate) fn parse_prefix(name: &str) -> Option<Expr> {
    let mut parser = Cursor { text: name, position: 0, depth: 0 };
    parser.skip_blanks();
    parser.expression().ok().or_else(|| {
        let (_, path) = path_text(name.trim_start()).ok()?;
        Some(Expr::Path(unescape(path)))
    })
}

fn excerpt(text: &str) -> String {
    text.chars().take(20).collect()
}

/// Positional arguments, and those by name.
type Arguments = (Vec<Expr>, Vec<(String, Expr)>);

struct Cursor<'t> {
    text: &'t str,
    position: usize,
    depth: usize,
}

impl<'t> Cursor<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.position..]
    }

    fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError { position: self.position, message: message.into() }
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    /// The next byte after blanks, without taking it.
    fn peek(&mut self) -> Option<u8> {
        self.skip_blanks();
        self.rest().bytes().next()
    }

    /// Takes what `p` recognises, or nothing.
    fn take(&mut self, p: impl Fn(&'t str) -> IResult<&'t str, &'t str>) -> Option<&'t str> {
        let (rest, found) = p(self.rest()).ok()?;
        self.position = self.text.len() - rest.len();
        Some(found)
    }

    fn expect(&mut self, wanted: u8) -> Result<(), ParseError> {
        if self.peek() == Some(wanted) {
            self.position += 1;
            return Ok(());
        }
        let found = match self.rest() {
            "" => "the end".to_owned(),
            rest => format!("{:?}", excerpt(rest)),
        };
        Err(self.error(format!("expected {:?}, found {found}", wanted as char)))
    }

    fn enter(&mut self) -> Result<(), ParseError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error(format!("nested deeper than {DEPTH_MAX}")));
        }
        Ok(())
    }

    /// (template | call | path) followed by any number of piped calls.
    fn expression(&mut self) -> Result<Expr, ParseError> {
        self.enter()?;
        let outer = self.depth;
        let mut expr = self.call_or_path()?;
        while self.peek() == Some(b'|') {
            self.position += 1;
            self.skip_blanks();
            // Each pipe wraps what is left of it, so it is as deep as a nested call.
            self.enter()?;
            expr = self.piped(expr)?;
        }
        self.depth = outer - 1;
        Ok(expr)
    }

    fn piped(&mut self, first: Expr) -> Result<Expr, ParseError> {
        let position = self.position;
        match self.call_or_path()? {
            Expr::Call(mut call) => {
                call.args.insert(0, first);
                Ok(Expr::Call(call))
            }
            _ => Err(ParseError { position, message: "only a function can follow a pipe".into() }),
        }
    }

    fn call_or_path(&mut self) -> Result<Expr, ParseError> {
        let position = self.position;
        if let Some(name) = self.take(identifier) {
            if self.peek() == Some(b'(') {
                self.position += 1;
                return self.call(name, position);
            }
            self.position = position;
        }
        if let Some(number) = self.number() {
            return Ok(number);
        }
        self.path()
    }

    fn call(&mut self, name: &'t str, position: usize) -> Result<Expr, ParseError> {
        let (args, kwargs) = self.arguments()?;
        match name {
            "seriesByTag" => self.tagged(args, kwargs, position),
            "template" => template(args, kwargs, position),
            _ => {
                Ok(Expr::Call(Box::new(CallExpr { name: name.to_owned(), position, args, kwargs })))
            }
        }
    }

    fn tagged(
        &self,
        args: Vec<Expr>,
        kwargs: Vec<(String, Expr)>,
        position: usize,
    ) -> Result<Expr, ParseError> {
        let all_text = args.iter().all(|a| matches!(a, Expr::Text(_)));
        if args.is_empty() || !all_text || !kwargs.is_empty() {
            let message = "seriesByTag takes one or more tag expressions in quotes".to_owned();
            return Err(ParseError { position, message });
        }
        Ok(Expr::Tagged { raw: self.text[position..self.position].to_owned() })
    }

    /// Arguments up to and with the closing parenthesis; those by name come last.
    fn arguments(&mut self) -> Result<Arguments, ParseError> {
        let (mut args, mut kwargs) = (Vec::new(), Vec::new());
        if self.peek() == Some(b')') {
            self.position += 1;
            return Ok((args, kwargs));
        }
        loop {
            self.skip_blanks();
            let position = self.position;
            if let Some(name) = self.keyword_name() {
                if args.is_empty() {
                    let message =
                        "an argument by name needs one without a name before it".to_owned();
                    return Err(ParseError { position, message });
                }
                kwargs.push((name.to_owned(), self.argument()?));
            } else if kwargs.is_empty() {
                args.push(self.argument()?);
            } else {
                let message = "an argument without a name follows one with a name".to_owned();
                return Err(ParseError { position, message });
            }
            if self.peek() != Some(b',') {
                self.expect(b')')?;
                return Ok((args, kwargs));
            }
            self.position += 1;
        }
    }

    /// `name =`, or nothing taken. A path may end in `=` too: then no value follows.
    fn keyword_name(&mut self) -> Option<&'t str> {
        let position = self.position;
        let name = self.take(identifier);
        if name.is_some() && self.peek() == Some(b'=') {
            self.position += 1;
            if !matches!(self.peek(), Some(b')' | b',' | b'=')) {
                return name;
            }
        }
        self.position = position;
        None
    }

    fn argument(&mut self) -> Result<Expr, ParseError> {
        match self.peek() {
            Some(quote @ (b'"' | b'\'')) => self.string(quote as char),
            _ => match self.word() {
                Some(literal) => Ok(literal),
                None => self.expression(),
            },
        }
    }

    /// Raw text: a backslash keeps the quote after it from ending the text, and so does a second
    /// quote, but both stay in the value. A line break leaves the text without an end.
    fn string(&mut self, quote: char) -> Result<Expr, ParseError> {
        let start = self.position + 1;
        let mut chars = self.text[start..].char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let doubled = c == quote && at > 0 && chars.peek().is_some_and(|(_, c)| *c == quote);
            match c {
                '\n' | '\r' => break,
                _ if doubled || c == '\\' => {
                    chars.next();
                }
                _ if c == quote => {
                    self.position = start + at + 1;
                    return Ok(Expr::Text(self.text[start..start + at].to_owned()));
                }
                _ => {}
            }
        }
        Err(self.error("string without an end"))
    }

    /// `true`, `none`, `inf` and their like, if nothing but the end of the argument follows.
    fn word(&mut self) -> Option<Expr> {
        let position = self.position;
        let literal =
            self.take(recognize_word).and_then(|word| match word.to_ascii_lowercase().as_str() {
                "true" => Some(Expr::Bool(true)),
                "false" => Some(Expr::Bool(false)),
                "none" => Some(Expr::None),
                "inf" | "infinity" => Some(Expr::Float(f64::INFINITY)),
                "-inf" | "-infinity" => Some(Expr::Float(f64::NEG_INFINITY)),
                _ => None,
            });
        if literal.is_some() && self.at_argument_end() {
            return literal;
        }
        self.position = position;
        None
    }

    /// A number, if nothing but the end of the argument follows; `1min` and `5xx.count` are paths.
    fn number(&mut self) -> Option<Expr> {
        let position = self.position;
        let number = self.take(number_text).and_then(|text| {
            let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
            let integer = if plain { text.parse().ok().map(Expr::Int) } else { None };
            integer.or_else(|| text.parse().ok().map(Expr::Float))
        });
        if number.is_some() && self.at_argument_end() {
            return number;
        }
        self.position = position;
        None
    }

    fn at_argument_end(&mut self) -> bool {
        matches!(self.peek(), None | Some(b',' | b')'))
    }

    fn path(&mut self) -> Result<Expr, ParseError> {
        let position = self.position;
        let Some(path) = self.take(path_text) else {
            let found = match self.rest() {
                "" => "the end".to_owned(),
                rest => format!("{:?}", excerpt(rest)),
            };
            return Err(self.error(format!("expected a series or a function, found {found}")));
        };
        let reference = path
            .strip_prefix('#')
            .is_some_and(|r| !r.is_empty() && r.bytes().all(|b| b.is_ascii_uppercase()));
        if reference {
            let message = format!("{path} refers to a query that does not exist");
            return Err(ParseError { position, message });
        }
        Ok(Expr::Path(unescape(path)))
    }
}

fn template(
    args: Vec<Expr>,
    kwargs: Vec<(String, Expr)>,
    position: usize,
) -> Result<Expr, ParseError> {
    let literal = |e: &Expr| matches!(e, Expr::Int(_) | Expr::Float(_) | Expr::Text(_));
    let mut args = args.into_iter();
    let (Some(body), values) = (args.next(), args) else {
        return Err(ParseError { position, message: "template needs an expression".to_owned() });
    };
    let positional = values.enumerate().map(|(i, value)| ((i + 1).to_string(), value));
    let variables: Vec<_> = kwargs.into_iter().chain(positional).collect();
    if !variables.iter().all(|(_, value)| literal(value)) {
        let message = "the variables of a template are numbers or strings".to_owned();
        return Err(ParseError { position, message });
    }
    Ok(Expr::Template(Box::new(TemplateExpr { body, variables })))
}

fn identifier(text: &str) -> IResult<&str, &str> {
    recognize((
        take_while1(|c: char| c.is_ascii_alphabetic() || c == '_'),
        take_while(|c: char| c.is_ascii_alphanumeric() || c == '_'),
    ))
    .parse(text)
}

fn recognize_word(text: &str) -> IResult<&str, &str> {
    recognize((opt(char('-')), take_while1(|c: char| c.is_ascii_alphabetic()))).parse(text)
}

fn number_text(text: &str) -> IResult<&str, &str> {
    let fraction = recognize((char('.'), digit1));
    let exponent = recognize((one_of("eE"), opt(one_of("+-")), digit1));
    let plain = recognize((digit1, opt(recognize((char('.'), digit1)))));
    recognize((opt(char('-')), alt((plain, fraction)), opt(exponent))).parse(text)
}

fn is_path_char(c: char) -> bool {
    !c.is_whitespace() && !"(){},.'\"\\|".contains(c)
}

/// Elements joined by single dots. Braces hold alternatives, one level deep.
fn path_text(text: &str) -> IResult<&str, &str> {
    let mut end = path_element(text);
    while end > 0 {
        let Some(after_dot) = text[end..].strip_prefix('.') else { break };
        match path_element(after_dot) {
            0 => break,
            n => end += 1 + n,
        }
    }
    if end == 0 {
        return tag_no_case("\0 no path").parse(text).map(|(rest, _): (&str, &str)| (rest, ""));
    }
    Ok((&text[end..], &text[..end]))
}

/// Bytes of one path element at the start of the text; 0 if there is none.
fn path_element(text: &str) -> usize {
    let mut end = 0;
    loop {
        let rest = &text[end..];
        match plain_part(rest).max(alternatives(rest)) {
            0 => return end,
            n => end += n,
        }
    }
}

fn plain_part(text: &str) -> usize {
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        let escaped = c == '\\' && chars.next().is_some_and(|(_, c)| "(){},.'\"\\|=".contains(c));
        if !escaped && !is_path_char(c) {
            return i;
        }
    }
    text.len()
}

/// `{a,b}`: plain parts joined by commas. Dots are not allowed inside, as in graphite-web.
fn alternatives(text: &str) -> usize {
    let Some(mut rest) = text.strip_prefix('{') else { return 0 };
    loop {
        match plain_part(rest) {
            0 => return 0,
            n => rest = &rest[n..],
        }
        if let Some(after) = rest.strip_prefix('}') {
            return text.len() - after.len();
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => return 0,
        }
    }
}

fn unescape(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    plain
}

#[cfg(test)]
mod tests;
