//! Reads against a small server that does what the test wants, right or wrong.

#[cfg(test)]
mod credentials;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod signatures;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
