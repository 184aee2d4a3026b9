//! Log lines on standard error. No line ever holds key material or plaintext: secrets have no printable form.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// What a node logs unless told otherwise. The Raft engine reports every call to a peer that is down, ten times a second,
/// and its own end as an error; what matters of it, this crate and `meridian_consensus` log themselves.
pub(crate) const NODE_FILTER: &str = "info,openraft=off";

/// What a local cluster logs. A root key in a file is what development is for.
pub(crate) const DEV_FILTER: &str = "warn,meridian=info,meridian_storage::vault=error,openraft=off";

/// Starts logging for the process; `RUST_LOG` overrules `filter`.
///
/// # Errors
/// If the filter cannot be understood.
pub(crate) fn start(format: LogFormat, filter: &str) -> Result<()> {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| filter.to_owned());
    let filter = EnvFilter::try_new(&filter).with_context(|| format!("log filter {filter:?}"))?;
    let is_terminal = std::io::stderr().is_terminal(); // colours are noise in a file
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(is_terminal).with_writer(std::io::stderr);
    // A line that cannot be written would be reported on standard error as well, with a panic if nobody reads that.
    let lines = lines.log_internal_errors(false);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}
