//! `meridian policy simulate`: what a node would decide, from the data of a node that does not run, or of a copy of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use meridian_model::{Clock, Partition, Region};
use meridian_service::{Simulated, Simulation, simulate};
use meridian_storage::NodeStorage;

use crate::SystemClock;

/// What `meridian policy` can do.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say what would be decided, by which statements and grants, and why the others do not count.
    Simulate(SimulateArguments),
}

/// What `meridian policy simulate` is asked for.
#[derive(Debug, Args)]
pub struct SimulateArguments {
    /// Folder of a node's data, which must not run: stop it, or take a backup.
    #[arg(long)]
    data_dir: PathBuf,
    /// The Region of the node.
    #[arg(long)]
    region: Region,
    /// The partition of the Region.
    #[arg(long, default_value_t = Partition::Aws)]
    partition: Partition,
    /// ARN of a user or role, or of the root of an account: arn:aws:iam::111122223333:user/alice
    #[arg(long)]
    principal: String,
    /// The permission: kms:Decrypt
    #[arg(long)]
    action: String,
    /// Key ID, key ARN, alias name or alias ARN; none for a permission that is about no key.
    #[arg(long)]
    key: Option<String>,
    /// A condition key of the request: kms:EncryptionContext:app=web. May be given several times; the same key again gives it
    /// another value.
    #[arg(long = "context", value_name = "KEY=VALUE", value_parser = parse_pair)]
    context: Vec<(String, String)>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| key.contains(':'));
    let (key, value) = pair.ok_or_else(|| "must be KEY=VALUE, such as aws:SourceIp=192.0.2.1".to_owned())?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Does what the command line asks for.
///
/// # Errors
/// If the data cannot be read, or what is asked for is not there.
pub async fn run(PolicyCommand::Simulate(arguments): PolicyCommand) -> Result<()> {
    let is_json = arguments.json;
    let simulated = simulated(arguments).await?;
    if is_json {
        println!("{}", serde_json::to_string_pretty(&simulated).context("writing JSON")?);
    } else {
        print!("{}", text(&simulated));
    }
    Ok(())
}

async fn simulated(arguments: SimulateArguments) -> Result<Simulated> {
    let SimulateArguments { data_dir, region, partition, principal, action, key, context, .. } = arguments;
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in context {
        values.entry(key).or_default().push(value);
    }
    let simulation = Simulation { principal, action, key, context: values };
    let folder = data_dir.clone();
    let opened = tokio::task::spawn_blocking(move || NodeStorage::open(&folder, &region, partition)).await;
    let storage = opened.context("reading the node's data")?;
    let storage = storage.with_context(|| format!("reading the data of a node in {}", data_dir.display()))?;
    let state = storage.handle.reader().state();
    let simulated = simulate(&state, &simulation, SystemClock.now());
    storage.handle.close(true).await;
    Ok(simulated?)
}

/// For people: the decision, then what counts, then the rest.
fn text(simulated: &Simulated) -> String {
    let mut text = match &simulated.message {
        None => "allowed\n".to_owned(),
        Some(message) => format!("denied: {message}\n"),
    };
    if let Some(key) = &simulated.key {
        let _ = writeln!(text, "key: {key}");
    }
    for statement in &simulated.statements {
        let mark = if statement.applies { "applies" } else { "-" };
        let sid = statement.sid.as_deref().map(|sid| format!(" {sid:?}")).unwrap_or_default();
        let _ = writeln!(
            text,
            "{mark:<8} {:<5} {}, statement {}{sid}: {}",
            statement.effect, statement.policy, statement.statement, statement.reason
        );
    }
    for grant in &simulated.grants {
        let mark = if grant.applies { "applies" } else { "-" };
        let name = grant.name.as_deref().map(|name| format!(" {name:?}")).unwrap_or_default();
        let _ = writeln!(text, "{mark:<8} grant {}{name}: {}", grant.grant_id, grant.reason);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_service::{SimulatedGrant, SimulatedStatement};

    #[test]
    fn pairs_of_the_command_line() {
        let pair = |text: &str| parse_pair(text).ok();
        assert_eq!(pair("kms:EncryptionContext:a=b=c"), Some(("kms:EncryptionContext:a".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("aws:SourceIp"), None);
        assert_eq!(pair("SourceIp=1"), None);
    }

    #[test]
    fn a_report_for_people() {
        let statement = SimulatedStatement {
            policy: "key policy".to_owned(),
            statement: 1,
            sid: Some("s".to_owned()),
            effect: "Allow".to_owned(),
            applies: false,
            reason: "is about other actions".to_owned(),
        };
        let grant =
            SimulatedGrant { grant_id: "00".repeat(32), name: None, applies: true, reason: "allows".to_owned() };
        let simulated = Simulated {
            allowed: true,
            message: None,
            key: Some("arn".to_owned()),
            statements: vec![statement],
            grants: vec![grant],
        };
        let expected = format!(
            "allowed\nkey: arn\n-        Allow key policy, statement 1 \"s\": is about other actions\n\
             applies  grant {}: allows\n",
            "00".repeat(32)
        );
        assert_eq!(text(&simulated), expected);
    }
}
