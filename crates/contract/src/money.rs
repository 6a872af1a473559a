//! Money as whole nano-dollars.
//!
//! E2B's rates are exact in nano-USD, and every amount below 9,007,199 USD is exact in a Lua
//! number too. Decimals are read digit by digit, never through a float's arithmetic.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NANOS_PER_USD: i64 = 1_000_000_000;

/// An amount of US dollars in whole nano-dollars (1 USD = 1,000,000,000).
///
/// In JSON it is a number of dollars with up to nine decimals; a string is accepted on input so
/// that no client has to round. Never negative when read; at most [`Usd::MAX`].
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(i64);

/// Why a text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAmount {
    /// Not a decimal number.
    #[error("is not a decimal amount of dollars, such as 0.25")]
    NotDecimal,
    /// Less than zero.
    #[error("must not be negative")]
    Negative,
    /// Finer than a nano-dollar.
    #[error("has more than 9 decimals; amounts are exact to a nano-dollar")]
    TooFine,
    /// Over the limit.
    #[error("is over 9,000,000 USD, the most that one amount can be")]
    TooLarge,
}

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount that is accepted: 9,000,000 USD, so that sums stay exact below 2^53.
    pub const MAX: Self = Self(9_000_000 * NANOS_PER_USD);

    /// An amount from whole nano-dollars; may be negative, as a remainder can be.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Whole nano-dollars.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The sum, or the largest representable amount.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, which may be negative.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// This amount, or zero if it is negative.
    #[must_use]
    pub const fn or_zero(self) -> Self {
        if self.0 < 0 { Self(0) } else { self }
    }
}

impl FromStr for Usd {
    type Err = InvalidAmount;

    /// Reads a decimal such as `5`, `0.25`, `.5` or `1e-7`, exactly.
    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        if text.len() > 64 {
            return Err(InvalidAmount::NotDecimal);
        }
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                (mantissa, exponent.parse::<i32>().map_err(|_| InvalidAmount::NotDecimal)?)
            }
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: String = [whole, fraction].concat();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidAmount::NotDecimal);
        }
        let amount = scale(digits.trim_start_matches('0'), fraction.len(), exponent)?;
        if negative && amount.0 != 0 { Err(InvalidAmount::Negative) } else { Ok(amount) }
    }
}

/// `digits` x 10^(exponent - decimals), in nano-dollars.
fn scale(digits: &str, decimals: usize, exponent: i32) -> Result<Usd, InvalidAmount> {
    if digits.is_empty() {
        return Ok(Usd::ZERO);
    }
    let decimals = i32::try_from(decimals).map_err(|_| InvalidAmount::NotDecimal)?;
    let shift = exponent.saturating_sub(decimals).saturating_add(9);
    let significant = digits.trim_end_matches('0');
    let zeros = i32::try_from(digits.len() - significant.len()).unwrap_or(i32::MAX);
    let shift = shift.saturating_add(zeros);
    if shift < 0 {
        return Err(InvalidAmount::TooFine);
    }
    let base: i64 = significant.parse().map_err(|_| InvalidAmount::TooLarge)?;
    let power = u32::try_from(shift).map_err(|_| InvalidAmount::TooLarge)?;
    let nanos = 10_i64
        .checked_pow(power)
        .and_then(|factor| base.checked_mul(factor))
        .ok_or(InvalidAmount::TooLarge)?;
    if nanos > Usd::MAX.0 { Err(InvalidAmount::TooLarge) } else { Ok(Usd(nanos)) }
}

impl fmt::Display for Usd {
    /// The shortest exact decimal: `0.25`, `5`, `-0.000000001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let (whole, part) =
            (nanos / NANOS_PER_USD.unsigned_abs(), nanos % NANOS_PER_USD.unsigned_abs());
        if part == 0 {
            return f.pad(&format!("{sign}{whole}"));
        }
        let fraction = format!("{part:09}");
        f.pad(&format!("{sign}{whole}.{}", fraction.trim_end_matches('0')))
    }
}

impl fmt::Debug for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Usd({self})")
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % NANOS_PER_USD == 0 {
            return serializer.serialize_i64(self.0 / NANOS_PER_USD);
        }
        // The nearest double of a decimal with at most 15 digits prints as that decimal again.
        let dollars: f64 = self.to_string().parse().map_err(serde::ser::Error::custom)?;
        serializer.serialize_f64(dollars)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Dollars;
        impl Visitor<'_> for Dollars {
            type Value = Usd;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of dollars as a number or a string")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Usd, E> {
                self.visit_str(&value.to_string())
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Usd, E> {
                self.visit_str(&value.to_string())
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Usd, E> {
                // Rust prints the shortest decimal that reads back as this double: what the
                // sender wrote, up to 15 digits.
                self.visit_str(&value.to_string())
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Usd, E> {
                value.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Dollars)
    }
}

impl JsonSchema for Usd {
    fn schema_name() -> Cow<'static, str> {
        "Usd".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "US dollars: a number with up to 9 decimals, or the same as a string",
            "type": ["number", "string"], "minimum": 0, "maximum": 9_000_000,
            "pattern": "^[0-9]+([.][0-9]{1,9})?$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("5", 5_000_000_000)]
    #[case("0.25", 250_000_000)]
    #[case(".5", 500_000_000)]
    #[case("0.000000001", 1)]
    #[case("1e-7", 100)]
    #[case("0.1000000000000", 100_000_000)]
    #[case("9000000", 9_000_000_000_000_000)]
    #[case("-0", 0)]
    #[case("1.5E3", 1_500_000_000_000)]
    fn decimals_are_read_exactly(#[case] text: &str, #[case] nanos: i64) {
        assert_eq!(text.parse(), Ok(Usd::from_nanos(nanos)), "{text}");
    }

    #[rstest]
    #[case("", InvalidAmount::NotDecimal)]
    #[case("NaN", InvalidAmount::NotDecimal)]
    #[case("inf", InvalidAmount::NotDecimal)]
    #[case("1_000", InvalidAmount::NotDecimal)]
    #[case("0x10", InvalidAmount::NotDecimal)]
    #[case(".", InvalidAmount::NotDecimal)]
    #[case("-0.01", InvalidAmount::Negative)]
    #[case("0.0000000001", InvalidAmount::TooFine)]
    #[case("9000000.000000001", InvalidAmount::TooLarge)]
    #[case("1e30", InvalidAmount::TooLarge)]
    #[case("1e2147483647", InvalidAmount::TooLarge)]
    fn what_is_no_amount_is_refused_by_name(#[case] text: &str, #[case] why: InvalidAmount) {
        assert_eq!(text.parse::<Usd>(), Err(why), "{text}");
    }

    #[test]
    fn json_numbers_and_strings_survive_the_round_trip() {
        for text in ["0.1", "0.000000001", "8.123456789", "3"] {
            let amount: Usd = text.parse().unwrap();
            assert_eq!(serde_json::to_string(&amount).unwrap().parse::<Usd>(), Ok(amount));
            let number: Usd = serde_json::from_str(text).unwrap();
            let string: Usd = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert_eq!((number, string), (amount, amount));
        }
    }
}
