//! Every operation, and every way in which somebody may or may not have the right to it.
//!
//! The columns tell what the caller has: nothing, the right to another key, the right by the key policy, by an identity policy, by
//! a grant, and all of these against an explicit deny. An operation without a row fails the test.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use meridian_model::shapes::{CreateAliasRequest, CreateKeyRequest, PutKeyPolicyRequest};
use meridian_model::{Blob, ErrorCode, KeyArn, KeySpec, KeyUsageType, Operation, OriginType, Request, Response};
use meridian_testkit::identities::Identity;
use meridian_testkit::{Client, Cluster, account};

/// `ok`: whatever is answered, it is not that access is denied.
const TABLE: &str = "
    operation                            nothing  another_key  key_policy  iam     grant   deny
    CancelKeyDeletion                    denied   denied       ok          ok      denied  denied
    ConnectCustomKeyStore                denied   denied       denied      ok      denied  denied
    CreateAlias                          denied   denied       denied      ok      denied  denied
    CreateCustomKeyStore                 denied   denied       denied      ok      denied  denied
    CreateGrant                          denied   denied       ok          ok      ok      denied
    CreateKey                            denied   denied       denied      ok      denied  denied
    Decapsulate                          denied   denied       ok          ok      ok      denied
    Decrypt                              denied   denied       ok          ok      ok      denied
    DeleteAlias                          denied   denied       denied      ok      denied  denied
    DeleteCustomKeyStore                 denied   denied       denied      ok      denied  denied
    DeleteImportedKeyMaterial            denied   denied       ok          ok      denied  denied
    DeriveSharedSecret                   denied   denied       ok          ok      ok      denied
    DescribeCustomKeyStores              denied   denied       denied      ok      denied  denied
    DescribeKey                          denied   denied       ok          ok      ok      denied
    DisableKey                           denied   denied       ok          ok      denied  denied
    DisableKeyRotation                   denied   denied       ok          ok      denied  denied
    DisconnectCustomKeyStore             denied   denied       denied      ok      denied  denied
    EnableKey                            denied   denied       ok          ok      denied  denied
    EnableKeyRotation                    denied   denied       ok          ok      denied  denied
    Encapsulate                          denied   denied       ok          ok      ok      denied
    Encrypt                              denied   denied       ok          ok      ok      denied
    GenerateDataKey                      denied   denied       ok          ok      ok      denied
    GenerateDataKeyPair                  denied   denied       ok          ok      ok      denied
    GenerateDataKeyPairWithoutPlaintext  denied   denied       ok          ok      ok      denied
    GenerateDataKeyWithoutPlaintext      denied   denied       ok          ok      ok      denied
    GenerateMac                          denied   denied       ok          ok      ok      denied
    GenerateRandom                       denied   denied       denied      ok      denied  denied
    GetKeyLastUsage                      denied   denied       ok          ok      denied  denied
    GetKeyPolicy                         denied   denied       ok          ok      denied  denied
    GetKeyRotationStatus                 denied   denied       ok          ok      denied  denied
    GetParametersForImport               denied   denied       ok          ok      denied  denied
    GetPublicKey                         denied   denied       ok          ok      ok      denied
    ImportKeyMaterial                    denied   denied       ok          ok      denied  denied
    ListAliases                          denied   denied       denied      ok      denied  denied
    ListGrants                           denied   denied       ok          ok      denied  denied
    ListKeyPolicies                      denied   denied       ok          ok      denied  denied
    ListKeyRotations                     denied   denied       ok          ok      denied  denied
    ListKeys                             denied   denied       denied      ok      denied  denied
    ListResourceTags                     denied   denied       ok          ok      denied  denied
    ListRetirableGrants                  denied   denied       denied      ok      denied  denied
    PutKeyPolicy                         denied   denied       ok          ok      denied  denied
    ReEncrypt                            denied   denied       ok          ok      ok      denied
    ReplicateKey                         denied   denied       denied      ok      denied  denied
    RetireGrant                          denied   denied       denied      ok      ok      denied
    RevokeGrant                          denied   denied       ok          ok      denied  denied
    RotateKeyOnDemand                    denied   denied       ok          ok      denied  denied
    ScheduleKeyDeletion                  denied   denied       ok          ok      denied  denied
    Sign                                 denied   denied       ok          ok      ok      denied
    TagResource                          denied   denied       ok          ok      denied  denied
    UntagResource                        denied   denied       ok          ok      denied  denied
    UpdateAlias                          denied   denied       denied      ok      denied  denied
    UpdateCustomKeyStore                 denied   denied       denied      ok      denied  denied
    UpdateKeyDescription                 denied   denied       ok          ok      denied  denied
    UpdatePrimaryRegion                  denied   denied       denied      ok      denied  denied
    Verify                               denied   denied       ok          ok      ok      denied
    VerifyMac                            denied   denied       ok          ok      ok      denied
