//! Arguments, logging, exit code.

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    // clap ends with 2 itself for arguments it cannot read.
    burin_hub::cli::run(burin_hub::cli::Cli::parse()).await
}
