//! Up to which moment of Redis' clock a reactor has heard what was published for its clients, now and a little while ago. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use super::Moment;

/// How far back is remembered: longer than a client may say nothing.
const BACK: Duration = Duration::from_secs(120);

/// How far one mark is from the next.
const STEP: Duration = Duration::from_secs(1);

/// Marks: at a moment of this process, everything was heard up to a moment of Redis'.
#[derive(Debug, Default)]
pub struct Horizon {
    marks: VecDeque<(Moment, Moment)>,
    /// The newest, which is not kept for long unless there is a step between.
    now: Moment,
}

impl Horizon {
    /// At `local` everything up to `heard` has been handed to its clients. An earlier one than the last means that the stream
    /// began anew.
    pub fn advance(&mut self, local: Moment, heard: Moment) {
        if heard == self.now {
            return;
        }
        if heard < self.now {
            self.marks.clear();
        }
        self.now = heard;
        if self.marks.back().is_none_or(|(last, _)| last.after(STEP) <= local) {
            let horizon = local.before(BACK);
            while self.marks.front().is_some_and(|(mark, _)| *mark < horizon) {
                self.marks.pop_front();
            }
            self.marks.push_back((local, heard));
        }
    }

    /// Up to when everything has been heard by now.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Up to when, at least, everything had been heard at a moment of this process.
    pub fn at(&self, local: Moment) -> Moment {
        let before = self.marks.iter().rev().find(|(mark, _)| *mark <= local);
        before.map_or(Moment::default(), |(_, heard)| *heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn second(number: u64) -> Moment {
        Moment(number * 1_000_000)
    }

    #[test]
    fn a_moment_is_never_taken_for_later_than_it_was() {
        let mut horizon = Horizon::default();
        assert_eq!((horizon.now(), horizon.at(second(9))), (Moment(0), Moment(0)));
        for step in 1..=40 {
            horizon.advance(Moment(step * 250_000), Moment(7_000_000_000 + step));
        }
        assert_eq!(horizon.now(), Moment(7_000_000_040));
        assert_eq!(horizon.at(Moment(249_999)), Moment(0));
        for step in 1..=40 {
            let heard = horizon.at(Moment(step * 250_000)).0;
            assert!((7_000_000_000 + step - 3..=7_000_000_000 + step).contains(&heard), "{step}: {heard}");
        }
        assert!(horizon.marks.len() <= 10);
    }

    #[test]
    fn what_is_long_ago_is_forgotten_and_so_is_a_stream_that_has_ended() {
        let mut horizon = Horizon::default();
        for now in 0..1000 {
            horizon.advance(second(now), second(now + 5000));
        }
        assert_eq!(horizon.at(second(500)), Moment(0));
        assert_eq!(horizon.at(second(900)), second(5900));
        assert!(horizon.marks.len() <= 122);
        horizon.advance(second(1000), Moment(0));
        assert_eq!((horizon.now(), horizon.at(second(1000))), (Moment(0), Moment(0)));
        horizon.advance(second(1001), second(3));
        assert_eq!((horizon.at(second(1000)), horizon.at(second(1001))), (Moment(0), second(3)));
    }
}
