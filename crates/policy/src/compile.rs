//! From the text of a policy document to its statements.
//!
//! AWS IAM User Guide, "Grammar of the IAM JSON policy language".

use meridian_model::ServiceError;

use crate::action::ActionSet;
use crate::condition::{Condition, ConditionFault, Quantifier};
use crate::context::{ContextKey, Lookup, NoContext};
use crate::document::{PolicyKind, invalid_principals, malformed};
use crate::json::Json;
use crate::pattern::Glob;
use crate::principal_element::{PrincipalFault, Principals, parse_names};
use crate::statement::{Effect, Statement, Targets};

/// How much is asked of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// Everything: somebody sends it now.
    Received,
    /// That it can be evaluated: it was accepted under the rules of its time.
    Stored,
}

/// What stays the same for all statements of a document.
#[derive(Clone, Copy)]
struct Compiler {
    kind: PolicyKind,
    strictness: Strictness,
    /// Whether `${...}` is a variable.
    variables: bool,
}

type Members = [(String, Json)];

/// Compiles the statements of `document`.
pub(crate) fn compile(
    document: &str,
    kind: PolicyKind,
    strictness: Strictness,
) -> Result<Box<[Statement]>, ServiceError> {
    let Some(Json::Object(members)) = Json::parse(document) else { return Err(syntax()) };
    only_known(&members, &["Version", "Id", "Statement"])?;
    if member(&members, "Id").is_some_and(|id| !matches!(id, Json::Text(_))) {
        return Err(syntax());
    }
    let is_current = parse_version(member(&members, "Version"))?;
    if kind == PolicyKind::Identity && strictness == Strictness::Received && !is_current {
        return Err(malformed("Policy document must be version 2012-10-17 or greater."));
    }
    let compiler = Compiler { kind, strictness, variables: is_current };
    let statements = member(&members, "Statement").ok_or_else(syntax)?.one_or_many();
    if statements.is_empty() {
        return Err(syntax());
    }
    let statements = statements.iter().map(|statement| compiler.statement(statement));
    let statements: Box<[Statement]> = statements.collect::<Result<_, _>>()?;
    compiler.check_sids(&statements)?;
    Ok(statements)
}

/// What takes the place of a document that cannot be evaluated.
pub(crate) fn deny_everything() -> Box<[Statement]> {
    let everything = || Targets::Only(Box::new([Glob::parse("*", false)]));
    let statement = Statement {
        sid: None,
        effect: Effect::Deny,
        principals: None,
        actions_of_service: actions_of_service(&everything()),
        actions: everything(),
        resources: everything(),
        conditions: Box::new([]),
    };
    Box::new([statement])
}

/// Whether the document has the current version; the older one is meant when there is none.
fn parse_version(version: Option<&Json>) -> Result<bool, ServiceError> {
    match version {
        None => Ok(false),
        Some(Json::Text(text)) if text == "2012-10-17" => Ok(true),
        Some(Json::Text(text)) if text == "2008-10-17" => Ok(false),
        Some(_) => Err(syntax()),
    }
}

impl Compiler {
    fn statement(self, statement: &Json) -> Result<Statement, ServiceError> {
        let Json::Object(members) = statement else { return Err(syntax()) };
        only_known(members, &STATEMENT_MEMBERS)?;
        let sid = match member(members, "Sid") {
            None => None,
            Some(Json::Text(sid)) => Some(sid.as_str().into()),
            Some(_) => return Err(syntax()),
        };
        let effect = match member(members, "Effect") {
            Some(Json::Text(effect)) if effect == "Allow" => Effect::Allow,
            Some(Json::Text(effect)) if effect == "Deny" => Effect::Deny,
            _ => return Err(syntax()),
        };
        let actions = self.actions(members)?;
        Ok(Statement {
            sid,
            effect,
            principals: self.principals(members)?,
            actions_of_service: actions_of_service(&actions),
            actions,
            resources: self.resources(members)?,
            conditions: self.conditions(member(members, "Condition"))?,
        })
    }

