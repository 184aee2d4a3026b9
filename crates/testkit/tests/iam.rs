//! IAM and STS on every node of a cluster: whoever is asked answers, and each request leaves its records, without secrets.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use meridian_consensus::NodeName;
use meridian_identity::query::{Answer, Form, Members, QueryCode, QueryError, Value};
use meridian_identity::{Caller, CallerSource, Claimed, CredentialStore, Service};
use meridian_model::{AccountId, Partition, Region};
use meridian_service::CallContext;
use meridian_testkit::Cluster;
use serde_json::Value as Json;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}"#;
const MAY_ASSUME: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}}"#;

fn account(text: &str) -> AccountId {
    text.parse().expect("12 digits")
}

fn root(account_id: &str) -> Arc<Caller> {
    let caller = Caller::root(Partition::Aws, account(account_id), "AKIAROOTOFTHEACCOUNT");
    Arc::new(Caller { source: CallerSource::Configuration, ..caller })
}

async fn ask(
    cluster: &Cluster,
    node: &NodeName,
    caller: &Arc<Caller>,
    service: Service,
    parameters: &[(&str, &str)],
) -> Result<Answer, QueryError> {
    let version = if service == Service::Iam { "2010-05-08" } else { "2011-06-15" };
    let mut body = format!("Version={version}");
    for (name, value) in parameters {
        let escaped: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        body = format!("{body}&{name}={escaped}");
    }
    let context = CallContext {
        request_id: "00000000-0000-0000-0000-000000000001".to_owned(),
        caller: Arc::clone(caller),
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        user_agent: None,
        tls: None,
        endpoint: None,
    };
    let form = Form::parse(&[body.as_bytes()]).expect("a form");
    cluster.node(node).service().query(context, service, form).await
}

fn member<'a>(members: &'a Members, name: &str) -> &'a Value {
    let found = members.iter().find(|(found, _)| *found == name);
    found.map_or_else(|| panic!("no {name}"), |(_, value)| value)
}

fn nested<'a>(answer: &'a Answer, name: &str) -> &'a Members {
    let Value::Members(members) = member(answer.as_ref().expect("an output"), name) else { panic!("{name}") };
    members
}

fn secret(members: &Members, name: &str) -> String {
    let Value::Secret(secret) = member(members, name) else { panic!("{name} is no secret") };
    secret.expose().to_owned()
}

fn text(members: &Members, name: &str) -> String {
    let Value::Text(text) = member(members, name) else { panic!("{name} is no text") };
    text.clone()
}

