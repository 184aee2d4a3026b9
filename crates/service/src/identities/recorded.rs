//! Audit records of requests to IAM and STS, in the shape that AWS CloudTrail gives to them.
//!
//! Source: AWS IAM User Guide, "Logging IAM and AWS STS API calls with AWS CloudTrail". Always true: no record holds a secret
//! access key, a session token or the code of a second factor.

use std::borrow::Cow;
use std::collections::BTreeMap;

use meridian_audit::{AuditRecord, EventType, JsonText, RecordedError, Resource, SourceAddress, ids, record};
use meridian_identity::query::{Answer, Form, Members, QueryCode, QueryError, Value};
use meridian_model::{AccountId, ServiceError};
use serde_json::{Map, Value as Json, json};

use crate::audit::{CallContext, identity, tls_details};
use crate::call::Service;
use crate::origin::VpcEndpoint;

impl Service {
    /// Records one request with its outcome: in the account of the caller and, if a role of another account was assumed, in that
    /// one as well.
    pub(super) async fn record_query(
        &self,
        context: &CallContext,
        service: meridian_identity::Service,
        form: &Form,
        told: &Result<Answer, QueryError>,
    ) -> Result<(), ServiceError> {
        let (action, caller) = (form.action(), context.caller.account);
        let state = self.state();
        let read_only = is_read_only(action);
        let parameters = parameters(form).map(|value| recordable(JsonText::from_value(&value)));
        let elements = match told {
            Ok(Some(members)) if changes_or_issues(action) => Some(JsonText::from_value(&elements(members))),
            _ => None,
        };
        let role = assumed_role(form, told);
        let resources: Vec<Resource<'_>> = role.iter().map(|(account, arn)| role_resource(*account, arn)).collect();
        let error = told.as_ref().err();
        let record = AuditRecord {
            identity: &identity(&context.caller),
            event_time: self.now(),
            event_source: source(service),
            event_name: action,
            region: state.region(),
            source_address: SourceAddress::Ip(context.source_ip),
            user_agent: context.user_agent.as_deref(),
            error: error.map(|error| RecordedError { code: code(error.code), message: &error.message }),
            request_parameters: parameters.as_ref(),
            response_elements: elements.as_ref(),
            additional_event_data: None,
            request_id: Some(&context.request_id),
            event_id: ids::unique_id(),
            read_only,
            resources: Some(&resources).filter(|resources| !resources.is_empty()).map(Vec::as_slice),
            event_type: EventType::AwsApiCall,
            recipient_account: context.caller.account,
            service_event_details: None,
            tls: context.tls.as_ref().map(tls_details),
            vpc_endpoint_id: context.endpoint.as_ref().map(VpcEndpoint::id),
        };
        self.write_record(&record).await?;
        if let Some(account) = role.as_ref().map(|(account, _)| *account).filter(|account| *account != caller) {
            let copy = AuditRecord { event_id: ids::unique_id(), recipient_account: account, ..record };
            self.write_record(&copy).await?;
        }
        Ok(())
    }
}

/// `parameters`, unless they are longer than those of any request that can succeed: a record has to fit into the trail, or what
/// it tells of could not be told at all.
fn recordable(parameters: JsonText) -> JsonText {
    if parameters.as_str().len() <= PARAMETERS_RECORDED_MAX {
        return parameters;
    }
    JsonText::from_value(&json!({"omitted": "too long to be recorded"}))
}

/// Bytes of the parameters in a record: the longest document that IAM takes has 131,072 characters.
const PARAMETERS_RECORDED_MAX: usize = 1 << 20;

const fn source(service: meridian_identity::Service) -> &'static str {
    match service {
        meridian_identity::Service::Iam => "iam.amazonaws.com",
        meridian_identity::Service::Sts => "sts.amazonaws.com",
        meridian_identity::Service::Kms => record::EVENT_SOURCE_KMS,
    }
}

/// CloudTrail calls the errors that the API model declares exceptions.
const fn code(code: QueryCode) -> &'static str {
    match code {
        QueryCode::DeleteConflict => "DeleteConflictException",
        QueryCode::EntityAlreadyExists => "EntityAlreadyExistsException",
        QueryCode::InvalidInput => "InvalidInputException",
        QueryCode::LimitExceeded => "LimitExceededException",
        QueryCode::MalformedPolicyDocument => "MalformedPolicyDocumentException",
        QueryCode::NoSuchEntity => "NoSuchEntityException",
        QueryCode::PackedPolicyTooLarge => "PackedPolicyTooLargeException",
        QueryCode::UnmodifiableEntity => "UnmodifiableEntityException",
        QueryCode::ValidationError => "ValidationException",
        code => code.as_str(),
    }
}

/// Whether an action changes nothing. Those of STS make credentials, but nothing that stays.
fn is_read_only(action: &str) -> bool {
    ["Get", "List", "Assume"].iter().any(|prefix| action.starts_with(prefix))
}

/// Whether a record shows what was told back: reads of IAM tell too much.
fn changes_or_issues(action: &str) -> bool {
    !is_read_only(action) || matches!(action, "AssumeRole" | "GetSessionToken" | "GetFederationToken")
}