    fn principals(self, members: &Members) -> Result<Option<Principals>, ServiceError> {
        let named = one_of(members, "Principal", "NotPrincipal")?;
        match (named, self.kind.has_principals()) {
            (None, false) => Ok(None),
            (Some(_), false) => Err(malformed("Policy document should not specify a principal.")),
            (None, true) if self.kind == PolicyKind::Trust => Err(malformed("Missing required field Principal")),
            (None, true) => Err(syntax()),
            (Some((value, is_negated)), true) => {
                let parsed = parse_names(value).map_err(|fault| self.principal_error(fault))?;
                Ok(Some(if is_negated { Principals::Except(parsed) } else { Principals::Only(parsed) }))
            }
        }
    }

    fn principal_error(self, fault: PrincipalFault) -> ServiceError {
        match (fault, self.kind) {
            (PrincipalFault::Form, _) => syntax(),
            (PrincipalFault::Name(..), PolicyKind::Key) => invalid_principals(),
            (PrincipalFault::Name(kind, name), _) => {
                malformed(format!(r#"Invalid principal in policy: "{kind}":"{name}""#))
            }
        }
    }

    fn actions(self, members: &Members) -> Result<Targets, ServiceError> {
        let Some((value, is_negated)) = one_of(members, "Action", "NotAction")? else {
            // A key policy may lack it, and does nothing then (AWS KMS API Reference, `PutKeyPolicy`).
            let is_optional = self.kind == PolicyKind::Key;
            return is_optional
                .then_some(Targets::Missing)
                .ok_or_else(|| malformed("Policy statement must contain actions."));
        };
        let texts = value.texts().ok_or_else(syntax)?;
        texts.iter().try_for_each(|action| self.check_action(action))?;
        let globs = texts.iter().map(|action| Glob::parse(&action.to_ascii_lowercase(), false));
        Ok(targets(globs.collect(), is_negated))
    }

    fn check_action(self, action: &str) -> Result<(), ServiceError> {
        if action == "*" {
            return Ok(());
        }
        let vendor = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";
        let (service, name) = action.split_once(':').ok_or_else(|| malformed(vendor))?;
        if name.contains(':') {
            return Err(malformed("Actions/Condition can contain only one colon."));
        }
        if name.is_empty() || service.is_empty() {
            return Err(malformed(vendor));
        }
        if !service.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(malformed(format!("Vendor {service} is not valid")));
        }
        if self.kind == PolicyKind::Trust && !service.eq_ignore_ascii_case("sts") {
            return Err(malformed("AssumeRole policy may only specify STS AssumeRole actions."));
        }
        Ok(())
    }

    fn resources(self, members: &Members) -> Result<Targets, ServiceError> {
        let named = one_of(members, "Resource", "NotResource")?;
        match (named, self.kind) {
            // The role is the only resource of its trust policy.
            (None, PolicyKind::Trust) => Ok(Targets::Only(Box::new([Glob::parse("*", false)]))),
            (Some((_, false)), PolicyKind::Trust) => Err(malformed("Has prohibited field Resource")),
            (Some((_, true)), PolicyKind::Trust) => Err(malformed("Has prohibited field NotResource")),
            (None, PolicyKind::Key) => Ok(Targets::Missing),
            (None, _) => Err(malformed("Policy statement must contain resources.")),
            (Some((value, is_negated)), _) => {
                let texts = value.texts().ok_or_else(syntax)?;
                texts.iter().try_for_each(|resource| self.check_resource(resource))?;
                let globs = texts.iter().map(|resource| Glob::parse(resource, self.variables));
                Ok(targets(globs.collect(), is_negated))
            }
        }
    }

    fn check_resource(self, resource: &str) -> Result<(), ServiceError> {
        let is_resource = resource == "*" || resource.starts_with("arn:") || self.kind == PolicyKind::Key;
        let message = || malformed(format!("Resource {resource} must be in ARN format or \"*\"."));
        is_resource.then_some(()).ok_or_else(message)
    }

    fn conditions(self, condition: Option<&Json>) -> Result<Box<[Condition]>, ServiceError> {
        let mut conditions = Vec::new();
        let operators = match condition {
            None => return Ok(Box::new([])),
            Some(Json::Object(operators)) => operators,
            Some(_) => return Err(syntax()),
        };
        for (operator, keys) in operators {
            let Json::Object(keys) = keys else { return Err(syntax()) };
            for (key, values) in keys {
                conditions.push(self.condition(operator, key, values)?);
            }
        }
        Ok(conditions.into())
    }

    fn condition(self, operator: &str, key: &str, values: &Json) -> Result<Condition, ServiceError> {
        let vendor = || malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.");
        let key = ContextKey::parse(key).ok_or_else(vendor)?;
        let values: Option<Vec<String>> = values.one_or_many().iter().map(Json::scalar).collect();
        let values = values.ok_or_else(syntax)?;
        let parsed = Condition::parse(operator, key, &values, self.variables).map_err(|fault| match fault {
            ConditionFault::UnknownOperator => malformed(format!("Invalid Condition type : {operator}.")),
            ConditionFault::InvalidValue => malformed(format!("Invalid value for the condition operator {operator}.")),
        })?;
        if self.strictness == Strictness::Received {
            check_permissiveness(&parsed)?;
        }
        Ok(parsed)
    }

    /// AWS IAM User Guide, "IAM JSON policy elements: Sid"; key policies may have any.
    fn check_sids(self, statements: &[Statement]) -> Result<(), ServiceError> {
        if self.kind == PolicyKind::Key || self.strictness == Strictness::Stored {
            return Ok(());
        }
        let mut sids: Vec<&str> = statements.iter().filter_map(|statement| statement.sid.as_deref()).collect();
        if sids.iter().any(|sid| !sid.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            let message = "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular \
                           expression [0-9A-Za-z]*";
            return Err(malformed(message));
        }
        sids.retain(|sid| !sid.is_empty());
        sids.sort_unstable();
        if sids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(malformed("Statement IDs (SID) in a single policy must be unique."));
        }
        Ok(())
    }
}

