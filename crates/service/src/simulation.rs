//! What would be decided, and why: `meridian policy simulate`.
//!
//! The decision is the one of the service itself, on the same state and with the same policies. Only the request is made up: of
//! its condition keys, those that follow from the principal, the key and the time are known; all others are as given, or absent.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use meridian_identity::Caller;
use meridian_model::shapes::ListKeysRequest;
use meridian_model::{ErrorCode, KeyArn, Request, ServiceError, Timestamp};
use meridian_policy::{
    AccountScope, ConditionContext, ContextKey, ContextPairs, ContextValue, Effect, Explanation, GrantMismatch,
    GrantOutcome, GrantReport, Inquiry, Layer, Mismatch, PolicyPlace, PolicySet, RequestContext, StatementReport,
    Target, Via,
};
use meridian_state::{GrantRecord, KeyRecord, RegionState};
use serde::{Deserialize, Serialize};

use crate::access::{Forms, resolve};
use crate::caller_policies::{CallerPolicies, names_of, principal};
use crate::conditions::global::Global;
use crate::conditions::{Conditions, Subject};
use crate::credentials::represented;
use crate::origin::Origin;
use crate::policies;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Simulation {
    /// The ARN of a user, a role or the root of an account.
    pub principal: String,
    /// Such as `kms:Decrypt`.
    pub action: String,
    /// What names the key, as in requests; none for actions that are about no key.
    #[serde(default)]
    pub key: Option<String>,
    /// Condition keys of the request with their values, such as `aws:SourceIp` or `kms:EncryptionContext:app`.
    #[serde(default)]
    pub context: BTreeMap<String, Vec<String>>,
}

/// What would be decided, and what had to do with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Simulated {
    /// Whether the request would be allowed.
    pub allowed: bool,
    /// What the caller would be told otherwise.
    pub message: Option<String>,
    /// The ARN of the key, if there is one.
    pub key: Option<String>,
    /// Every statement of every policy that counts.
    pub statements: Vec<SimulatedStatement>,
    /// The grants on the key that name the principal or its account, and those that do not, up to a thousand.
    pub grants: Vec<SimulatedGrant>,
}

/// A statement, and what it has to do with the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SimulatedStatement {
    /// Where the policy stands.
    pub policy: String,
    /// Which statement of it, from 1.
    pub statement: usize,
    /// Its name.
    pub sid: Option<String>,
    /// `Allow` or `Deny`.
    pub effect: String,
    /// Whether it applies.
    pub applies: bool,
    /// Why.
    pub reason: String,
}

/// A grant, and what it has to do with the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SimulatedGrant {
    /// The ID of the grant.
    pub grant_id: String,
    /// Its name.
    pub name: Option<String>,
    /// Whether it allows.
    pub applies: bool,
    /// Why.
    pub reason: String,
}

/// Grants that one simulation tells of.
pub(crate) const GRANTS_MAX: usize = 1_000;

/// Condition keys that one simulation is given.
const CONTEXT_MAX: usize = 200;

/// Decides about `simulation` in `state`, at the time `now`.
///
/// # Errors
/// `ValidationException` for a principal that is not known here, an action that is none, or a condition key that is none;
/// `NotFoundException` for the key.
pub fn simulate(state: &RegionState, simulation: &Simulation, now: Timestamp) -> Result<Simulated, ServiceError> {
    let caller = caller(state, &simulation.principal)?;
    let given = Given::of(&simulation.context)?;
    let action = action_name(&simulation.action)?;
    let key = match &simulation.key {
        Some(identifier) => Some(resolve(state, caller.account, identifier, Forms::KeyOrAlias)?),
        None => None,
    };
    let question = Question { state, caller: &caller, action, given: &given, now };
    Ok(match key {
        Some(key) => question.about_key(key),
        None => question.about_account(),
    })
}

fn caller(state: &RegionState, arn: &str) -> Result<Caller, ServiceError> {
    let simulator = Caller::service(state_account(arn)?, "simulation", "");
    represented(state, &simulator, arn).ok_or_else(|| {
        let message = format!("{arn} is no user or role that is known here, nor the root of an account.");
        ServiceError::new(ErrorCode::Validation, message)
    })
}

fn state_account(arn: &str) -> Result<meridian_model::AccountId, ServiceError> {
    let account = arn.split(':').nth(4).and_then(|account| account.parse().ok());
    account.ok_or_else(|| ServiceError::new(ErrorCode::Validation, format!("{arn} is not the ARN of a principal.")))
}

