//! Who can be named in a key policy.

use meridian_model::ErrorCode;
use meridian_model::shapes::{CreateKeyRequest, PutKeyPolicyRequest};
use meridian_testkit::{Cluster, account};

/// AWS KMS API Reference, `PutKeyPolicy`: the principals in the key policy must exist.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_named_exists_or_belongs_to_an_account_of_which_nothing_is_known() {
    let cluster = Cluster::builder().nodes(1).start().await;
    let owner = cluster.client(&cluster.regions()[0]);
    let key = owner.create_key("for Alice").await.expect("created").key_id;
    let naming = |name: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"kms:*","Resource":"*",
            "Principal":{{"AWS":["000000000001","{name}"]}}}}]}}"#
        )
    };
    let put = async |name: &str| {
        let request =
            PutKeyPolicyRequest { key_id: key.clone(), policy: naming(name), ..PutKeyPolicyRequest::default() };
        owner.call(request).await.map(drop)
    };
    put("arn:aws:iam::000000000001:user/alice").await.expect("the account keeps no identities here yet");
    cluster.create_user(account(1), "alice").await;
    cluster.create_role(account(1), "worker").await;
    for name in [
        "arn:aws:iam::000000000001:user/alice",
        "arn:aws:iam::000000000001:role/worker",
        "arn:aws:sts::000000000001:assumed-role/worker/session",
        "arn:aws:sts::000000000001:federated-user/bob",
        "arn:aws:iam::444455556666:role/elsewhere",
    ] {
        put(name).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let message = "Policy contains a statement with one or more invalid principals.";
    for name in [
        "arn:aws:iam::000000000001:user/bob",
        "arn:aws:iam::000000000001:user/path/alice",
        "arn:aws:iam::000000000001:role/alice",
        "arn:aws:sts::000000000001:assumed-role/other/session",
    ] {
        let refused = put(name).await.expect_err(name);
        assert_eq!((refused.code, &*refused.message), (ErrorCode::MalformedPolicyDocument, message), "{name}");
    }
    let policy = Some(naming("arn:aws:iam::000000000001:user/bob"));
    let refused = owner.call(CreateKeyRequest { policy, ..CreateKeyRequest::default() }).await.expect_err("nobody");
    assert_eq!(refused.message, message);
    cluster.shutdown().await;
}