/// AWS KMS Developer Guide, "kms:EncryptionContext:context-key": such a condition holds of requests without the pair, too.
fn check_permissiveness(condition: &Condition) -> Result<(), ServiceError> {
    if condition.quantifier() != Some(Quantifier::All) || condition.key.attribute().is_none() {
        return Ok(());
    }
    let (kind, what) = match condition.key.name() {
        "kms:encryptioncontext" => ("OverlyPermissiveCondition:EncryptionContext", "encryption context"),
        "aws:requesttag" => ("OverlyPermissiveCondition", "tag"),
        _ => return Ok(()),
    };
    Err(malformed(format!(
        "{kind}: Using the ForAllValues set operator with a single-valued condition key matches requests without the \
         specified {what} or with an unspecified {what}. To fix, remove ForAllValues."
    )))
}

fn actions_of_service(actions: &Targets) -> ActionSet {
    let lookup = Lookup { context: &NoContext, by_key_policy: false }; // actions have no variables
    ActionSet::of(|name| actions.include(name, &lookup))
}

fn targets(globs: Box<[Glob]>, is_negated: bool) -> Targets {
    if is_negated { Targets::Except(globs) } else { Targets::Only(globs) }
}

fn member<'a>(members: &'a Members, name: &str) -> Option<&'a Json> {
    members.iter().find(|(found, _)| found == name).map(|(_, value)| value)
}

/// The value of `name` or of its opposite, and whether it is the opposite.
fn one_of<'a>(members: &'a Members, name: &str, opposite: &str) -> Result<Option<(&'a Json, bool)>, ServiceError> {
    match (member(members, name), member(members, opposite)) {
        (Some(_), Some(_)) => Err(syntax()),
        (Some(value), None) => Ok(Some((value, false))),
        (None, Some(value)) => Ok(Some((value, true))),
        (None, None) => Ok(None),
    }
}

fn only_known(members: &Members, known: &[&str]) -> Result<(), ServiceError> {
    if members.iter().all(|(name, _)| known.contains(&&**name)) { Ok(()) } else { Err(syntax()) }
}

fn syntax() -> ServiceError {
    malformed("Syntax errors in policy.")
}

const STATEMENT_MEMBERS: [&str; 9] =
    ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];