/// The name of one of the service's actions.
fn action_name(action: &str) -> Result<&'static str, ServiceError> {
    let name = action.strip_prefix("kms:").unwrap_or(action);
    let known = meridian_policy::action::NAMES.iter().find(|known| known.eq_ignore_ascii_case(name));
    known.copied().ok_or_else(|| {
        ServiceError::new(ErrorCode::Validation, format!("kms:{name} is not a permission of the service."))
    })
}

/// The condition keys of the made-up request.
struct Given {
    values: BTreeMap<String, Vec<String>>,
    encryption_context: ContextPairs,
    source_arn: Option<String>,
}

impl Given {
    fn of(context: &BTreeMap<String, Vec<String>>) -> Result<Self, ServiceError> {
        if context.len() > CONTEXT_MAX {
            let message = format!("At most {CONTEXT_MAX} condition keys can be given.");
            return Err(ServiceError::new(ErrorCode::Validation, message));
        }
        let mut given = Self { values: BTreeMap::new(), encryption_context: BTreeMap::new(), source_arn: None };
        for (name, values) in context {
            let key = ContextKey::parse(name).ok_or_else(|| {
                ServiceError::new(ErrorCode::Validation, format!("{name} is not the name of a condition key."))
            })?;
            match (key.name(), key.attribute(), values.first()) {
                ("kms:encryptioncontext", Some(pair), Some(value)) => {
                    given.encryption_context.insert(pair.to_owned(), value.clone());
                }
                ("aws:sourcearn", None, Some(value)) => given.source_arn = Some(value.clone()),
                _ => {}
            }
            given.values.insert(normal(&key), values.clone());
        }
        Ok(given)
    }
}

/// A condition key by which it is found, whatever its case.
fn normal(key: &ContextKey) -> String {
    key.to_string().to_ascii_lowercase()
}

/// What is given, and what follows from principal, key and time.
struct Context<'a> {
    given: &'a Given,
    known: Conditions<'a>,
}

impl ConditionContext for Context<'_> {
    fn value(&self, key: &ContextKey) -> Option<ContextValue<'_>> {
        if let Some(values) = self.given.values.get(&normal(key)) {
            return Some(match &values[..] {
                [value] if !is_list(key.name()) => ContextValue::one(value.as_str()),
                values => ContextValue::Many(values.iter().map(|value| value.as_str().into()).collect()),
            });
        }
        if key.name() == "kms:encryptioncontextkeys" && !self.given.encryption_context.is_empty() {
            let names = self.given.encryption_context.keys();
            return Some(ContextValue::Many(names.map(|name| name.as_str().into()).collect()));
        }
        if is_of_connection(key.name()) { None } else { self.known.value(key) }
    }
}

/// Whether the condition key can have several values.
fn is_list(name: &str) -> bool {
    matches!(name, "kms:encryptioncontextkeys" | "kms:grantoperations" | "kms:resourcealiases" | "aws:tagkeys")
}

/// Whether the condition key tells of a connection, which a made-up request does not have.
fn is_of_connection(name: &str) -> bool {
    matches!(
        name,
        "aws:sourceip"
            | "aws:vpcsourceip"
            | "aws:sourcevpc"
            | "aws:sourcevpce"
            | "aws:securetransport"
            | "aws:useragent"
    )
}

struct Question<'a> {
    state: &'a RegionState,
    caller: &'a Caller,
    action: &'static str,
    given: &'a Given,
    now: Timestamp,
}

