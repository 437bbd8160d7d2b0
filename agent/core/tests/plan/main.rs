//! The plan: its rules over every kind of evidence, and what a power cut at any moment leaves of it.

mod die_after_n;
mod rules;
mod sample;
