//! (to be written by its room)
