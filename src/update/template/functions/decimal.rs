//! Exact decimal arithmetic, for Sprig's functions on floats: `0.1 + 0.2` is `0.3`.

/// A number, as a coefficient and the count of its digits after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    coefficient: i128,
    places: u32,
}

/// How many digits a quotient has after the point.
const QUOTIENT_PLACES: u32 = 16;

impl Decimal {
    /// The shortest decimal that names `number`, where it fits.
    pub(super) fn from_float(number: f64) -> Option<Self> {
        if !number.is_finite() {
            return None;
        }
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e')?;
        let after_point = mantissa.split_once('.').map_or("", |(_, digits)| digits);
        let coefficient = mantissa.replace('.', "").parse::<i128>().ok()?;
        let places = i32::try_from(after_point.len()).ok()? - exponent.parse::<i32>().ok()?;
        match u32::try_from(places) {
            Ok(places) => (places <= 60).then_some(Self {
                coefficient,
                places,
            }),
            Err(_) => Some(Self {
                coefficient: coefficient.checked_mul(power(places.unsigned_abs())?)?,
                places: 0,
            }),
        }
    }

    /// The nearest float.
    pub(super) fn to_float(self) -> f64 {
        let text = format!("{}e-{}", self.coefficient, self.places);
        text.parse().unwrap_or(f64::NAN)
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        let (left, right, places) = self.aligned(other)?;
        Some(Self {
            coefficient: left.checked_add(right)?,
            places,
        })
    }

    pub(super) fn subtract(self, other: Self) -> Option<Self> {
        let (left, right, places) = self.aligned(other)?;
        Some(Self {
            coefficient: left.checked_sub(right)?,
            places,
        })
    }

    pub(super) fn multiply(self, other: Self) -> Option<Self> {
        Some(Self {
            coefficient: self.coefficient.checked_mul(other.coefficient)?,
            places: self.places + other.places,
        })
    }

    /// The quotient, rounded half away from zero.
    pub(super) fn divide(self, other: Self) -> Option<Self> {
        let scale = (QUOTIENT_PLACES + other.places).checked_sub(self.places);
        let (above, below) = if let Some(scale) = scale {
            let above = self.coefficient.checked_mul(power(scale)?)?;
            (above, other.coefficient)
        } else {
            let scale = self.places - QUOTIENT_PLACES - other.places;
            (
                self.coefficient,
                other.coefficient.checked_mul(power(scale)?)?,
            )
        };
        let quotient = above.checked_div(below)?;
        let rest = above.checked_rem(below)?;
        let away = i128::from(rest.unsigned_abs() >= below.unsigned_abs().div_ceil(2));
        let sign = above.signum() * below.signum();
        Some(Self {
            coefficient: quotient.checked_add(away * sign)?,
            places: QUOTIENT_PLACES,
        })
    }

    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let places = self.places.max(other.places);
        let scaled = |number: Self| {
            let factor = power(places - number.places)?;
            number.coefficient.checked_mul(factor)
        };
        Some((scaled(self)?, scaled(other)?, places))
    }
}

fn power(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}
