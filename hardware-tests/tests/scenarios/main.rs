//! Scenarios: a machine, a registry and a hub, told from power-on to what a person would see.
//!
//! Minutes are wall time under software emulation on two cores that are otherwise idle. No scenario waits
//! by sleeping; each wait ends at what the console or the hub says, or at a deadline many times longer.

mod bytes;
mod console;
mod gate;
mod golden;
mod installed;
mod interrupted;
mod moved;
mod signed;
mod stories;
mod unhealthy;
