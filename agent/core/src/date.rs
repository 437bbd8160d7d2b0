//! Times as people read them, in UTC.

/// The day of a time, in seconds, since 1970, `YYYY-MM-DD` in UTC (Howard Hinnant, "chrono-compatible low-level
/// date algorithms", `civil_from_days`; years from 1970 on).
#[must_use]
pub fn day(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A time in milliseconds since 1970 to the second, `YYYY-MM-DDTHH:MM:SSZ`.
#[must_use]
pub fn time(ms: u64) -> String {
    let seconds = ms / 1000;
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    let day = day(seconds);
    format!("{day}T{hour:02}:{minute:02}:{:02}Z", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_dates() {
        for (ms, want) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_999, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_795_283_910_349, "2026-11-21T17:58:30Z"),
        ] {
            assert_eq!(time(ms), want, "{ms}");
        }
    }
}
