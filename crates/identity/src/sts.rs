//! The calls of STS and IAM that need no more than the verified caller: `GetCallerIdentity`.
//!
//! The other actions of both services are known by name and answered as not available; unknown ones as the services
//! answer them.

use crate::caller::Caller;
use crate::query::{Form, QueryAnswer, QueryError, escaped, namespace};
use crate::sigv4::Service;

/// Answers a signed request to STS or IAM.
///
/// `body` is the form that was sent. Signatures must have been verified before; everybody may ask who they are.
#[must_use]
pub fn answer(service: Service, body: &[u8], caller: &Caller, request_id: &str) -> QueryAnswer {
    let outcome = Form::parse(body).and_then(|form| match (service, form.action.as_str(), form.version.as_str()) {
        (Service::Sts, "GetCallerIdentity", "2011-06-15") => Ok(caller_identity(caller, request_id)),
        _ => Err(refusal(service, &form)),
    });
    outcome.unwrap_or_else(|error| error.answer(service, request_id))
}

fn caller_identity(caller: &Caller, request_id: &str) -> QueryAnswer {
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"{}\">\n  <GetCallerIdentityResult>\n    <Arn>{}</Arn>\n    \
         <UserId>{}</UserId>\n    <Account>{}</Account>\n  </GetCallerIdentityResult>\n  <ResponseMetadata>\n    \
         <RequestId>{}</RequestId>\n  </ResponseMetadata>\n</GetCallerIdentityResponse>\n",
        namespace(Service::Sts),
        escaped(&caller.arn),
        escaped(&caller.principal_id),
        caller.account,
        escaped(request_id),
    );
    QueryAnswer { status: 200, body }
}

fn refusal(service: Service, form: &Form) -> QueryError {
    let Form { action, version } = form;
    let (actions, right_version): (&[&str], _) = match service {
        Service::Sts | Service::Kms => (STS_ACTIONS, "2011-06-15"),
        Service::Iam => (IAM_ACTIONS, "2010-05-08"),
    };
    if version == right_version && actions.contains(&action.as_str()) {
        let message = format!("{action} is not available in this version of the service.");
        return QueryError { code: "UnsupportedOperation", status: 400, message };
    }
    let message = format!("Could not find operation {action} for version {version}");
    QueryError { code: "InvalidAction", status: 400, message }
}

/// Actions of STS that are not served here.
const STS_ACTIONS: &[&str] = &[
    "AssumeRole",
    "AssumeRoleWithSAML",
    "AssumeRoleWithWebIdentity",
    "AssumeRoot",
    "DecodeAuthorizationMessage",
    "GetAccessKeyInfo",
    "GetFederationToken",
    "GetSessionToken",
];

/// Actions of IAM on users, roles, access keys, policies and tags, none of which is served here.
const IAM_ACTIONS: &[&str] = &[
    "AttachRolePolicy",
    "AttachUserPolicy",
    "CreateAccessKey",
    "CreatePolicy",
    "CreateRole",
    "CreateUser",
    "DeleteAccessKey",
    "DeletePolicy",
    "DeleteRole",
    "DeleteRolePolicy",
    "DeleteUser",
    "DeleteUserPolicy",
    "DetachRolePolicy",
    "DetachUserPolicy",
    "GetPolicy",
    "GetRole",
    "GetRolePolicy",
    "GetUser",
    "GetUserPolicy",
    "ListAccessKeys",
    "ListAttachedRolePolicies",
    "ListAttachedUserPolicies",
    "ListPolicies",
    "ListRolePolicies",
    "ListRoles",
    "ListUserPolicies",
    "ListUsers",
    "PutRolePolicy",
    "PutUserPolicy",
    "TagRole",
    "TagUser",
    "UntagRole",
    "UntagUser",
    "UpdateAccessKey",
];

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_model::Partition;

    fn answer_to(service: Service, body: &str) -> QueryAnswer {
        let account = "111122223333".parse().expect("valid");
        let caller = Caller::user(Partition::Aws, account, "a&b", "AIDAX", "AKIA");
        answer(service, body.as_bytes(), &caller, "01234567-89ab-cdef-0123-456789abcdef")
    }

    #[test]
    fn callers_learn_who_they_are() {
        let QueryAnswer { status, body } = answer_to(Service::Sts, "Action=GetCallerIdentity&Version=2011-06-15");
        assert_eq!(status, 200);
        for part in [
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">",
            "<Arn>arn:aws:iam::111122223333:user/a&amp;b</Arn>",
            "<UserId>AIDAX</UserId>",
            "<Account>111122223333</Account>",
            "<RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>",
        ] {
            assert!(body.contains(part), "{part} in {body}");
        }
    }

    #[test]
    fn other_actions_are_refused_by_name() {
        for (service, body, status, code) in [
            (Service::Sts, "Action=AssumeRole&Version=2011-06-15", 400, "UnsupportedOperation"),
            (Service::Iam, "Action=CreateUser&Version=2010-05-08", 400, "UnsupportedOperation"),
            (Service::Sts, "Action=CreateUser&Version=2011-06-15", 400, "InvalidAction"),
            (Service::Iam, "Action=GetCallerIdentity&Version=2011-06-15", 400, "InvalidAction"),
            (Service::Sts, "Action=GetCallerIdentity&Version=2010-05-08", 400, "InvalidAction"),
            (Service::Sts, "Action=%3Cscript%3E&Version=2011-06-15", 400, "InvalidAction"),
            (Service::Sts, "Version=2011-06-15", 400, "MissingAction"),
        ] {
            let answer = answer_to(service, body);
            assert_eq!(answer.status, status, "{body}");
            assert!(answer.body.contains(&format!("<Code>{code}</Code>")), "{}", answer.body);
            assert!(!answer.body.contains("<script>"), "{}", answer.body);
        }
    }
}
