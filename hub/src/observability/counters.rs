//! Counters with one label whose values are known. All series exist from the start, so that rates can be computed from the
//! first event on.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// The counters of one metric.
pub struct LabeledCounters(Vec<(&'static str, IntCounter)>);

impl LabeledCounters {
    /// Registers a metric with a series for each value of its label.
    ///
    /// # Errors
    /// Returns an error if the name is invalid or already registered.
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

    /// Increments the counter of a label value, which must be one of those registered.
    pub fn inc(&self, value: &str) {
        let counter = self.0.iter().find(|(known, _)| *known == value);
        debug_assert!(counter.is_some(), "no series for {value}");
        counter.into_iter().for_each(|(_, counter)| counter.inc());
    }
}
