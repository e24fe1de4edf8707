//! Sprig's arithmetic and conversions to numbers.

use super::{
    super::{printf, value::Value},
    Call, Fault, Function, MANY, Outcome,
    decimal::Decimal,
    failed,
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("atoi", 1, 1, |call| {
        Ok(Value::Int(call.text(0)?.parse().unwrap_or(0)))
    }),
    Function::new("int", 1, 1, |call| Ok(Value::Int(cast(&call.value(0))))),
    Function::new("int64", 1, 1, |call| Ok(Value::Int64(cast(&call.value(0))))),
    Function::new("float64", 1, 1, |call| {
        Ok(Value::Float(cast_float(&call.value(0))))
    }),
    Function::new("toDecimal", 1, 1, |call| {
        let text = printf::display(&call.value(0))?;
        Ok(Value::Int64(i64::from_str_radix(&text, 8).unwrap_or(0)))
    }),
    Function::new("add1", 1, 1, |call| {
        Ok(Value::Int64(cast(&call.value(0)).wrapping_add(1)))
    }),
    Function::new("add", 0, MANY, |call| {
        let sum = wholes(call, 0).fold(0, i64::wrapping_add);
        Ok(Value::Int64(sum))
    }),
    Function::new("sub", 2, 2, |call| {
        let (left, right) = (cast(&call.value(0)), cast(&call.value(1)));
        Ok(Value::Int64(left.wrapping_sub(right)))
    }),
    Function::new("mul", 1, MANY, |call| {
        let first = cast(&call.value(0));
        Ok(Value::Int64(wholes(call, 1).fold(first, i64::wrapping_mul)))
    }),
    Function::new("div", 2, 2, |call| divide(call, i64::wrapping_div)),
    Function::new("mod", 2, 2, |call| divide(call, i64::wrapping_rem)),
    Function::new("max", 1, MANY, |call| Ok(largest(call))),
    Function::new("biggest", 1, MANY, |call| Ok(largest(call))),
    Function::new("min", 1, MANY, |call| {
        Ok(Value::Int64(wholes(call, 0).min().unwrap_or(0)))
    }),
    Function::new("maxf", 1, MANY, |call| Ok(pick(call, f64::max))),
    Function::new("minf", 1, MANY, |call| Ok(pick(call, f64::min))),
    Function::new("add1f", 1, 1, |call| {
        call.arguments.push(Value::Int(1));
        Ok(fold(call, Decimal::add, |left, right| left + right))
    }),
    Function::new("addf", 0, MANY, |call| {
        call.arguments.insert(0, Value::Int(0));
        Ok(fold(call, Decimal::add, |left, right| left + right))
    }),
    Function::new("subf", 1, MANY, |call| {
        Ok(fold(call, Decimal::subtract, |left, right| left - right))
    }),
    Function::new("mulf", 1, MANY, |call| {
        Ok(fold(call, Decimal::multiply, |left, right| left * right))
    }),
    Function::new("divf", 1, MANY, |call| {
        if call.values(1).iter().any(|value| cast_float(value) == 0.0) {
            return Err(failed("decimal division by 0"));
        }
        Ok(fold(call, Decimal::divide, |left, right| left / right))
    }),
    Function::new("floor", 1, 1, |call| {
        Ok(Value::Float(cast_float(&call.value(0)).floor()))
    }),
    Function::new("ceil", 1, 1, |call| {
        Ok(Value::Float(cast_float(&call.value(0)).ceil()))
    }),
    Function::new("round", 2, MANY, round),
    Function::new("until", 1, 1, |call| {
        let stop = call.whole(0)?;
        let numbers = steps(call, 0, stop, if stop < 0 { -1 } else { 1 })?;
        give(call, numbers)
    }),
    Function::new("untilStep", 3, 3, |call| {
        let (start, stop, step) = (call.whole(0)?, call.whole(1)?, call.whole(2)?);
        let numbers = steps(call, start, stop, step)?;
        give(call, numbers)
    }),
    Function::new("seq", 0, MANY, seq),
];

/// The float as a whole number, where it is in range.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the range is checked, and cutting off what stands after the point is the purpose"
)]
pub(super) fn to_whole(number: f64) -> Option<i64> {
    // 2^63 has an exact float, 2^63 - 1 has not.
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    (-BOUND..BOUND).contains(&number).then_some(number as i64)
}

