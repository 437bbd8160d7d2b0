//! Measurements. Each says how it was made, what must be reached and what a peer needs.

mod cost;
mod disk;
pub mod fleet;
pub mod machine;
pub mod pull;
pub mod size;

use serde::Serialize;

/// One figure, measured or not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    pub name: String,
    /// None when it was not measured.
    pub value: Option<f64>,
    pub unit: String,
    /// The bound that the project holds itself to; none for figures that are only reported.
    pub must: Option<f64>,
    pub goal: Option<f64>,
    /// What a peer needed for the same in the same run.
    pub peer: Option<f64>,
    /// `value / peer`. Where there is a peer, `must` and `goal` bound this and not the value.
    pub ratio: Option<f64>,
}

impl Figure {
    /// A figure that is only reported.
    #[must_use]
    pub fn reported(name: &str, value: impl Into<Option<f64>>, unit: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: value.into(),
            unit: unit.to_owned(),
            must: None,
            goal: None,
            peer: None,
            ratio: None,
        }
    }

    /// A figure with a bound and a goal, both the most that is allowed.
    #[must_use]
    pub fn bounded(
        name: &str,
        value: impl Into<Option<f64>>,
        unit: &str,
        must: f64,
        goal: f64,
    ) -> Self {
        Self {
            must: Some(must),
            goal: Some(goal),
            ..Self::reported(name, value, unit)
        }
    }

    /// What the bounds say of it: `goal`, `must`, `missed`, or nothing when nothing can be said.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        let judged = if self.peer.is_some() {
            self.ratio
        } else {
            self.value
        };
        match (judged, self.must, self.goal) {
            (Some(value), _, Some(goal)) if value <= goal => "goal",
            (Some(value), Some(must), _) if value <= must => "must",
            (Some(_), Some(_), _) => "missed",
            (Some(_), None, _) => "",
            (None, ..) => "not measured",
        }
    }
}

/// A Markdown table of all figures.
#[must_use]
pub fn table(figures: &[Figure]) -> String {
    let cell = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |it| format!("{it:.2}"));
    let mut text = String::from(
        "| figure | value | unit | peer | ratio | must | goal | reached |\n\
         |---|---:|---|---:|---:|---:|---:|---|\n",
    );
    for it in figures {
        text += &format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
            it.name,
            cell(it.value),
            it.unit,
            cell(it.peer),
            cell(it.ratio),
            cell(it.must),
            cell(it.goal),
            it.verdict()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_judge_the_ratio_where_there_is_a_peer() {
        let slow = Figure {
            peer: Some(20.0),
            ratio: Some(0.45),
            ..Figure::bounded("pull", 9.0, "s", 0.4, 0.25)
        };
        assert_eq!(slow.verdict(), "missed");
        assert_eq!(
            Figure::bounded("size", 9.0, "MiB", 10.0, 6.0).verdict(),
            "must"
        );
        assert_eq!(
            Figure::bounded("size", 6.0, "MiB", 10.0, 6.0).verdict(),
            "goal"
        );
    }

    #[test]
    fn what_was_not_measured_is_null_and_a_dash() {
        let none = Figure::bounded("memory", None, "MiB", 96.0, 64.0);
        assert!(table(std::slice::from_ref(&none)).contains("| memory | – | MiB |"));
        assert_eq!(none.verdict(), "not measured");
        let json = serde_json::to_value(&none).unwrap();
        assert!(json["value"].is_null() && json["must"] == 96.0);
    }
}
