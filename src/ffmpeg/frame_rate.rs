//! Frame rates, exactly: 29.97 pictures a second are 30000 in 1001 seconds, and a grid of them that is off by a
//! millionth is off by a picture after nine hours.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The denominator of the NTSC rates (SMPTE ST 12-1 §5.1: "N x 1000/1001").
const NTSC: u32 = 1001;
/// How far a decimal number may be from the NTSC rate that it names: 23.98 and 23.976 are both 24000/1001.
const NTSC_TOLERANCE: f64 = 0.005;
/// What a picture's rate may be, in whole pictures a second.
const MOST: u32 = 240;

/// Pictures a second, as a fraction in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u32, u32)", into = "(u32, u32)")]
pub struct FrameRate {
    numerator: u32,
    denominator: u32,
}

impl FrameRate {
    /// The rate `numerator / denominator`; `None` if one of them is zero.
    #[must_use]
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        let divisor = greatest_common_divisor(numerator, denominator);
        let reduced = Self {
            numerator: numerator.checked_div(divisor)?,
            denominator: denominator.checked_div(divisor)?,
        };
        (numerator > 0 && denominator > 0).then_some(reduced)
    }

    /// What a source says of itself, to a thousandth; `None` for what is no rate.
    #[must_use]
    pub fn measured(rate: f64) -> Option<Self> {
        let thousandths = (rate * 1000.0).round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared before")]
        (1.0..=1e9).contains(&thousandths).then(|| Self::new(thousandths as u32, 1000)).flatten()
    }

    /// Pictures a second.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// Whether an output may be made at it: from 1 to 240 pictures a second, of which a whole number fills 1001 seconds. So
    /// its grid is the same for every attempt, whose times count from a multiple of 1001 s.
    fn is_for_output(self) -> bool {
        let within = self.numerator >= self.denominator
            && u64::from(self.numerator) <= u64::from(MOST) * u64::from(self.denominator);
        within && NTSC.is_multiple_of(self.denominator)
    }

    /// Twice as many pictures.
    #[must_use]
    pub fn doubled(self) -> Self {
        Self::new(self.numerator.saturating_mul(2), self.denominator).unwrap_or(self)
    }
}

/// As FFmpeg and the configuration write it: `25` or `30000/1001`.
impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator {
            1 => write!(f, "{}", self.numerator),
            denominator => write!(f, "{}/{denominator}", self.numerator),
        }
    }
}

/// No rate for an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no frame rate from 1 to {MOST} that is a whole number or an NTSC rate")]
pub struct NoFrameRate;

/// `25`, `30000/1001`, or the decimal number of an NTSC rate: `29.97`.
impl FromStr for FrameRate {
    type Err = NoFrameRate;

    fn from_str(text: &str) -> Result<Self, NoFrameRate> {
        let whole = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u32>().ok().filter(|_| digits).ok_or(NoFrameRate)
        };
        let rate = match text.split_once('/') {
            Some((numerator, denominator)) => Self::new(whole(numerator)?, whole(denominator)?),
            None => Self::near(text.parse().map_err(|_| NoFrameRate)?),
        };
        rate.filter(|rate| rate.is_for_output()).ok_or(NoFrameRate)
    }
}

impl FrameRate {
    /// The whole or NTSC rate that `rate` names.
    fn near(rate: f64) -> Option<Self> {
        if !(1.0..=f64::from(MOST)).contains(&rate) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 240")]
        let up = rate.ceil() as u32;
        let ntsc = Self::new(up * 1000, NTSC)?;
        match f64::from(up) - rate {
            0.0 => Self::new(up, 1),
            _ => Some(ntsc).filter(|ntsc| (ntsc.as_f64() - rate).abs() < NTSC_TOLERANCE),
        }
    }
}

impl TryFrom<(u32, u32)> for FrameRate {
    type Error = NoFrameRate;

    fn try_from((numerator, denominator): (u32, u32)) -> Result<Self, NoFrameRate> {
        Self::new(numerator, denominator).ok_or(NoFrameRate)
    }
}

impl From<FrameRate> for (u32, u32) {
    fn from(rate: FrameRate) -> Self {
        (rate.numerator, rate.denominator)
    }
}

/// By Euclid; zero only of two zeros.
pub(super) fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(
            text.parse::<FrameRate>().ok().map(|rate| rate.to_string()).as_deref(),
            expected,
            "{text}"
        );
    }

    #[test]
    fn a_rate_is_read_exactly() {
        check("25", Some("25"));
        check("25.0", Some("25"));
        check("1", Some("1"));
        check("240", Some("240"));
        check("29.97", Some("30000/1001"));
        check("23.976", Some("24000/1001"));
        check("23.98", Some("24000/1001"));
        check("59.94", Some("60000/1001"));
        check("14.985", Some("15000/1001"));
        check("30000/1001", Some("30000/1001"));
        check("60/2", Some("30"));
        check("24000/1001", Some("24000/1001"));
    }

    #[test]
    fn what_has_no_grid_in_1001_seconds_is_refused() {
        for wrong in [
            "",
            "0",
            "0.9",
            "241",
            "-5",
            "12.5",
            "25/2",
            "29.9",
            "NaN",
            "inf",
            "30000/0",
            "0/1",
            "1/2",
            "+1/1",
            "1e9",
            "4294967296/1",
            "30/1/1",
            "x",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_source_may_have_any_rate() {
        let measured = |rate: f64| FrameRate::measured(rate).map(|rate| rate.to_string());
        assert_eq!(measured(29.97).as_deref(), Some("2997/100"));
        assert_eq!(measured(0.5).as_deref(), Some("1/2"));
        for no_rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e7] {
            assert_eq!(measured(no_rate), None);
        }
        assert_eq!(FrameRate::new(25, 1).unwrap().doubled(), FrameRate::new(100, 2).unwrap());
    }

    #[test]
    fn a_rate_travels_as_two_numbers() {
        let rate = FrameRate::new(30_000, 1001).unwrap();
        assert_eq!(serde_json::to_string(&rate).unwrap(), "[30000,1001]");
        assert_eq!(serde_json::from_str::<FrameRate>("[60,2]").unwrap(), FrameRate::new(30, 1).unwrap());
        assert!(serde_json::from_str::<FrameRate>("[1,0]").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(numerator in 1u32..300_000, ntsc: bool) {
            let rate = FrameRate::new(numerator, if ntsc { NTSC } else { 1 }).unwrap();
            if rate.is_for_output() {
                prop_assert_eq!(rate.to_string().parse(), Ok(rate));
            }
        }

        #[test]
        fn no_text_makes_reading_panic(text in ".{0,20}", number in "[0-9./e+-]{0,20}") {
            let _ = (text.parse::<FrameRate>(), number.parse::<FrameRate>());
        }
    }
}