";

/// What a request of an operation needs: the key that it is for, and its members. `$KEY` and the like are replaced.
const REQUESTS: &str = r#"
    CancelKeyDeletion                    symmetric  {"KeyId":"$KEY"}
    ConnectCustomKeyStore                symmetric  {"CustomKeyStoreId":"cks-1234567890abcdef0"}
    CreateAlias                          symmetric  {"AliasName":"alias/new-$ROUND","TargetKeyId":"$KEY"}
    CreateCustomKeyStore                 symmetric  {"CustomKeyStoreName":"store"}
    CreateGrant                          symmetric  {"KeyId":"$KEY","GranteePrincipal":"arn:aws:iam::000000000001:role/r","Operations":["Decrypt"]}
    CreateKey                            symmetric  {}
    Decapsulate                          kem        {"KeyId":"$KEY","EncapsulationAlgorithm":"ML_KEM","SharedSecretCiphertextBlob":"AAAA"}
    Decrypt                              symmetric  {"CiphertextBlob":"$CIPHERTEXT"}
    DeleteAlias                          symmetric  {"AliasName":"$ALIAS"}
    DeleteCustomKeyStore                 symmetric  {"CustomKeyStoreId":"cks-1234567890abcdef0"}
    DeleteImportedKeyMaterial            external   {"KeyId":"$KEY"}
    DeriveSharedSecret                   agreement  {"KeyId":"$KEY","KeyAgreementAlgorithm":"ECDH","PublicKey":"AAAA"}
    DescribeCustomKeyStores              symmetric  {}
    DescribeKey                          symmetric  {"KeyId":"$KEY"}
    DisableKey                           symmetric  {"KeyId":"$KEY"}
    DisableKeyRotation                   symmetric  {"KeyId":"$KEY"}
    DisconnectCustomKeyStore             symmetric  {"CustomKeyStoreId":"cks-1234567890abcdef0"}
    EnableKey                            symmetric  {"KeyId":"$KEY"}
    EnableKeyRotation                    symmetric  {"KeyId":"$KEY"}
    Encapsulate                          kem        {"KeyId":"$KEY","EncapsulationAlgorithm":"ML_KEM"}
    Encrypt                              symmetric  {"KeyId":"$KEY","Plaintext":"AAAA"}
    GenerateDataKey                      symmetric  {"KeyId":"$KEY","KeySpec":"AES_256"}
    GenerateDataKeyPair                  symmetric  {"KeyId":"$KEY","KeyPairSpec":"ECC_NIST_P256"}
    GenerateDataKeyPairWithoutPlaintext  symmetric  {"KeyId":"$KEY","KeyPairSpec":"ECC_NIST_P256"}
    GenerateDataKeyWithoutPlaintext      symmetric  {"KeyId":"$KEY","KeySpec":"AES_256"}
    GenerateMac                          hmac       {"KeyId":"$KEY","MacAlgorithm":"HMAC_SHA_256","Message":"AAAA"}
    GenerateRandom                       symmetric  {"NumberOfBytes":16}
    GetKeyLastUsage                      symmetric  {"KeyId":"$KEY"}
    GetKeyPolicy                         symmetric  {"KeyId":"$KEY"}
    GetKeyRotationStatus                 symmetric  {"KeyId":"$KEY"}
    GetParametersForImport               external   {"KeyId":"$KEY","WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_2048"}
    GetPublicKey                         signing    {"KeyId":"$KEY"}
    ImportKeyMaterial                    external   {"KeyId":"$KEY","ImportToken":"AAAA","EncryptedKeyMaterial":"AAAA","ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"}
    ListAliases                          symmetric  {}
    ListGrants                           symmetric  {"KeyId":"$KEY"}
    ListKeyPolicies                      symmetric  {"KeyId":"$KEY"}
    ListKeyRotations                     symmetric  {"KeyId":"$KEY"}
    ListKeys                             symmetric  {}
    ListResourceTags                     symmetric  {"KeyId":"$KEY"}
    ListRetirableGrants                  symmetric  {"RetiringPrincipal":"arn:aws:iam::000000000001:user/alice"}
    PutKeyPolicy                         symmetric  {"KeyId":"$KEY","Policy":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"*\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}}"}
    ReEncrypt                            symmetric  {"CiphertextBlob":"$CIPHERTEXT","DestinationKeyId":"$KEY"}
    ReplicateKey                         primary    {"KeyId":"$KEY","ReplicaRegion":"us-west-2"}
    RetireGrant                          symmetric  {"KeyId":"$KEY","GrantId":"$GRANT"}
    RevokeGrant                          symmetric  {"KeyId":"$KEY","GrantId":"$GRANT"}
    RotateKeyOnDemand                    symmetric  {"KeyId":"$KEY"}
    ScheduleKeyDeletion                  symmetric  {"KeyId":"$KEY"}
    Sign                                 signing    {"KeyId":"$KEY","Message":"AAAA","SigningAlgorithm":"ECDSA_SHA_256"}
    TagResource                          symmetric  {"KeyId":"$KEY","Tags":[{"TagKey":"a","TagValue":"b"}]}
    UntagResource                        symmetric  {"KeyId":"$KEY","TagKeys":["a"]}
    UpdateAlias                          symmetric  {"AliasName":"$ALIAS","TargetKeyId":"$KEY"}
    UpdateCustomKeyStore                 symmetric  {"CustomKeyStoreId":"cks-1234567890abcdef0"}
    UpdateKeyDescription                 symmetric  {"KeyId":"$KEY","Description":"new"}
    UpdatePrimaryRegion                  replicated {"KeyId":"$KEY","PrimaryRegion":"us-west-2"}
    Verify                               signing    {"KeyId":"$KEY","Message":"AAAA","Signature":"AAAA","SigningAlgorithm":"ECDSA_SHA_256"}
    VerifyMac                            hmac       {"KeyId":"$KEY","MacAlgorithm":"HMAC_SHA_256","Message":"AAAA","Mac":"AAAA"}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_by_what_the_caller_has() {
    let requests: BTreeMap<&str, (&str, &str)> = rows(REQUESTS).map(|(name, rest)| (name, split(rest))).collect();
    let mut table = rows(TABLE);
    let columns: Vec<&str> = table.next().expect("a heading").1.split_whitespace().collect();
    let expected: BTreeMap<&str, Vec<&str>> =
        table.map(|(name, cells)| (name, cells.split_whitespace().collect())).collect();
    let scene = Scene::set().await;
    let mut wrong = Vec::new();
    for operation in Operation::ALL {
        let name = operation.name();
        let cells = expected.get(name).unwrap_or_else(|| panic!("{name} has no row"));
        let (kind, body) = requests.get(name).unwrap_or_else(|| panic!("{name} has no request"));
        for (column, cell) in columns.iter().zip(cells) {
            let found = scene.try_out(*operation, kind, body, column).await;
            if found.0 != *cell {
                wrong.push(format!("{name} by {column}: {cell} expected, but {}", found.1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    scene.cluster.shutdown().await;
}

fn rows(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    table.lines().map(str::trim).filter(|line| !line.is_empty()).map(split)
}

fn split(line: &'static str) -> (&'static str, &'static str) {
    let (first, rest) = line.split_once(' ').expect("at least two columns");
    (first, rest.trim())
}

/// Two Regions of one node; an account, and Alice in it.
struct Scene {
    cluster: Cluster,
    owner: Client,
    alice: Identity,
    round: std::cell::Cell<u32>,
}

/// A key of a round, and what there is about it.
struct Fixture {
    key: KeyArn,
    other: KeyArn,
    ciphertext: Option<Blob>,
    alias: String,
    grant: String,
}

impl Scene {
    async fn set() -> Self {
        let cluster = Cluster::builder().regions(&["us-east-1", "us-west-2"]).nodes(1).start().await;
        let home = cluster.regions()[0].clone();
        let owner = cluster.client(&home);
        let alice = cluster.create_user(account(1), "alice").await;
        Self { cluster, owner, alice, round: std::cell::Cell::new(0) }
    }

    /// Asks for `operation` as Alice, who has what `column` says.
    async fn try_out(&self, operation: Operation, kind: &str, body: &str, column: &str) -> (&'static str, String) {
        self.round.set(self.round.get() + 1);
        let fixture = self.fixture(kind, operation, column).await;
        let actions = actions(operation);
        let identity = match column {
            "another_key" => Some(identity_policy(&actions, &fixture.other.to_string())),
            "iam" | "deny" => Some(identity_policy(&actions, "*")),
            _ => None,
        };
        self.cluster.set_policy(&self.alice, identity.as_deref()).await;
        if matches!(operation, Operation::ReplicateKey | Operation::UpdatePrimaryRegion) {
            self.cluster.await_policy_everywhere(&self.alice).await;
        }
        let (is_allowed, is_denied) = (matches!(column, "key_policy" | "deny"), column == "deny");
        self.put_policy(&fixture.key, key_policy(&actions, is_allowed, is_denied)).await;
        if is_denied && identity_alone_decides(operation) {
            let denial = denying_policy(&actions);
            self.cluster.set_policy(&self.alice, Some(&denial)).await;
        }
        self.put_policy(&fixture.other, key_policy(&actions, column == "another_key", false)).await;
        let body = body
            .replace("$KEY", &fixture.key.to_string())
            .replace("$ALIAS", &fixture.alias)
            .replace("$GRANT", &fixture.grant)
            .replace("$ROUND", &self.round.get().to_string())
            .replace("$CIPHERTEXT", &STANDARD.encode(fixture.ciphertext.as_ref().map_or(&b"none"[..], Blob::as_slice)));
        let request = Request::decode(operation, body.as_bytes()).expect("a request of the operation");
        match self.owner.with_caller(&self.alice.caller).send(request).await {
            Err(error) if error.code == ErrorCode::AccessDenied => ("denied", error.to_string()),
            // Whatever else is wrong with the request, it was permitted; but these would come before any decision.
            Err(error)
                if matches!(
                    error.code,
                    ErrorCode::UnrecognizedClient | ErrorCode::DependencyTimeout | ErrorCode::KmsInternal
                ) =>
            {
                ("undecided", error.to_string())
            }
            Err(error) => ("ok", error.to_string()),
            Ok(_) => ("ok", "done".to_owned()),
        }
    }

    async fn put_policy(&self, key: &KeyArn, policy: String) {
        let put = PutKeyPolicyRequest {
            key_id: key.to_string(),
            policy,
            bypass_policy_lockout_safety_check: Some(true),
            ..PutKeyPolicyRequest::default()
        };
        self.owner.call(put).await.expect("the owner may");
    }

    async fn fixture(&self, kind: &str, operation: Operation, column: &str) -> Fixture {
        let key = self.create(kind).await;
        let other = self.create("symmetric").await;
        if kind == "replicated" {
            self.owner.replicate(&key, "us-west-2").await.expect("replicated");
            self.cluster.await_quiet().await;
        }
        let symmetric = matches!(kind, "symmetric" | "primary" | "replicated");
        let ciphertext = if symmetric { self.owner.encrypt(&key, b"text").await.ok() } else { None };
        let alias = format!("alias/of-round-{}", self.round.get());
        let request = CreateAliasRequest { alias_name: alias.clone(), target_key_id: key.to_string() };
        self.owner.call(request).await.expect("the owner may");
        let grant = self.grant(&key, operation, matches!(column, "grant" | "deny")).await;
        Fixture { key, other, ciphertext, alias, grant }
    }

    /// A grant of what `operation` takes, or of everything else if no grant can give that; to Alice or to somebody else.
    async fn grant(&self, key: &KeyArn, operation: Operation, to_alice: bool) -> String {
        let metadata = self.owner.describe(key).await.expect("the owner may");
        let operations = grantable(&actions(operation), &metadata);
        let name = if to_alice { "user/alice" } else { "role/nobody" };
        let body = serde_json::json!({
            "KeyId": key.to_string(),
            "GranteePrincipal": format!("arn:aws:iam::000000000001:{name}"),
            "Operations": operations,
        });
        let request = Request::decode(Operation::CreateGrant, body.to_string().as_bytes()).expect("a grant");
        match self.owner.send(request).await {
            Ok(Response::CreateGrant(made)) => made.grant_id,
            Err(refused) if refused.code == ErrorCode::KmsInvalidState => String::new(), // it waits for its material
            other => panic!("{other:?} is no answer of CreateGrant"),
        }
    }

    async fn create(&self, kind: &str) -> KeyArn {
        let (spec, usage) = match kind {
            "hmac" => (KeySpec::Hmac256, KeyUsageType::GenerateVerifyMac),
            "signing" => (KeySpec::EccNistP256, KeyUsageType::SignVerify),
            "agreement" => (KeySpec::EccNistP256, KeyUsageType::KeyAgreement),
            "kem" => (KeySpec::MlKem768, KeyUsageType::EncapsulateDecapsulate),
            _ => (KeySpec::SymmetricDefault, KeyUsageType::EncryptDecrypt),
        };
        let request = CreateKeyRequest {
            key_spec: Some(spec),
            key_usage: Some(usage),
            origin: (kind == "external").then_some(OriginType::External),
            multi_region: Some(matches!(kind, "primary" | "replicated")),
            ..CreateKeyRequest::default()
        };
        let metadata = self.owner.call(request).await.expect("the owner may").key_metadata;
        metadata.arn.parse().expect("an ARN")
    }
}

/// The permissions that `operation` needs.
fn actions(operation: Operation) -> Vec<String> {
    let names: &[&str] = match operation {
        Operation::ReEncrypt => &["ReEncryptFrom", "ReEncryptTo"],
        Operation::ReplicateKey => &["ReplicateKey", "CreateKey"],
        operation => &[operation.name()],
    };
    names.iter().map(|name| format!("kms:{name}")).collect()
}

/// Whether only identity policies can deny, as there is no key to have a policy.
fn identity_alone_decides(operation: Operation) -> bool {
    use Operation as O;
    matches!(
        operation,
        O::ConnectCustomKeyStore
            | O::CreateCustomKeyStore
            | O::CreateKey
            | O::DeleteCustomKeyStore
            | O::DescribeCustomKeyStores
            | O::DisconnectCustomKeyStore
            | O::GenerateRandom
            | O::ListAliases
            | O::ListKeys
            | O::ListRetirableGrants
            | O::UpdateCustomKeyStore
    )
}

/// Of `actions`, what a grant can give on the key; `DescribeKey` and `RetireGrant`, or one of them, if that is nothing.
fn grantable(actions: &[String], key: &meridian_model::shapes::KeyMetadata) -> Vec<String> {
    use meridian_model::{GrantOperation, WireEnum};
    let names = actions.iter().filter_map(|action| action.strip_prefix("kms:"));
    let mut wanted: Vec<String> = names
        .filter(|name| {
            let operation = GrantOperation::from_wire(name);
            operation.is_some_and(|it| meridian_policy::grant_creation::supports(key.key_spec, key.key_usage, it))
        })
        .map(str::to_owned)
        .collect();
    if wanted.is_empty() {
        wanted.extend(["DescribeKey", "RetireGrant"].map(str::to_owned));
    } else if wanted == ["CreateGrant"] {
        wanted.push("Decrypt".to_owned());
    }
    wanted
}

fn identity_policy(actions: &[String], resource: &str) -> String {
    let statement = serde_json::json!({"Effect": "Allow", "Action": actions, "Resource": resource});
    serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn denying_policy(actions: &[String]) -> String {
    let allow = serde_json::json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
    let deny = serde_json::json!({"Effect": "Deny", "Action": actions, "Resource": "*"});
    serde_json::json!({"Version": "2012-10-17", "Statement": [allow, deny]}).to_string()
}

/// The account may delegate; Alice may `actions`, or may not, by name.
fn key_policy(actions: &[String], allows: bool, denies: bool) -> String {
    let account = serde_json::json!({"AWS": "arn:aws:iam::000000000001:root"});
    let alice = serde_json::json!({"AWS": ALICE});
    let mut statements =
        vec![serde_json::json!({"Effect": "Allow", "Principal": account, "Action": "kms:*", "Resource": "*"})];
    for (effect, is_there) in [("Allow", allows), ("Deny", denies)] {
        if is_there {
            statements
                .push(serde_json::json!({"Effect": effect, "Principal": alice, "Action": actions, "Resource": "*"}));
        }
    }
    serde_json::json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

const ALICE: &str = "arn:aws:iam::000000000001:user/alice";
