//! The date of a position, as `EXT-X-PROGRAM-DATE-TIME` writes it.

use std::fmt;

use crate::media::time::Ticks;

const MILLIS_A_DAY: i64 = 86_400_000;

/// A position on the timeline, shown as ISO 8601 in UTC with milliseconds (RFC 8216bis §4.4.4.6).
#[derive(Clone, Copy, Debug)]
pub(super) struct DateTime(pub(super) Ticks);

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let (year, month, day) = civil(millis.div_euclid(MILLIS_A_DAY));
        let of_day = millis.rem_euclid(MILLIS_A_DAY);
        let (seconds, millis) = (of_day / 1000, of_day % 1000);
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar. A year is taken to begin
/// on the 1st of March, so that the leap day is its last one; 400 such years are 146,097 days.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(millis: i64, expected: &str) {
        assert_eq!(DateTime(Ticks::from_millis(millis)).to_string(), expected);
    }

    #[test]
    fn positions_are_dates() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_709_251_199_999, "2024-02-29T23:59:59.999Z");
        check(1_767_225_600_001, "2026-01-01T00:00:00.001Z");
        check(-1, "1969-12-31T23:59:59.999Z");
    }

    proptest! {
        #[test]
        fn days_follow_each_other(day in -1_000_000i64..1_000_000) {
            let ((y, m, d), (next_y, next_m, next_d)) = (civil(day), civil(day + 1));
            let same_month = (next_y, next_m, next_d) == (y, m, d + 1);
            let next_month = next_d == 1 && d >= 28 && (next_y * 12 + next_m) == (y * 12 + m + 1);
            prop_assert!(same_month || next_month);
        }

        #[test]
        fn any_position_has_a_date(ticks: i64) {
            prop_assert!(DateTime(Ticks(ticks)).to_string().ends_with('Z'));
        }
    }
}
