//! Durations, sizes and bitrates as they are written: a number with its unit. A bare number is refused, because
//! nobody remembers whether it counts seconds or milliseconds.

use std::time::Duration;

use toml::Value;

use super::reader::Setting;
use crate::base::units::{Bitrate, ByteSize};

/// Units of time in milliseconds, the largest first.
const DURATIONS: &[(&str, u64)] = &[("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Units of size in bytes, the largest first; decimal ones and binary ones (IEC 80000-13).
const SIZES: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1000),
    ("B", 1),
];

/// A number with or without a unit, that can be compared and written.
pub(crate) trait Quantity: Setting + Copy + PartialOrd {
    /// As the configuration has it, without quotes.
    fn written(self) -> String;
}

impl Setting for Duration {
    const ALLOWED: &'static str = r#"a whole number with its unit, such as "250ms", "15s", "2m" or "1h""#;

    fn read(written: &Value) -> Option<Self> {
        scaled(written.as_str()?, DURATIONS).map(Self::from_millis)
    }
}

impl Quantity for Duration {
    fn written(self) -> String {
        with_unit(u64::try_from(self.as_millis()).unwrap_or(u64::MAX), DURATIONS)
    }
}

impl Setting for ByteSize {
    const ALLOWED: &'static str =
        r#"a whole number with its unit, such as "64KiB", "16MiB" or "1GiB" (or KB, MB, GB)"#;

    fn read(written: &Value) -> Option<Self> {
        scaled(written.as_str()?, SIZES).map(Self)
    }
}

impl Quantity for ByteSize {
    fn written(self) -> String {
        with_unit(self.0, SIZES)
    }
}

impl Setting for Bitrate {
    const ALLOWED: &'static str = r#"a number with its unit, such as "800k" or "2.5M" (bits per second)"#;

    fn read(written: &Value) -> Option<Self> {
        bitrate(written.as_str()?)
    }
}

impl Quantity for Bitrate {
    fn written(self) -> String {
        match (self.0 / 1000, self.0 % 1000) {
            (kilobits, 0) => format!("{kilobits}k"),
            (kilobits, bits) => format!("{kilobits}.{bits:03}k"),
        }
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl Setting for $number {
            const ALLOWED: &'static str = "a whole number";

            fn read(written: &Value) -> Option<Self> {
                written.as_integer()?.try_into().ok()
            }
        }

        impl Quantity for $number {
            fn written(self) -> String {
                self.to_string()
            }
        }
    )*};
}

whole_numbers!(u32, u64, usize);

/// A number without a unit: a share, or a price in whatever currency.
impl Setting for f64 {
    const ALLOWED: &'static str = "a number, such as 0.85";

    fn read(written: &Value) -> Option<Self> {
        let whole = |number: i64| i32::try_from(number).ok().map(Self::from);
        written.as_float().or_else(|| written.as_integer().and_then(whole))
    }
}

impl Quantity for f64 {
    fn written(self) -> String {
        self.to_string()
    }
}

/// `15s` as 15 times the unit `s`.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

/// The amount in the largest unit that needs no fraction; zero in the smallest.
fn with_unit(amount: u64, units: &[(&str, u64)]) -> String {
    let fits = |&&(_, scale): &&(&str, u64)| amount >= scale && amount.is_multiple_of(scale);
    match units.iter().find(fits).or(units.last()) {
        Some((unit, scale)) => format!("{}{unit}", amount / scale),
        None => amount.to_string(),
    }
}

/// `2500k` or `2.5M`, exactly: a fraction of a bit is refused.
fn bitrate(text: &str) -> Option<Bitrate> {
    let (number, scale) = match text.strip_suffix('k') {
        Some(number) => (number, 1000_u64),
        None => (text.strip_suffix('M')?, 1_000_000),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let parts = 10_u64.checked_pow(fraction.len().try_into().ok()?)?;
    let amount = fraction.parse::<u64>().ok()?.checked_mul(scale)?;
    let bits = whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(amount / parts)?;
    amount.is_multiple_of(parts).then_some(Bitrate(bits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check<T: Setting + PartialEq + std::fmt::Debug>(text: &str, expected: Option<T>) {
        assert_eq!(T::read(&Value::String(text.to_owned())), expected, "{text:?}");
    }

    #[test]
    fn durations_have_a_whole_number_and_a_unit() {
        check("250ms", Some(Duration::from_millis(250)));
        check("15s", Some(Duration::from_secs(15)));
        check("2m", Some(Duration::from_secs(120)));
        check("1h", Some(Duration::from_secs(3600)));
        check("0s", Some(Duration::ZERO));
        for wrong in
            ["", "15", "s", "1.5s", "-1s", "1 s", "1S", "1d", "5124095576030432h", "99999999999999999999s"]
        {
            check::<Duration>(wrong, None);
        }
        assert_eq!(Duration::read(&Value::Integer(15)), None);
    }

    #[test]
    fn sizes_are_decimal_or_binary() {
        check("64KB", Some(ByteSize(64_000)));
        check("64KiB", Some(ByteSize(65_536)));
        check("16MiB", Some(ByteSize::mebibytes(16)));
        check("1GiB", Some(ByteSize::mebibytes(1024)));
        check("12B", Some(ByteSize(12)));
        for wrong in ["64", "64k", "64kib", "1.5MiB", "MiB", "18014398509481984KiB"] {
            check::<ByteSize>(wrong, None);
        }
    }

    #[test]
    fn bitrates_may_have_a_fraction() {
        check("2500k", Some(Bitrate::kilobits(2500)));
        check("2.5M", Some(Bitrate::kilobits(2500)));
        check("0.001k", Some(Bitrate(1)));
        for wrong in
            ["2500", "k", ".5M", "2.M", "2.5.5M", "+2M", "2.0005k", "2.5G", "1.00000000000000000000k"]
        {
            check::<Bitrate>(wrong, None);
        }
    }

    #[test]
    fn the_largest_unit_without_a_fraction_is_written() {
        assert_eq!(Duration::from_millis(1500).written(), "1500ms");
        assert_eq!(Duration::from_secs(90).written(), "90s");
        assert_eq!(Duration::from_secs(120).written(), "2m");
        assert_eq!(Duration::ZERO.written(), "0ms");
        assert_eq!(ByteSize::mebibytes(64).written(), "64MiB");
        assert_eq!(ByteSize(64_000).written(), "64KB");
        assert_eq!(Bitrate(2_500_000).written(), "2500k");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(amount in 0..1_u64 << 50) {
            check(&Duration::from_millis(amount).written(), Some(Duration::from_millis(amount)));
            check(&ByteSize(amount).written(), Some(ByteSize(amount)));
            check(&Bitrate(amount).written(), Some(Bitrate(amount)));
        }

        #[test]
        fn no_text_makes_reading_panic(text in "[0-9.]{0,30}[a-zA-Zä]{0,3}") {
            let value = Value::String(text);
            let _ = (Duration::read(&value), ByteSize::read(&value), Bitrate::read(&value));
        }
    }
}
