//! The images that the scenarios install, made from distribution packages.
