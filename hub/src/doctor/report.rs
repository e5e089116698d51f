//! The findings of the command `doctor`, as lines of text and as JSON. No I/O.

use std::fmt;

use serde_json::{Value, json};

/// The result of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckStatus {
    /// Nothing is wrong.
    Ok,
    /// The hub works, but not as well as it could.
    Warn,
    /// Clients or senders are not served.
    Fail,
}

impl CheckStatus {
    /// Returns the first word of the line.
    pub fn name(self) -> &'static str {
        match self {
            CheckStatus::Ok => "OK",
            CheckStatus::Warn => "WARN",
            CheckStatus::Fail => "FAIL",
        }
    }
}

/// What a finding means, what to do, and the page that says more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The consequence for clients or senders.
    pub meaning: &'static str,
    /// The remedy.
    pub remedy: &'static str,
    /// The page of the documentation, with the anchor of its section.
    pub page: &'static str,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check.
    pub check: &'static str,
    /// The result.
    pub status: CheckStatus,
    /// What was seen.
    pub seen: String,
    /// What to do about it. `None` if nothing is wrong.
    pub advice: Option<Advice>,
}

impl Finding {
    /// Creates a finding without a problem.
    pub fn ok(check: &'static str, seen: impl Into<String>) -> Finding {
        Finding { check, status: CheckStatus::Ok, seen: one_line(seen), advice: None }
    }

    /// Creates a finding of a problem that clients survive.
    pub fn warn(check: &'static str, seen: impl Into<String>, advice: Advice) -> Finding {
        Finding { check, status: CheckStatus::Warn, seen: one_line(seen), advice: Some(advice) }
    }

    /// Creates a finding of a problem that keeps clients or senders from being served.
    pub fn fail(check: &'static str, seen: impl Into<String>, advice: Advice) -> Finding {
        Finding { check, status: CheckStatus::Fail, seen: one_line(seen), advice: Some(advice) }
    }

    fn to_json(&self) -> Value {
        let mut json = json!({ "check": self.check, "status": self.status.name(), "seen": self.seen });
        if let Some(Advice { meaning, remedy, page }) = &self.advice {
            (json["meaning"], json["remedy"], json["page"]) = (json!(meaning), json!(remedy), json!(page));
        }
        json
    }
}

/// Replaces control characters, which a server may have sent.
fn one_line(text: impl Into<String>) -> String {
    text.into().trim().replace(|character: char| character.is_control(), " ")
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:<4}  {}: {}", self.status.name(), self.check, self.seen)?;
        match &self.advice {
            Some(Advice { meaning, remedy, page }) => write!(formatter, "; {meaning}; {remedy} ({page})"),
            None => Ok(()),
        }
    }
}

/// The findings so far. Passes each to a listener when it is added.
pub struct Report<'a> {
    findings: Vec<Finding>,
    on_finding: &'a mut (dyn FnMut(&Finding) + Send),
}

impl<'a> Report<'a> {
    /// Creates an empty report.
    pub fn new(on_finding: &'a mut (dyn FnMut(&Finding) + Send)) -> Report<'a> {
        Report { findings: Vec::new(), on_finding }
    }

    /// Adds a finding. Returns `false` if it is a failure, so that checks that depend on it are left out.
    pub fn add(&mut self, finding: Finding) -> bool {
        (self.on_finding)(&finding);
        let status = finding.status;
        self.findings.push(finding);
        status != CheckStatus::Fail
    }

    /// Returns `true` unless a check failed.
    pub fn is_ok(&self) -> bool {
        self.findings.iter().all(|finding| finding.status != CheckStatus::Fail)
    }

    /// Returns the report as JSON.
    pub fn to_json(&self) -> Value {
        let findings: Vec<Value> = self.findings.iter().map(Finding::to_json).collect();
        json!({ "ok": self.is_ok(), "checks": findings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADVICE: Advice =
        Advice { meaning: "nobody is served", remedy: "start it", page: "docs/troubleshooting.md#clients" };

    #[test]
    fn finding_is_one_line_with_meaning_remedy_and_page() {
        assert_eq!(Finding::ok("ports", "all free").to_string(), "OK    ports: all free");
        let line = Finding::fail("alive", "404\r\nServer: \u{1b}[31mx", ADVICE).to_string();
        let expected = "FAIL  alive: 404  Server:  [31mx; nobody is served; start it (docs/troubleshooting.md#clients)";
        assert_eq!(line, expected);
    }

    #[test]
    fn report_is_ok_until_a_check_fails() {
        let mut lines = Vec::new();
        let mut listener = |finding: &Finding| lines.push(finding.status);
        let mut report = Report::new(&mut listener);
        assert!(report.add(Finding::ok("a", "b")) && report.add(Finding::warn("c", "d", ADVICE)) && report.is_ok());
        assert!(!report.add(Finding::fail("e", "f", ADVICE)) && !report.is_ok());
        let json = report.to_json();
        assert_eq!(
            (&json["ok"], &json["checks"][0]),
            (&json!(false), &json!({ "check": "a", "status": "OK", "seen": "b" }))
        );
        assert_eq!(json["checks"][2]["page"], "docs/troubleshooting.md#clients");
        assert_eq!(lines, [CheckStatus::Ok, CheckStatus::Warn, CheckStatus::Fail]);
    }
}
