//! Measurements. Each says how it was made, what must be reached and what a peer needs.

mod disk;
pub mod pull;

use serde::Serialize;

/// One measured figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: String,
    /// The bound that the project holds itself to; none for figures that are only reported.
    pub must: Option<f64>,
    pub goal: Option<f64>,
    /// What a peer needed for the same in the same run.
    pub peer: Option<f64>,
    /// `value / peer`.
    pub ratio: Option<f64>,
}

impl Figure {
    /// A figure that is only reported.
    #[must_use]
    pub fn reported(name: &str, value: f64, unit: &str) -> Self {
        Self {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            must: None,
            goal: None,
            peer: None,
            ratio: None,
        }
    }
}
