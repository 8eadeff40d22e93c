//! Parses C-like expressions into the program that [`super::expr_eval`] runs.
//!
//! Grammar, loosest first: `a ? b : c`, `||`, `&&`, `== !=`, `< <= > >=`, `+ -`, `* /`,
//! unary `- + !`, then numbers, band names, functions and parentheses. Comparisons and logic give
//! 1 or 0; every value but 0 is true. The functions are `abs sqrt exp log log10 floor ceil pow
//! min max`; `nan` makes a pixel nodata.

use std::str::FromStr;

use super::expr::{Expr, ExprError, Op, is_name, nearest};

/// The longest expression, in bytes.
const MAX_LENGTH: usize = 64 * 1024;
/// The deepest nesting of parentheses, calls and conditionals.
const MAX_DEPTH: usize = 128;

/// A function: its name, how many arguments it takes (the last number is the most), what it does.
struct Function {
    name: &'static str,
    min_args: usize,
    max_args: usize,
    op: Op,
}

const FUNCTIONS: [Function; 10] = [
    function("abs", 1, 1, Op::Abs),
    function("sqrt", 1, 1, Op::Sqrt),
    function("exp", 1, 1, Op::Exp),
    function("log", 1, 1, Op::Log),
    function("log10", 1, 1, Op::Log10),
    function("floor", 1, 1, Op::Floor),
    function("ceil", 1, 1, Op::Ceil),
    function("pow", 2, 2, Op::Pow),
    function("min", 2, 16, Op::Min),
    function("max", 2, 16, Op::Max),
];

const fn function(name: &'static str, min_args: usize, max_args: usize, op: Op) -> Function {
    Function {
        name,
        min_args,
        max_args,
        op,
    }
}

impl Expr {
    /// Parses an expression such as `(B08 - B04) / (B08 + B04)`.
    ///
    /// # Errors
    /// Where it does not follow the grammar, is too long or is nested too deep; the error shows
    /// the character and, for a misspelt function, the nearest one there is.
    pub fn parse(source: &str) -> Result<Self, ExprError> {
        let mut parser = Parser {
            source,
            at: 0,
            depth: 0,
            bands: Vec::new(),
            ops: Vec::new(),
        };
        if source.len() > MAX_LENGTH {
            let what = format!("an expression may have at most {MAX_LENGTH} bytes");
            return Err(parser.error(MAX_LENGTH, what));
        }
        parser.conditional()?;
        parser.skip_space();
        if parser.at < source.len() {
            return Err(parser.unexpected());
        }
        Ok(Self {
            source: source.to_owned(),
            stack: stack_depth(&parser.ops),
            bands: parser.bands,
            ops: parser.ops,
        })
    }
}

impl FromStr for Expr {
    type Err = ExprError;

    fn from_str(source: &str) -> Result<Self, ExprError> {
        Self::parse(source)
    }
}

/// The most values on the stack at once.
fn stack_depth(ops: &[Op]) -> usize {
    let (mut now, mut most) = (0usize, 0usize);
    for op in ops {
        now = match op {
            Op::Const(_) | Op::Band(_) => now + 1,
            Op::Neg | Op::Not | Op::Abs | Op::Sqrt | Op::Exp => now,
            Op::Log | Op::Log10 | Op::Floor | Op::Ceil => now,
            Op::Select => now - 2,
            _ => now - 1,
        };
        most = most.max(now);
    }
    most
}

struct Parser<'a> {
    source: &'a str,
    at: usize,
    depth: usize,
    bands: Vec<String>,
    ops: Vec<Op>,
}

/// Binary operators by how loosely they bind; a longer one stands before its own beginning.
const LEVELS: [&[(&str, Op)]; 6] = [
    &[("||", Op::Or)],
    &[("&&", Op::And)],
    &[("==", Op::Eq), ("!=", Op::Ne)],
    &[("<=", Op::Le), (">=", Op::Ge), ("<", Op::Lt), (">", Op::Gt)],
    &[("+", Op::Add), ("-", Op::Sub)],
    &[("*", Op::Mul), ("/", Op::Div)],
];