impl Question<'_> {
    fn about_key(&self, key: &KeyRecord) -> Simulated {
        let arn = self.state.key_arn(key);
        let policy = policies::compiled(self.state, key);
        let records: Vec<&GrantRecord> =
            self.state.grants().of_key(key.key_id, None).take(GRANTS_MAX).map(AsRef::as_ref).collect();
        let terms: Vec<_> = records.iter().map(|grant| &grant.terms).collect();
        let request = RequestContext {
            encryption_context: Some(&self.given.encryption_context),
            source_arn: self.given.source_arn.as_deref(),
        };
        let target = Target::Key { key: &arn, request };
        let explanation = self.explain(Subject::Key(self.state, key), Some(&policy), |inquiry, action| {
            inquiry.explain(action, target, &terms)
        });
        self.told(&explanation, Some(&arn), &records)
    }

    fn about_account(&self) -> Simulated {
        let scope = AccountScope {
            partition: self.state.partition(),
            region: self.state.region().clone(),
            account: self.caller.account,
        };
        let explanation =
            self.explain(Subject::Other, None, |inquiry, action| inquiry.explain(action, Target::Account(&scope), &[]));
        self.told(&explanation, None, &[])
    }

    fn explain(
        &self,
        subject: Subject<'_>,
        key_policy: Option<&meridian_policy::Policy>,
        explain: impl FnOnce(&Inquiry<'_>, &str) -> Explanation,
    ) -> Explanation {
        let of_caller = CallerPolicies::of(self.state, self.caller);
        let nothing = Request::ListKeys(ListKeysRequest::default()); // whatever it has of its own is given
        let origin =
            Origin { source_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), user_agent: None, is_secure: false, endpoint: None };
        let global =
            Global { caller: self.caller, origin, region: self.state.region(), now: self.now, tags: of_caller.tags() };
        let known = Conditions {
            global,
            action: self.action,
            request: &nothing,
            subject,
            recipient: None,
            is_same_key: &|| false,
        };
        let context = Context { given: self.given, known };
        let policies = PolicySet {
            resource: key_policy,
            identity: &of_caller.identity,
            boundary: of_caller.boundary.as_deref(),
            session: &of_caller.session,
            endpoint: None,
        };
        let inquiry = Inquiry { principal: principal(self.caller), policies, context: &context };
        explain(&inquiry, &format!("kms:{}", self.action))
    }

    fn told(&self, explanation: &Explanation, key: Option<&KeyArn>, grants: &[&GrantRecord]) -> Simulated {
        let names = names_of(self.state, self.caller);
        Simulated {
            allowed: explanation.decision.is_ok(),
            message: explanation.decision.as_ref().err().map(ToString::to_string),
            key: key.map(ToString::to_string),
            statements: explanation.statements.iter().map(|report| statement(report, &names)).collect(),
            grants: explanation.grants.iter().map(|report| grant(*report, grants)).collect(),
        }
    }
}

fn statement(report: &StatementReport, names: &[String]) -> SimulatedStatement {
    let (applies, reason) = match &report.outcome {
        Ok(via) => (true, means(*via).to_owned()),
        Err(mismatch) => (false, why_not(mismatch)),
    };
    SimulatedStatement {
        policy: place(report.place, names),
        statement: report.index + 1,
        sid: report.sid.clone(),
        effect: match report.effect {
            Effect::Allow => "Allow",
            Effect::Deny => "Deny",
        }
        .to_owned(),
        applies,
        reason,
    }
}

fn place(PolicyPlace { layer, index }: PolicyPlace, names: &[String]) -> String {
    match layer {
        Layer::Resource => "key policy".to_owned(),
        Layer::Identity => names.get(index).cloned().unwrap_or_else(|| format!("identity-based policy {}", index + 1)),
        other => other.to_string(),
    }
}

fn means(via: Via) -> &'static str {
    match via {
        Via::Itself => "means the principal",
        Via::Role => "means the role of the principal",
        Via::Account => "means the account of the principal, whose identity-based policies decide",
    }
}

fn why_not(mismatch: &Mismatch) -> String {
    match mismatch {
        Mismatch::Incomplete => "has no Action or no Resource".to_owned(),
        Mismatch::Action => "is about other actions".to_owned(),
        Mismatch::Resource => "is about other resources".to_owned(),
        Mismatch::Principal => "is about other principals".to_owned(),
        Mismatch::Condition { operator, key } => format!("its condition {operator} on {key} does not hold"),
    }
}

fn grant(report: GrantReport, grants: &[&GrantRecord]) -> SimulatedGrant {
    let (applies, reason) = match report.outcome {
        GrantOutcome::Allows => (true, "allows"),
        GrantOutcome::LeavesItToTheAccount => {
            (true, "is for the account of the principal, whose identity-based policies decide")
        }
        GrantOutcome::DoesNotApply(GrantMismatch::Operation) => (false, "gives other operations"),
        GrantOutcome::DoesNotApply(GrantMismatch::Grantee) => (false, "is for another principal"),
        GrantOutcome::DoesNotApply(GrantMismatch::Constraints) => (false, "has a constraint that is not met"),
    };
    let record = grants.get(report.index).expect("a report tells of a grant that was given");
    SimulatedGrant {
        grant_id: record.grant_id.to_string(),
        name: record.name.clone(),
        applies,
        reason: reason.to_owned(),
    }
}
