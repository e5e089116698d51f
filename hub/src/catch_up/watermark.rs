//! Up to which pushes a reactor has written to its connections, now and a little while ago. No I/O.

use std::collections::VecDeque;
use std::time::Duration;

use super::Timestamp;

/// How far back the watermark is remembered. For a connection that was last heard before that, nothing is proven.
const HISTORY: Duration = Duration::from_secs(120);

/// The time between two samples.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// The watermark of a stream of pushes: every push up to it was written or queued, or has no recipient in this process.
///
/// Two clocks are involved: the local one of the process, and the stream's, which stamps pushes. Without a backplane both are
/// the local one; with Redis the stream has Redis' clock.
#[derive(Debug, Default)]
pub struct Watermark {
    /// Earlier values, each with the local time at which it was reached. Values that lasted less than a [`SAMPLE_INTERVAL`] are
    /// at least that far apart.
    samples: VecDeque<(Timestamp, Timestamp)>,
    /// The value, with the local time at which it was reached.
    current: (Timestamp, Timestamp),
}

impl Watermark {
    /// Notes that by `local` every push up to `stream` was written. A value below the last one means that the stream began
    /// anew and that nothing is known of it yet.
    pub fn advance(&mut self, local: Timestamp, stream: Timestamp) {
        let (reached, now) = self.current;
        if stream == now {
            return;
        }
        if stream < now {
            self.samples.clear();
        } else if now != Timestamp::default()
            && (reached.after(SAMPLE_INTERVAL) <= local
                || self.samples.back().is_none_or(|(last, _)| last.after(SAMPLE_INTERVAL) <= reached))
        {
            let oldest = local.before(HISTORY);
            while self.samples.front().is_some_and(|(at, _)| *at < oldest) {
                self.samples.pop_front();
            }
            self.samples.push_back(self.current);
        }
        self.current = (local, stream);
    }

    /// Returns the current watermark.
    pub fn now(&self) -> Timestamp {
        self.current.1
    }

    /// Returns a value that the watermark had reached by `local`, or the earliest moment if none is known.
    pub fn at(&self, local: Timestamp) -> Timestamp {
        let mut latest_first = std::iter::once(&self.current).chain(self.samples.iter().rev());
        latest_first.find(|(reached, _)| *reached <= local).map_or(Timestamp::default(), |(_, stream)| *stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn second(number: u64) -> Timestamp {
        Timestamp(number * 1_000_000)
    }

    #[test]
    fn watermark_at_an_earlier_time_is_never_ahead() {
        let mut watermark = Watermark::default();
        assert_eq!((watermark.now(), watermark.at(second(9))), (Timestamp(0), Timestamp(0)));
        for step in 1..=40 {
            watermark.advance(Timestamp(step * 250_000), Timestamp(7_000_000_000 + step));
        }
        assert_eq!(watermark.now(), Timestamp(7_000_000_040));
        assert_eq!(watermark.at(Timestamp(249_999)), Timestamp(0));
        for step in 1..=40 {
            let stream = watermark.at(Timestamp(step * 250_000)).0;
            assert!((7_000_000_000 + step - 3..=7_000_000_000 + step).contains(&stream), "{step}: {stream}");
        }
        assert!(watermark.samples.len() <= 10);
    }

    #[test]
    fn watermark_drops_old_marks_and_resets_for_new_stream() {
        let mut watermark = Watermark::default();
        for now in 0..1000 {
            watermark.advance(second(now), second(now + 5000));
        }
        assert_eq!(watermark.at(second(500)), Timestamp(0));
        assert_eq!(watermark.at(second(900)), second(5900));
        assert!(watermark.samples.len() <= 122);
        watermark.advance(second(1000), Timestamp(0));
        assert_eq!((watermark.now(), watermark.at(second(1000))), (Timestamp(0), Timestamp(0)));
        watermark.advance(second(1001), second(3));
        assert_eq!((watermark.at(second(1000)), watermark.at(second(1001))), (Timestamp(0), second(3)));
    }

    /// The last push of a burst has no later one behind it.
    #[test]
    fn watermark_at_a_time_after_a_burst_is_its_last_push() {
        let mut watermark = Watermark::default();
        for milliseconds in [5000, 5200, 5300] {
            watermark.advance(Timestamp(milliseconds * 1000), Timestamp(milliseconds));
        }
        assert_eq!(watermark.at(second(7)), Timestamp(5300));
        watermark.advance(second(20), Timestamp(20_000));
        assert_eq!(watermark.at(second(19)), Timestamp(5300), "it lasted until then");
        assert_eq!(watermark.at(Timestamp(5_250_000)), Timestamp(5000));
    }
}