async fn start() -> (Cluster, Region, Region) {
    let cluster = Cluster::builder().regions(&["us-east-1", "eu-west-1"]).nodes(3).start().await;
    let (home, other) = (cluster.regions()[0].clone(), cluster.regions()[1].clone());
    for region in [&home, &other] {
        cluster
            .await_state(region, "the home of identities and a key for tokens are known", |state| {
                state.identities().regions().is_some() && state.identities().session_keys().next().is_some()
            })
            .await;
    }
    (cluster, home, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_of_the_home_makes_changes_and_sees_them_at_once() {
    let (mut cluster, home, other) = start().await;
    let caller = root("111122223333");
    let names: Vec<String> = (0..6).map(|at| format!("user-{at}")).collect();
    for (at, name) in names.iter().enumerate() {
        let nodes = cluster.running(&home);
        let node = &nodes[at % nodes.len()];
        ask(&cluster, node, &caller, Service::Iam, &[("Action", "CreateUser"), ("UserName", name)])
            .await
            .expect("made");
        let found = ask(&cluster, node, &caller, Service::Iam, &[("Action", "GetUser"), ("UserName", name)]).await;
        assert_eq!(text(nested(&found.expect("found"), "User"), "UserName"), *name);
        if at == 2 {
            let leader = cluster.await_leader(&home).await;
            cluster.kill(&leader).await; // the others go on
            cluster.await_agreement(&cluster.running(&home)).await;
        }
    }
    let node = &cluster.running(&other)[0];
    let refused = ask(&cluster, node, &caller, Service::Iam, &[("Action", "CreateUser"), ("UserName", "x")]).await;
    let refused = refused.expect_err("not the home");
    assert_eq!(refused.code, QueryCode::UnsupportedOperation);
    assert!(refused.message.contains("us-east-1"), "{}", refused.message);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_leaves_its_records_and_no_secret() {
    let (cluster, home, _) = start().await;
    let (guest, owner) = (root("111122223333"), root("444455556666"));
    let node = cluster.running(&home)[0].clone();
    let iam = |parameters: Vec<(&'static str, &'static str)>, caller: Arc<Caller>| {
        let (cluster, node) = (&cluster, &node);
        async move { ask(cluster, node, &caller, Service::Iam, &parameters).await }
    };
    iam(vec![("Action", "CreateUser"), ("UserName", "alice")], Arc::clone(&guest)).await.expect("made");
    let policy =
        vec![("Action", "PutUserPolicy"), ("UserName", "alice"), ("PolicyName", "p"), ("PolicyDocument", MAY_ASSUME)];
    iam(policy, Arc::clone(&guest)).await.expect("put");
    let created =
        iam(vec![("Action", "CreateAccessKey"), ("UserName", "alice")], Arc::clone(&guest)).await.expect("made");
    let key = nested(&created, "AccessKey");
    let role = vec![("Action", "CreateRole"), ("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)];
    iam(role, Arc::clone(&owner)).await.expect("made");
    let refused = iam(vec![("Action", "GetUser"), ("UserName", "nobody")], Arc::clone(&guest)).await;
    assert_eq!(refused.expect_err("nobody").code, QueryCode::NoSuchEntity);

    let claimed = Claimed { access_key_id: &text(key, "AccessKeyId"), session_token: None, region: &home };
    let alice = cluster.node(&node).service().lookup(claimed).expect("active").caller;
    let role = "arn:aws:iam::444455556666:role/r";
    let assume = [("Action", "AssumeRole"), ("RoleArn", role), ("RoleSessionName", "me"), ("TokenCode", "123456")];
    let refused = ask(&cluster, &node, &alice, Service::Sts, &assume).await.expect_err("no second factors");
    assert_eq!(refused.code, QueryCode::AccessDenied);
    let assumed = ask(&cluster, &node, &alice, Service::Sts, &assume[..3]).await.expect("assumed");
    let session = nested(&assumed, "Credentials");

    let records = cluster.audit_records(&home);
    let of = |name: &str| records.iter().filter(|record| record["eventName"] == name).collect::<Vec<&Json>>();
    let [created_key] = of("CreateAccessKey")[..] else { panic!("one record") };
    assert_eq!(created_key["eventSource"], "iam.amazonaws.com");
    assert_eq!(created_key["requestParameters"], serde_json::json!({"userName": "alice"}));
    assert_eq!(created_key["responseElements"]["accessKey"]["accessKeyId"], text(key, "AccessKeyId"));
    assert_eq!((&created_key["readOnly"], &created_key["userIdentity"]["type"]), (&false.into(), &"Root".into()));
    let [missing] = of("GetUser")[..] else { panic!("one record") };
    assert_eq!(missing["errorCode"], "NoSuchEntityException");
    assert_eq!((&missing["readOnly"], &missing["responseElements"]), (&true.into(), &Json::Null));
    // Refused, then granted: the latter in both accounts.
    let assumed: Vec<_> = of("AssumeRole").iter().map(|record| record["recipientAccountId"].clone()).collect();
    assert_eq!(assumed, ["111122223333", "111122223333", "444455556666"]);
    let [refused, granted, _] = of("AssumeRole")[..] else { panic!("three records") };
    assert_eq!((&refused["errorCode"], &refused["responseElements"]), (&"AccessDenied".into(), &Json::Null));
    assert_eq!(granted["resources"][0]["ARN"], role);
    assert_eq!(granted["responseElements"]["credentials"]["accessKeyId"], text(session, "AccessKeyId"));
    assert_eq!(granted["eventSource"], "sts.amazonaws.com");

    let everything = Json::from(records).to_string();
    for hidden in [secret(key, "SecretAccessKey"), secret(session, "SecretAccessKey"), secret(session, "SessionToken")]
    {
        assert!(!everything.contains(&hidden), "a secret stands in the trail");
    }
    assert!(!everything.contains("tokenCode") && !everything.contains("secretAccessKey"), "a secret has a name there");
    cluster.shutdown().await;
}