/// The whole number that Sprig makes of anything: zero of what is none.
pub(super) fn cast(value: &Value) -> i64 {
    match value {
        Value::Bool(truth) => i64::from(*truth),
        Value::Float(number) => to_whole(*number).unwrap_or(i64::MIN),
        Value::Str(text) => cast_text(text).unwrap_or(0),
        value => value
            .as_whole()
            .and_then(|whole| i64::try_from(whole).ok())
            .unwrap_or(0),
    }
}

/// Reads a number with Go's prefixes: `0x1f`, `0b1`, `017`. Zeros after a point do not matter.
fn cast_text(text: &str) -> Option<i64> {
    let text = match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => text,
    };
    match super::super::literal::number(text) {
        Ok(super::super::tree::Term::Int(number)) => Some(number),
        _ => None,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Go loses the same digits at the same place"
)]
fn cast_float(value: &Value) -> f64 {
    match value {
        Value::Bool(truth) => f64::from(u8::from(*truth)),
        Value::Float(number) => *number,
        Value::Str(text) => text.parse().unwrap_or(0.0),
        value => value.as_whole().unwrap_or(0) as f64,
    }
}

fn wholes<'c>(call: &'c Call<'_>, skipped: usize) -> impl Iterator<Item = i64> + 'c {
    call.arguments.iter().skip(skipped).map(cast)
}

fn largest(call: &Call<'_>) -> Value {
    Value::Int64(wholes(call, 0).max().unwrap_or(0))
}

fn divide(call: &mut Call<'_>, operation: fn(i64, i64) -> i64) -> Outcome {
    let (above, below) = (cast(&call.value(0)), cast(&call.value(1)));
    if below == 0 {
        return Err(failed("runtime error: integer divide by zero"));
    }
    Ok(Value::Int64(operation(above, below)))
}

fn pick(call: &Call<'_>, choose: fn(f64, f64) -> f64) -> Value {
    let numbers = call.arguments.iter().map(cast_float);
    Value::Float(numbers.reduce(choose).unwrap_or(0.0))
}

/// Folds exactly as long as the digits fit, and in floats where they do not.
fn fold(
    call: &Call<'_>,
    exact: fn(Decimal, Decimal) -> Option<Decimal>,
    near: fn(f64, f64) -> f64,
) -> Value {
    let numbers = call.arguments.iter().map(cast_float).collect::<Vec<_>>();
    let decimals = numbers
        .iter()
        .map(|number| Decimal::from_float(*number))
        .collect::<Option<Vec<_>>>();
    let folded = decimals.and_then(|decimals| {
        let mut decimals = decimals.into_iter();
        let first = decimals.next()?;
        decimals.try_fold(first, exact)
    });
    Value::Float(match folded {
        Some(decimal) => decimal.to_float(),
        None => numbers.into_iter().reduce(near).unwrap_or(0.0),
    })
}

/// Rounds to so many places; what is at or above the third argument, half by default, goes up.
fn round(call: &mut Call<'_>) -> Outcome {
    let number = cast_float(&call.value(0));
    // No float has as many digits; what is beyond is infinite, as in Go.
    let places = call.whole(1)?.clamp(-1000, 1000);
    let threshold = match call.arguments.get(2) {
        Some(value) => cast_float(value),
        None => 0.5,
    };
    let power = 10_f64.powi(i32::try_from(places).unwrap_or_default());
    let shifted = number * power;
    let rounded = if shifted.fract() >= threshold {
        shifted.ceil()
    } else {
        shifted.floor()
    };
    Ok(Value::Float(rounded / power))
}

/// The numbers from `start` up or down to `end`, which is not among them.
fn steps(call: &mut Call<'_>, start: i64, end: i64, step: i64) -> Result<Vec<i64>, Fault> {
    let ahead = if end < start { step < 0 } else { step > 0 };
    if !ahead {
        return Ok(Vec::new());
    }
    let distance = start.abs_diff(end);
    let count = distance.div_ceil(step.unsigned_abs());
    call.meter
        .spend(usize::try_from(count).unwrap_or(usize::MAX))?;
    let numbers = std::iter::successors(Some(start), |number| number.checked_add(step));
    Ok(numbers.take(usize::try_from(count).unwrap_or(0)).collect())
}

