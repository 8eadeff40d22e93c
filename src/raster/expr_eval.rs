//! Runs a parsed expression over rows of pixels: one pass over a short run of pixels per step.

use super::expr::{Expr, Op};

/// Pixels that one step works on: the stack stays in the processor's cache.
const RUN: usize = 1024;

/// The working memory of an evaluation, to be used again for the next row.
#[derive(Debug, Default)]
pub struct Scratch {
    stack: Vec<[f64; RUN]>,
}

impl Expr {
    /// Evaluates the expression for each pixel of a row.
    ///
    /// `bands` are the rows of [`Expr::bands`] in that order; each and `out` have the same length.
    /// Both sides of `? :` are computed and one is chosen for each pixel, so a division by 0 on
    /// the side not taken leaves no trace. Pixels beyond the shortest row are left as they are.
    pub fn eval_row(&self, bands: &[&[f64]], out: &mut [f64], scratch: &mut Scratch) {
        scratch.stack.resize(self.stack.max(1), [0.0; RUN]);
        let length = bands.iter().map(|b| b.len()).fold(out.len(), usize::min);
        let mut from = 0;
        while from < length {
            let to = (from + RUN).min(length);
            self.eval_run(bands, from, &mut out[from..to], &mut scratch.stack);
            from = to;
        }
    }

    fn eval_run(&self, bands: &[&[f64]], from: usize, out: &mut [f64], stack: &mut [[f64; RUN]]) {
        let n = out.len();
        let mut top = 0;
        for op in &self.ops {
            match *op {
                Op::Const(value) => {
                    stack[top][..n].fill(value);
                    top += 1;
                }
                Op::Band(index) => {
                    match bands.get(index) {
                        Some(band) => stack[top][..n].copy_from_slice(&band[from..from + n]),
                        None => stack[top][..n].fill(f64::NAN),
                    }
                    top += 1;
                }
                Op::Select => {
                    top -= 2;
                    let (head, tail) = stack.split_at_mut(top);
                    let condition = &mut head[top - 1][..n];
                    for ((c, yes), no) in condition.iter_mut().zip(&tail[0]).zip(&tail[1]) {
                        *c = if *c != 0.0 { *yes } else { *no };
                    }
                }
                _ => {
                    if let Some(f) = unary(op) {
                        stack[top - 1][..n].iter_mut().for_each(|v| *v = f(*v));
                    } else {
                        top -= 1;
                        let (head, tail) = stack.split_at_mut(top);
                        binary(*op, &mut head[top - 1][..n], &tail[0]);
                    }
                }
            }
        }
        out.copy_from_slice(&stack[0][..n]);
    }
}

fn unary(op: &Op) -> Option<fn(f64) -> f64> {
    Some(match op {
        Op::Neg => |v| -v,
        Op::Not => |v| truth(v == 0.0),
        Op::Abs => f64::abs,
        Op::Sqrt => f64::sqrt,
        Op::Exp => f64::exp,
        Op::Log => f64::ln,
        Op::Log10 => f64::log10,
        Op::Floor => f64::floor,
        Op::Ceil => f64::ceil,
        _ => return None,
    })
}

fn truth(b: bool) -> f64 {
    f64::from(u8::from(b))
}

fn binary(op: Op, left: &mut [f64], right: &[f64]) {
    // Each arm has a loop of its own, so that the compiler can vectorise it.
    fn each(left: &mut [f64], right: &[f64], f: impl Fn(f64, f64) -> f64) {
        for (l, r) in left.iter_mut().zip(right) {
            *l = f(*l, *r);
        }
    }
    match op {
        Op::Add => each(left, right, |a, b| a + b),
        Op::Sub => each(left, right, |a, b| a - b),
        Op::Mul => each(left, right, |a, b| a * b),
        Op::Div => each(left, right, |a, b| a / b),
        Op::Pow => each(left, right, f64::powf),
        Op::Min => each(left, right, |a, b| if b < a || a.is_nan() { b } else { a }),
        Op::Max => each(left, right, |a, b| if b > a || a.is_nan() { b } else { a }),
        Op::Lt => each(left, right, |a, b| truth(a < b)),
        Op::Le => each(left, right, |a, b| truth(a <= b)),
        Op::Gt => each(left, right, |a, b| truth(a > b)),
        Op::Ge => each(left, right, |a, b| truth(a >= b)),
        Op::Eq => each(left, right, |a, b| truth(a == b)),
        Op::Ne => each(left, right, |a, b| truth(a != b)),
        Op::And => each(left, right, |a, b| truth(a != 0.0 && b != 0.0)),
        Op::Or => each(left, right, |a, b| truth(a != 0.0 || b != 0.0)),
        // The rest takes one operand, three or none and does not come here.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(source: &str, bands: &[f64]) -> f64 {
        let expr = Expr::parse(source).unwrap();
        let rows: Vec<&[f64]> = bands.iter().map(std::slice::from_ref).collect();
        let mut out = [-99.0];
        expr.eval_row(&rows, &mut out, &mut Scratch::default());
        out[0]
    }

    #[test]
    fn precedence_and_associativity_are_those_of_c() {
        for (source, expected) in [
            ("1 + 2 * 3", 7.0),
            ("8 / 4 / 2", 1.0),
            ("10 - 4 - 3", 3.0),
            ("-2 * -3", 6.0),
            ("- - 2", 2.0),
            ("!0 + !5", 1.0),
            ("1 < 2 == 1", 1.0),
            ("3 > 2 > 1", 0.0),
            ("1 || 0 && 0", 1.0),
            ("0 ? 1 : 0 ? 2 : 3", 3.0),
            ("1 ? 0 ? 4 : 5 : 6", 5.0),
            ("1 + 1 ? 2 : 3", 2.0),
            ("2 >= 2 && 2 <= 2 && 1 != 2", 1.0),
            ("min(3, 1, 2) + max(3, 1, 2)", 4.0),
            ("sqrt(16) + abs(-1) + pow(2, 3)", 13.0),
            ("log(exp(1)) + floor(1.9) + ceil(1.1) + log10(100)", 6.0),
            (".5 + 1. + 1e-1", 1.6),
        ] {
            assert_eq!(value(source, &[]), expected, "{source}");
        }
    }

    #[test]
    fn the_side_not_taken_leaves_no_trace() {
        let guarded = "(B08 + B04) != 0 ? (B08 - B04) / (B08 + B04) : -2";
        assert_eq!(value(guarded, &[0.3, 0.1]), (0.3 - 0.1) / (0.3 + 0.1));
        assert_eq!(value(guarded, &[0.1, -0.1]), -2.0);
        assert!(value("B > 1 ? nan : B", &[2.0]).is_nan());
        assert_eq!(value("B > 1 ? nan : B", &[0.5]), 0.5);
        assert_eq!(value("nan < 1 || nan > 1 || nan == nan", &[]), 0.0);
        assert_eq!(value("max(nan, 1) + min(2, nan)", &[]), 3.0);
    }

    #[test]
    fn rows_longer_than_a_run_are_whole() {
        let row: Vec<f64> = (0..3000).map(f64::from).collect();
        let twice = Expr::parse("A * 2 + 1").unwrap();
        let mut out = vec![0.0; 3000];
        twice.eval_row(&[&row], &mut out, &mut Scratch::default());
        assert!(out.iter().zip(&row).all(|(o, r)| *o == r * 2.0 + 1.0));
    }
}