/// The parameters as a tree: `Tags.member.1.Key` becomes `{"tags": [{"key": ...}]}`; `None` without any.
fn parameters(form: &Form) -> Option<Json> {
    let mut root = Node::default();
    for (name, value) in form.parameters().filter(|(name, _)| *name != "TokenCode") {
        let node = name.split('.').take(DEPTH_MAX).fold(&mut root, |node, step| node.children.entry(step).or_default());
        node.value = Some(value);
    }
    (!root.children.is_empty()).then(|| root.json(""))
}

/// Steps of a parameter's name that are told apart; no parameter of an API has more than five.
const DEPTH_MAX: usize = 8;

#[derive(Default)]
struct Node<'a> {
    value: Option<&'a str>,
    children: BTreeMap<&'a str, Node<'a>>,
}

impl Node<'_> {
    /// The value of the member `name`.
    fn json(&self, name: &str) -> Json {
        if self.children.is_empty() {
            return scalar(name, self.value.unwrap_or_default());
        }
        if let Some(items) = self.children.get("member").filter(|_| self.children.len() == 1) {
            let mut numbered: Vec<_> = items.children.iter().collect();
            numbered.sort_by_key(|(at, _)| at.parse::<u32>().unwrap_or(u32::MAX));
            return numbered.into_iter().map(|(_, item)| item.json("")).collect();
        }
        self.children.iter().map(|(name, child)| (lower_first(name), child.json(name))).collect::<Map<_, _>>().into()
    }
}

/// Numbers and truth values are recorded as such.
fn scalar(name: &str, text: &str) -> Json {
    let number = || text.parse::<u32>().ok().map(Json::from);
    let typed = match name {
        "DurationSeconds" | "MaxItems" | "MaxSessionDuration" => number(),
        "OnlyAttached" | "SetAsDefault" => Some((text == "true").into()),
        _ => None,
    };
    typed.unwrap_or_else(|| text.into())
}

/// What was told back, without what is secret.
fn elements(members: &Members) -> Json {
    let public = members.iter().filter(|(_, value)| !matches!(value, Value::Secret(_)));
    public.map(|(name, value)| (lower_first(name), element(value))).collect::<Map<_, _>>().into()
}

fn element(value: &Value) -> Json {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Document(text) => meridian_identity::query::answer::encoded(text).into(),
        Value::Secret(_) => Json::Null,
        Value::Flag(flag) => (*flag).into(),
        Value::Number(number) => (*number).into(),
        Value::Time(at) => record::long_date(*at).into(),
        Value::List(items) => items.iter().map(element).collect(),
        Value::Members(members) => elements(members),
        Value::Numbers(numbers) => numbers.iter().map(|(name, number)| (name.clone(), json!(number))).collect(),
    }
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().into_iter().map(|first| first.to_ascii_lowercase()).chain(letters).collect()
}

/// The role that was assumed, and its account.
fn assumed_role(form: &Form, told: &Result<Answer, QueryError>) -> Option<(AccountId, String)> {
    if form.action() != "AssumeRole" || told.is_err() {
        return None;
    }
    let arn = form.parameters().find(|(name, _)| *name == "RoleArn")?.1;
    Some((arn.split(':').nth(4)?.parse().ok()?, arn.to_owned()))
}

fn role_resource(account: AccountId, arn: &str) -> Resource<'_> {
    Resource { account, kind: record::RESOURCE_ROLE, arn: Cow::Borrowed(arn) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_recorded_as_a_tree() {
        let body = "Action=AssumeRole&Version=x&RoleArn=arn:aws:iam::111122223333:role/r&DurationSeconds=900&TokenCode=123456\
                    &Tags.member.2.Key=b&Tags.member.2.Value=2&Tags.member.1.Key=a&Tags.member.1.Value=true\
                    &TransitiveTagKeys.member.10=j&TransitiveTagKeys.member.9=i";
        let form = Form::parse(&[body.as_bytes()]).expect("a form");
        let expected = json!({
            "roleArn": "arn:aws:iam::111122223333:role/r",
            "durationSeconds": 900,
            "tags": [{"key": "a", "value": "true"}, {"key": "b", "value": "2"}],
            "transitiveTagKeys": ["i", "j"],
        });
        assert_eq!(parameters(&form), Some(expected));
        let form = Form::parse(&[b"Action=GetCallerIdentity&Version=x"]).expect("a form");
        assert_eq!(parameters(&form), None);
    }

    #[test]
    fn no_secret_is_recorded() {
        let key =
            Members::new().text("AccessKeyId", "AKIA").with("SecretAccessKey", Value::Secret("hush".to_owned().into()));
        assert_eq!(elements(&Members::new().nested("AccessKey", key)), json!({"accessKey": {"accessKeyId": "AKIA"}}));
    }

    #[test]
    fn what_no_action_takes_does_not_keep_a_record_from_the_trail() {
        let body = format!("Action=A&Z={}", "%22".repeat(600 << 10));
        let form = Form::parse(&[body.as_bytes()]).expect("a form");
        let recorded = recordable(JsonText::from_value(&parameters(&form).expect("one")));
        assert_eq!(recorded.as_str(), r#"{"omitted":"too long to be recorded"}"#);
        assert!(Form::parse(&[b"Action=A&Z=%01"]).is_err(), "six characters in the trail for one");
    }

    #[test]
    fn a_hostile_name_of_a_parameter_is_recorded_shallowly() {
        let body = format!("Action=A&{}=1", "a.".repeat(100_000));
        let form = Form::parse(&[body.as_bytes()]).expect("a form");
        assert!(parameters(&form).expect("one").to_string().len() < 100);
    }
}