impl Parser<'_> {
    fn error(&self, position: usize, message: impl Into<String>) -> ExprError {
        let mut position = position.min(self.source.len());
        while !self.source.is_char_boundary(position) {
            position -= 1;
        }
        ExprError {
            source_text: self.source.to_owned(),
            position,
            message: message.into(),
            nearest: None,
        }
    }

    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Says what is wrong with the character the parser stands at.
    fn unexpected(&self) -> ExprError {
        let rest = self.rest();
        let message = match rest.chars().next() {
            None => "the expression ends too early".to_owned(),
            Some('=') => "`=` is no operator here; compare with `==`".to_owned(),
            Some('&') => "`&` is no operator here; write `&&`".to_owned(),
            Some('|') => "`|` is no operator here; write `||`".to_owned(),
            Some('^') => "`^` is no operator here; write `pow(a, b)`".to_owned(),
            Some(')') => "this `)` closes nothing".to_owned(),
            Some(':') => "this `:` has no `?` before it".to_owned(),
            Some(c) if is_name(c) => "an operator is missing here".to_owned(),
            Some(c) => format!("`{c}` is not expected here"),
        };
        self.error(self.at, message)
    }

    fn enter(&mut self) -> Result<(), ExprError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let what = format!("the expression is nested more than {MAX_DEPTH} deep");
            return Err(self.error(self.at, what));
        }
        Ok(())
    }

    fn conditional(&mut self) -> Result<(), ExprError> {
        self.enter()?;
        self.binary(0)?;
        self.skip_space();
        let question = self.at;
        if self.take("?") {
            self.conditional()?;
            if !self.take(":") {
                return Err(if self.at == self.source.len() {
                    self.error(question, "this `?` has no `:`")
                } else {
                    self.unexpected()
                });
            }
            self.conditional()?;
            self.ops.push(Op::Select);
        }
        self.depth -= 1;
        Ok(())
    }

    fn binary(&mut self, level: usize) -> Result<(), ExprError> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        self.binary(level + 1)?;
        while let Some((_, op)) = operators.iter().find(|(token, _)| self.take(token)) {
            self.binary(level + 1)?;
            self.ops.push(*op);
        }
        Ok(())
    }

    fn unary(&mut self) -> Result<(), ExprError> {
        let mut signs = Vec::new();
        loop {
            if self.take("-") {
                signs.push(Op::Neg);
            } else if self.take("!") {
                signs.push(Op::Not);
            } else if !self.take("+") {
                break;
            }
        }
        self.primary()?;
        self.ops.extend(signs.into_iter().rev());
        Ok(())
    }

    fn primary(&mut self) -> Result<(), ExprError> {
        let open = {
            self.skip_space();
            self.at
        };
        if self.take("(") {
            self.conditional()?;
            return self.close(open);
        }
        match self.rest().chars().next() {
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if is_name(c) => self.name(),
            _ => Err(self.unexpected()),
        }
    }

    fn close(&mut self, open: usize) -> Result<(), ExprError> {
        if self.take(")") {
            Ok(())
        } else if self.at == self.source.len() {
            Err(self.error(open, "this `(` is never closed"))
        } else {
            Err(self.unexpected())
        }
    }

    fn number(&mut self) -> Result<(), ExprError> {
        let start = self.at;
        let bytes = self.source.as_bytes();
        let digits = |mut i: usize| {
            while bytes.get(i).is_some_and(u8::is_ascii_digit) {
                i += 1;
            }
            i
        };
        let mut end = digits(start);
        if bytes.get(end) == Some(&b'.') {
            end = digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            end = digits(end + 1 + sign);
        }
        let follows_name = self.source[end..].chars().next().is_some_and(is_name);
        match self.source[start..end].parse::<f64>() {
            Ok(value) if value.is_finite() && !follows_name => {
                self.at = end;
                self.ops.push(Op::Const(value));
                Ok(())
            }
            Ok(_) if follows_name => Err(self.error(
                end,
                "a number runs into a name here; names begin with a letter",
            )),
            Ok(_) => Err(self.error(start, "this number is too large")),
            Err(_) => Err(self.error(start, "this is not a number")),
        }
    }

    fn name(&mut self) -> Result<(), ExprError> {
        let start = self.at;
        let rest = self.rest();
        let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let name = rest[..length].to_owned();
        self.at += length;
        self.skip_space();
        let open = self.at;
        if self.take("(") {
            return self.call(start, &name, open);
        }
        if name.eq_ignore_ascii_case("nan") {
            self.ops.push(Op::Const(f64::NAN));
            return Ok(());
        }
        if FUNCTIONS.iter().any(|f| f.name == name) {
            let what = format!("`{name}` is a function: write `{name}(...)`");
            return Err(self.error(start, what));
        }
        let band = self
            .bands
            .iter()
            .position(|b| *b == name)
            .unwrap_or_else(|| {
                self.bands.push(name);
                self.bands.len() - 1
            });
        self.ops.push(Op::Band(band));
        Ok(())
    }

    fn call(&mut self, start: usize, name: &str, open: usize) -> Result<(), ExprError> {
        let Some(function) = FUNCTIONS.iter().find(|f| f.name == name) else {
            let mut error = self.error(start, format!("no function is named `{name}`"));
            error.nearest = nearest(name, FUNCTIONS.iter().map(|f| f.name));
            return Err(error);
        };
        let mut args = 0;
        if !self.take(")") {
            loop {
                self.conditional()?;
                args += 1;
                if function.max_args > 2 && args >= 2 {
                    self.ops.push(function.op);
                }
                if !self.take(",") {
                    break;
                }
            }
            self.close(open)?;
        }
        if args < function.min_args || args > function.max_args {
            let takes = match (function.min_args, function.max_args) {
                (1, 1) => "1 value".to_owned(),
                (a, b) if a == b => format!("{a} values"),
                (a, b) => format!("{a} to {b} values"),
            };
            let what = format!("`{name}` takes {takes}, {args} given");
            return Err(self.error(start, what));
        }
        if function.max_args <= 2 {
            self.ops.push(function.op);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(source: &str) -> ExprError {
        Expr::parse(source).unwrap_err()
    }

    #[test]
    fn bands_are_listed_once_in_order() {
        let expr =
            Expr::parse("(B08 - l8_B4) / (B08 + l8_B4) > nan ? max(B8A, 1e-3) : .5").unwrap();
        assert_eq!(expr.bands(), ["B08", "l8_B4", "B8A"]);
    }

    #[test]
    fn errors_point_at_the_character() {
        for (source, position, part) in [
            ("(B08 - B04", 0, "never closed"),
            ("B08 - B04)", 9, "closes nothing"),
            ("B08 ? 1", 4, "no `:`"),
            ("B08 : 1", 4, "no `?`"),
            ("B08 = 1", 4, "`==`"),
            ("B08 & 1", 4, "`&&`"),
            ("B08 B04", 4, "operator is missing"),
            ("", 0, "ends too early"),
            ("B08 +", 5, "ends too early"),
            ("1e", 0, "not a number"),
            ("1e999", 0, "too large"),
            ("8B", 1, "runs into a name"),
            ("é", 0, "`é`"),
            ("B08 # 1", 4, "`#`"),
            ("abs(1, 2)", 0, "takes 1 value, 2 given"),
            ("pow(1)", 0, "takes 2 values, 1 given"),
            ("min()", 0, "takes 2 to 16 values, 0 given"),
            ("abs + 1", 0, "is a function"),
            ("max(1, 2", 3, "never closed"),
            ("1..2", 2, "`.`"),
        ] {
            let error = fails(source);
            assert_eq!(error.position, position, "{source}: {error}");
            assert!(error.message.contains(part), "{source}: {error}");
        }
    }

    #[test]
    fn a_misspelt_function_gets_the_nearest_name_and_a_caret() {
        let error = fails("1 + sqr(B04)");
        assert_eq!(error.nearest.as_deref(), Some("sqrt"));
        assert_eq!(
            error.to_string(),
            "no function is named `sqr`; did you mean `sqrt`?\n  1 + sqr(B04)\n      ^"
        );
        assert_eq!(fails("reflectance(B04)").nearest, None);
        // A caret counts characters, not bytes, and a long expression is cut.
        assert!(fails("µ").to_string().ends_with("\n  µ\n  ^"));
        let long = format!("{}sin(1)", "1 + ".repeat(1000));
        assert!(fails(&long).to_string().lines().all(|l| l.len() < 120));
    }

    #[test]
    fn hostile_nesting_is_an_error_and_long_chains_are_not() {
        for hostile in [
            "(".repeat(60_000),
            "abs(".repeat(15_000),
            "1?".repeat(30_000),
        ] {
            assert!(
                fails(&hostile).message.contains("nested"),
                "{}",
                &hostile[..8]
            );
        }
        assert!(fails(&"(".repeat(100_000)).message.contains("at most"));
        assert!(Expr::parse(&format!("{}1", "-".repeat(60_000))).is_ok());
        let chain = Expr::parse(&format!("1{}", " + 1".repeat(10_000))).unwrap();
        assert_eq!(chain.stack, 2);
        let nested = format!("{}1{}", "(".repeat(100), ")".repeat(100));
        assert!(Expr::parse(&nested).is_ok());
    }
}
