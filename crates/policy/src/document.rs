//! Key policy documents: size, form, and the one that a key gets when none is given.

use meridian_model::{AccountId, ErrorCode, Partition, ServiceError};
use serde_json::Value;

/// Largest key policy, in bytes (AWS KMS quota "Key policy document size").
pub const MAX_BYTES: usize = 32_768;

/// The elements that a policy document may have.
const MEMBERS: [&str; 3] = ["Version", "Id", "Statement"];

/// The policy of a key that was given none: the account may do everything, and may delegate by IAM policies.
#[must_use]
pub fn default_policy(partition: Partition, account: AccountId) -> String {
    format!(
        r#"{{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {{
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "arn:{partition}:iam::{account}:root"
    }},
    "Action" : "kms:*",
    "Resource" : "*"
  }} ]
}}"#
    )
}

/// Checks that `policy` is small enough and has the form of a policy document.
///
/// # Errors
/// `LimitExceededException` for one that is too long, `MalformedPolicyDocumentException` for one of another form.
pub fn validate(policy: &str) -> Result<(), ServiceError> {
    if policy.len() > MAX_BYTES {
        let message = format!("The key policy is {} bytes long; at most {MAX_BYTES} are allowed.", policy.len());
        return Err(ServiceError::new(ErrorCode::LimitExceeded, message));
    }
    let document: Value = serde_json::from_str(policy).map_err(|_| malformed("it is not valid JSON"))?;
    let Value::Object(members) = &document else { return Err(malformed("it is not a JSON object")) };
    if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(malformed(&format!("it has the unknown element {unknown}")));
    }
    if members.get("Version").is_some_and(|version| version != "2012-10-17" && version != "2008-10-17") {
        return Err(malformed("its Version is neither 2012-10-17 nor 2008-10-17"));
    }
    match members.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.iter().try_for_each(check_statement),
        Some(statement @ Value::Object(_)) => check_statement(statement),
        _ => Err(malformed("it has no Statement")),
    }
}

fn check_statement(statement: &Value) -> Result<(), ServiceError> {
    match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow" | "Deny") => {}
        _ => return Err(malformed("a statement has no Effect of Allow or Deny")),
    }
    if statement.get("Principal").is_none() && statement.get("NotPrincipal").is_none() {
        return Err(malformed("a statement has no Principal"));
    }
    // Either may be missing: such a statement is accepted and has no effect.
    for element in ["Action", "NotAction", "Resource", "NotResource"] {
        if statement.get(element).is_some_and(|value| !is_text_or_texts(value)) {
            return Err(malformed(&format!("{element} of a statement is neither a string nor a list of strings")));
        }
    }
    if statement.get("Condition").is_some_and(|condition| !condition.is_object()) {
        return Err(malformed("Condition of a statement is not a JSON object"));
    }
    Ok(())
}

fn is_text_or_texts(value: &Value) -> bool {
    value.is_string() || value.as_array().is_some_and(|values| values.iter().all(Value::is_string))
}

fn malformed(reason: &str) -> ServiceError {
    ServiceError::new(ErrorCode::MalformedPolicyDocument, format!("The policy document is malformed: {reason}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_is_valid() {
        let policy = default_policy(Partition::Aws, "111122223333".parse().expect("12 digits"));
        validate(&policy).expect("valid");
        assert!(policy.contains("arn:aws:iam::111122223333:root"));
    }

    #[test]
    fn other_forms_are_refused() {
        for policy in [
            "",
            "[]",
            "{",
            "{}",
            r#"{"Statement":[]}"#,
            r#"{"Statement":[{"Effect":"Maybe","Principal":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow"}]}"#,
            r#"{"Version":"2013-01-01","Statement":[{"Effect":"Allow","Principal":"*"}]}"#,
            r#"{"Statements":[{"Effect":"Allow","Principal":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":{}}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":[1],"Resource":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Condition":"kms:CallerAccount"}]}"#,
        ] {
            assert_eq!(validate(policy).expect_err(policy).code, ErrorCode::MalformedPolicyDocument, "{policy}");
        }
    }

    #[test]
    fn a_policy_may_have_32768_bytes_and_no_more() {
        let with_id = |length: usize| {
            let rest = r#"{"Id":"","Statement":{"Effect":"Allow","Principal":"*"}}"#;
            rest.replacen(r#""""#, &format!(r#""{}""#, "x".repeat(length - rest.len())), 1)
        };
        validate(&with_id(MAX_BYTES)).expect("just small enough");
        assert_eq!(validate(&with_id(MAX_BYTES + 1)).expect_err("too long").code, ErrorCode::LimitExceeded);
    }
}
