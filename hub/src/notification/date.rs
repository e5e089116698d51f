//! Dates as .NET reads and writes them (`signalr.md` 8): 100 ns, and three kinds of them.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

/// A date and time, with what the text said about its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// The clock in UTC; for [`Zone::Unspecified`] as it was written.
    clock: DateTime,
    zone: Zone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zone {
    /// `Z`: written with `Z`.
    Utc,
    /// An offset: turned to the server's zone, which is UTC, and written with `+00:00`.
    Local,
    /// Nothing: written with nothing, taken for UTC.
    Unspecified,
}

impl Date {
    /// .NET's default, 0001-01-01T00:00:00.
    pub const DEFAULT: Date = Date { clock: DateTime::constant(1, 1, 1, 0, 0, 0, 0), zone: Zone::Unspecified };

    /// This moment, to 100 ns.
    pub fn now() -> Date {
        let clock = Offset::UTC.to_datetime(Timestamp::now());
        let nanosecond = clock.subsec_nanosecond() / 100 * 100;
        Date { clock: clock.with().subsec_nanosecond(nanosecond).build().unwrap_or(clock), zone: Zone::Utc }
    }

    /// Reads ISO 8601 as .NET's JSON reader does: a date, or a date and time with up to 16 digits of a fraction (seven
    /// of them kept) and with `Z`, an offset or nothing.
    pub fn parse(text: &str) -> Option<Date> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| -> Option<i16> {
            let digits = bytes.get(from..to)?;
            digits
                .iter()
                .try_fold(0i16, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i16::from(digit - b'0')))
        };
        let small = |from: usize, to: usize| number(from, to).and_then(|value| i8::try_from(value).ok());
        let is = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
        if !(is(4, b'-') && is(7, b'-')) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, small(5, 7)?, small(8, 10)?);
        if year == 0 {
            return None;
        }
        if bytes.len() == 10 {
            return Some(Date { clock: DateTime::new(year, month, day, 0, 0, 0, 0).ok()?, zone: Zone::Unspecified });
        }
        if !(is(10, b'T') && is(13, b':')) {
            return None;
        }
        let (hour, minute) = (small(11, 13)?, small(14, 16)?);
        let mut at = 16;
        let (mut second, mut nanosecond) = (0, 0);
        if is(at, b':') {
            second = small(17, 19)?;
            at = 19;
            if is(at, b'.') {
                let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                if !(1..=16).contains(&digits) {
                    return None;
                }
                let kept = bytes[at + 1..at + 1 + digits].iter().chain([b'0'; 7].iter()).take(7);
                nanosecond = kept.fold(0i32, |sum, digit| sum * 10 + i32::from(digit - b'0')) * 100;
                at += 1 + digits;
            }
        }
        let clock = DateTime::new(year, month, day, hour, minute, second, nanosecond).ok()?;
        match &bytes[at..] {
            [] => Some(Date { clock, zone: Zone::Unspecified }),
            b"Z" => Some(Date { clock, zone: Zone::Utc }),
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let (hours, minutes) = (small(at + 1, at + 3)?, small(at + 4, at + 6)?);
                let minutes = i64::from(hours) * 60 + i64::from(minutes);
                if minutes > 14 * 60 {
                    return None;
                }
                let offset = SignedDuration::from_mins(if *sign == b'+' { -minutes } else { minutes });
                let clock = clock.checked_add(offset).ok().filter(|clock| clock.year() >= 1)?;
                Some(Date { clock, zone: Zone::Local })
            }
            _ => None,
        }
    }

    /// Seconds since 1970 in UTC, and the nanoseconds above them.
    pub fn unix(self) -> (i64, u32) {
        let days = self.clock.date().duration_since(jiff::civil::date(1970, 1, 1)).as_hours() / 24;
        let time = self.clock.time();
        let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
        (days * 86_400 + seconds, time.subsec_nanosecond().unsigned_abs())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.clock.date(), self.clock.time());
        write!(formatter, "{:04}-{:02}-{:02}", date.year(), date.month(), date.day())?;
        write!(formatter, "T{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())?;
        let fraction = format!("{:07}", time.subsec_nanosecond() / 100);
        match fraction.trim_end_matches('0') {
            "" => {}
            digits => write!(formatter, ".{digits}")?,
        }
        formatter.write_str(match self.zone {
            Zone::Utc => "Z",
            Zone::Local => "+00:00",
            Zone::Unspecified => "",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<String> {
        Date::parse(text).map(|date| date.to_string())
    }

    #[test]
    fn keeps_what_the_text_said() {
        for text in ["2026-08-20T14:16:19.1234567Z", "0001-01-01T00:00:00", "2024-01-02T03:04:05.12Z"] {
            assert_eq!(written(text).as_deref(), Some(text));
        }
        assert_eq!(written("2024-01-02").as_deref(), Some("2024-01-02T00:00:00"));
        assert_eq!(written("2024-01-02T03:04").as_deref(), Some("2024-01-02T03:04:00"));
        assert_eq!(written("2024-01-02T03:04:05.1200000Z").as_deref(), Some("2024-01-02T03:04:05.12Z"));
        assert_eq!(written("2024-01-02T03:04:05.12345678Z").as_deref(), Some("2024-01-02T03:04:05.1234567Z"));
        assert_eq!(written("2024-01-02T01:04:05+02:00").as_deref(), Some("2024-01-01T23:04:05+00:00"));
    }

    #[test]
    fn refuses_what_is_no_date() {
        for text in [
            "",
            "2024",
            "2024-13-01",
            "2024-01-02T",
            "2024-01-02T25:00:00",
            "2024-01-02 03:04:05",
            "0000-01-01",
            "2024-01-02T03:04:05.Z",
            "2024-01-02T03:04:05+15:00",
            "0001-01-01T00:00:00+01:00",
            "2024-01-02T03:04:05Zx",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
    }

    #[test]
    fn counts_from_1970() {
        let unix = |text| Date::parse(text).expect("a date").unix();
        assert_eq!(unix("1970-01-01T00:00:00Z"), (0, 0));
        assert_eq!(unix("1969-12-31T23:59:59.5Z"), (-1, 500_000_000));
        assert_eq!(unix("2024-01-02T03:04:05.1234567Z"), (1_704_164_645, 123_456_700));
        assert_eq!(unix("0001-01-01T00:00:00"), (-62_135_596_800, 0));
    }
}
