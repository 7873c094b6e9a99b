//! Reads the dates of `EXT-X-PROGRAM-DATE-TIME` (RFC 8216 §4.3.2.6: ISO/IEC 8601:2004 with milliseconds).

/// `2026-11-22T18:24:51.123Z`, with a zone, as microseconds since 1970.
pub fn parse(text: &str) -> Option<i64> {
    let (date, rest) = text.trim().split_once('T')?;
    let (clock, zone_seconds) = split_zone(rest)?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let mut clock = clock.splitn(3, ':');
    let (hours, minutes): (i64, i64) = (clock.next()?.parse().ok()?, clock.next()?.parse().ok()?);
    let micros = decimal_micros(clock.next()?)?;
    let seconds = days_since_1970(year, month, day) * 86_400 + hours * 3_600 + minutes * 60 - zone_seconds;
    Some(seconds * 1_000_000 + micros)
}

/// `2.002`, seconds, as microseconds; digits beyond the sixth are cut.
pub fn decimal_micros(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
    Some(whole.parse::<i64>().ok()? * 1_000_000 + digits.parse::<i64>().ok()?)
}

/// The clock part and the zone's seconds east of Greenwich. A date without a zone is none.
fn split_zone(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix('Z') {
        return Some((clock, 0));
    }
    let at = text.rfind(['+', '-'])?;
    let (hours, minutes) = text[at + 1..].split_at_checked(2)?;
    let minutes = minutes.trim_start_matches(':').parse::<i64>().unwrap_or(0);
    let seconds = hours.parse::<i64>().ok()? * 3_600 + minutes * 60;
    Some((&text[..at], if text[at..].starts_with('-') { -seconds } else { seconds }))
}

/// Days from 1970-01-01 in the Gregorian calendar; a year is counted from March, so that a leap day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}
