//! Counters that differ in one label, whose values are known: every series is there from the start, so that rates can be
//! computed at once.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// The counters of one metric.
pub struct LabeledCounters(Vec<(&'static str, IntCounter)>);

impl LabeledCounters {
    /// Registers a metric.
    ///
    /// # Errors
    /// If its name is taken, or no name.
    pub(super) fn register(
        registry: &Registry,
        name: &str,
        help: &str,
        label: &str,
        values: &[&'static str],
    ) -> prometheus::Result<LabeledCounters> {
        let family = IntCounterVec::new(Opts::new(name, help), &[label])?;
        registry.register(Box::new(family.clone()))?;
        let counter = |value: &&'static str| Ok((*value, family.get_metric_with_label_values(&[value])?));
        values.iter().map(counter).collect::<prometheus::Result<_>>().map(LabeledCounters)
    }

    /// Counts one more of a value, which has to be one of those known.
    pub fn inc(&self, value: &str) {
        let counter = self.0.iter().find(|(known, _)| *known == value);
        debug_assert!(counter.is_some(), "no series for {value}");
        counter.into_iter().for_each(|(_, counter)| counter.inc());
    }
}
