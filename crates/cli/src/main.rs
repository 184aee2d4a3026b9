//! The `meridian` binary: reads the command line, and hands over to the library.

use std::process::ExitCode;

use clap::Parser;
use meridian::commands::{Cli, run};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("meridian: {error:#}");
            ExitCode::FAILURE
        }
    }
}