fn give(call: &mut Call<'_>, numbers: Vec<i64>) -> Outcome {
    let items = numbers.into_iter().map(Value::Int).collect();
    call.meter.list("[]int", items)
}

/// Prints numbers as the Unix command does: `seq last`, `seq first last`, `seq first step last`.
fn seq(call: &mut Call<'_>) -> Outcome {
    let (first, step, last) = match call.arguments.len() {
        1 => (1, None, call.whole(0)?),
        2 => (call.whole(0)?, None, call.whole(1)?),
        3 => (call.whole(0)?, Some(call.whole(1)?), call.whole(2)?),
        _ => return call.give(""),
    };
    let direction = if last < first { -1 } else { 1 };
    if direction < 0 && step.is_some_and(|step| step > 0) {
        return call.give("");
    }
    let end = last.saturating_add(direction);
    let numbers = steps(call, first, end, step.unwrap_or(direction))?;
    let texts = numbers.iter().map(i64::to_string).collect::<Vec<_>>();
    call.give(super::strings::join(&texts, " ")?)
}

#[cfg(test)]
mod tests {
    use crate::update::template::tests::check;

    #[test]
    fn arithmetic_is_sprigs() {
        check("add 1 2 3", "6");
        check(r#"add "1" 2.7 true"#, "4");
        check("add", "0");
        check("add1 1", "2");
        check("sub 5 3", "2");
        check("mul 2 3 4", "24");
        check("div -7 2", "-3");
        check("mod -7 3", "-1");
        check("max 1 5 3", "5");
        check("min 4 2 8", "2");
        check("biggest 1 9", "9");
        check("maxf 1.5 2", "2");
        check("minf 1.5 2", "1.5");
    }

    #[test]
    fn floats_are_computed_in_decimals() {
        check("addf 0.1 0.2", "0.3");
        check("addf 1e20 1", "1e+20");
        check(r#"addf "1.5" "2""#, "3.5");
        check("add1f 1.5", "2.5");
        check("subf 7.5 2 3", "2.5");
        check("subf 0.3 0.1", "0.2");
        check("mulf 0.1 0.1", "0.01");
        check("divf 10 2 4", "1.25");
        check("divf 2 3", "0.6666666666666667");
        check("divf -1 3", "-0.3333333333333333");
        check("divf -2 -3", "0.6666666666666667");
        check("divf 5 0.001", "5000");
        check("divf 22 7", "3.142857142857143");
        check("ceil -1.1", "-1");
        check(r#"floor "2.7""#, "2");
        check("round 123.5555 3", "123.556");
        check("round 2.5 0", "3");
        check("round -2.5 0", "-3");
        check("round 123.4567 2 0.9", "123.45");
        check("round 1234 -2", "1200");
        check("round 1 10000", "NaN");
    }

    #[test]
    fn anything_becomes_a_number() {
        check(r#"atoi "12""#, "12");
        check(r#"atoi "x""#, "0");
        check(r#"int "0x1f""#, "31");
        check(r#"int "010""#, "8");
        check("int 3.9", "3");
        check("int true", "1");
        check("int nil", "0");
        check(r#"int "3.0""#, "3");
        check(r#"int "3.5""#, "0");
        check(r#"int " 3""#, "0");
        check(r#"int64 "5""#, "5");
        check(r#"float64 "1.5""#, "1.5");
        check(r#"float64 "x""#, "0");
        check("toDecimal 777", "511");
        check(r#"toDecimal "9""#, "0");
    }

    #[test]
    fn numbers_are_counted_out() {
        check("until 5", "[0 1 2 3 4]");
        check("until -3", "[0 -1 -2]");
        check("untilStep 3 10 2", "[3 5 7 9]");
        check("untilStep 10 3 -2", "[10 8 6 4]");
        check("untilStep 3 10 -1", "[]");
        check("untilStep 3 10 0", "[]");
        check("seq 5", "1 2 3 4 5");
        check("seq -3", "1 0 -1 -2 -3");
        check("seq 2 5", "2 3 4 5");
        check("seq 5 2", "5 4 3 2");
        check("seq 0 2 10", "0 2 4 6 8 10");
        check("seq 10 -3 0", "10 7 4 1");
        check("seq 5 1 2", "");
        check("seq 1 0 3", "");
        check("seq 0", "1 0");
        check("seq", "");
        check("seq 1 2 3 4", "");
    }
}
