//! Typed requests to the service, in process: what a client sends over HTTP, without HTTP and signatures.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use meridian::endpoint::RegionEndpoint;
use meridian_identity::query::Form;
use meridian_identity::query::answer::success;
use meridian_identity::{Caller, CallerSource};
#[allow(clippy::wildcard_imports)] // the requests and responses of the operations below
use meridian_model::shapes::*;
use meridian_model::{AccountId, Blob, DataKeySpec, KeyId, Partition, Request, Response, SecretBlob, ServiceError};
use meridian_server::Endpoint;
use meridian_service::{Service, VpcEndpoint};

/// A request of one operation, and the answer that belongs to it.
pub trait Call: Into<Request> {
    /// The answer.
    type Answer;

    /// The answer, if `response` is one of this operation.
    fn answer(response: Response) -> Option<Self::Answer>;
}

macro_rules! calls {
    ($($operation:ident: $request:ident -> $answer:ident;)+) => {$(
        impl Call for $request {
            type Answer = $answer;

            fn answer(response: Response) -> Option<$answer> {
                match response {
                    Response::$operation(answer) => Some(answer),
                    _ => None,
                }
            }
        }
    )+};
}

calls! {
    CancelKeyDeletion: CancelKeyDeletionRequest -> CancelKeyDeletionResponse;
    CreateAlias: CreateAliasRequest -> CreateAliasResponse;
    CreateGrant: CreateGrantRequest -> CreateGrantResponse;
    CreateKey: CreateKeyRequest -> CreateKeyResponse;
    Decapsulate: DecapsulateRequest -> DecapsulateResponse;
    Decrypt: DecryptRequest -> DecryptResponse;
    DeleteAlias: DeleteAliasRequest -> DeleteAliasResponse;
    DeriveSharedSecret: DeriveSharedSecretRequest -> DeriveSharedSecretResponse;
    DeleteImportedKeyMaterial: DeleteImportedKeyMaterialRequest -> DeleteImportedKeyMaterialResponse;
    DescribeKey: DescribeKeyRequest -> DescribeKeyResponse;
    DisableKey: DisableKeyRequest -> DisableKeyResponse;
    DisableKeyRotation: DisableKeyRotationRequest -> DisableKeyRotationResponse;
    EnableKey: EnableKeyRequest -> EnableKeyResponse;
    EnableKeyRotation: EnableKeyRotationRequest -> EnableKeyRotationResponse;
    Encapsulate: EncapsulateRequest -> EncapsulateResponse;
    Encrypt: EncryptRequest -> EncryptResponse;
    GenerateDataKey: GenerateDataKeyRequest -> GenerateDataKeyResponse;
    GenerateDataKeyPair: GenerateDataKeyPairRequest -> GenerateDataKeyPairResponse;
    GenerateDataKeyWithoutPlaintext:
        GenerateDataKeyWithoutPlaintextRequest -> GenerateDataKeyWithoutPlaintextResponse;
    GenerateMac: GenerateMacRequest -> GenerateMacResponse;
    GenerateRandom: GenerateRandomRequest -> GenerateRandomResponse;
    GetKeyLastUsage: GetKeyLastUsageRequest -> GetKeyLastUsageResponse;
    GetKeyPolicy: GetKeyPolicyRequest -> GetKeyPolicyResponse;
    GetKeyRotationStatus: GetKeyRotationStatusRequest -> GetKeyRotationStatusResponse;
    GetPublicKey: GetPublicKeyRequest -> GetPublicKeyResponse;
    GetParametersForImport: GetParametersForImportRequest -> GetParametersForImportResponse;
    ImportKeyMaterial: ImportKeyMaterialRequest -> ImportKeyMaterialResponse;
    ListAliases: ListAliasesRequest -> ListAliasesResponse;
    ListKeyRotations: ListKeyRotationsRequest -> ListKeyRotationsResponse;
    ListKeys: ListKeysRequest -> ListKeysResponse;
    ListResourceTags: ListResourceTagsRequest -> ListResourceTagsResponse;
    PutKeyPolicy: PutKeyPolicyRequest -> PutKeyPolicyResponse;
    ReEncrypt: ReEncryptRequest -> ReEncryptResponse;
    ReplicateKey: ReplicateKeyRequest -> ReplicateKeyResponse;
    RevokeGrant: RevokeGrantRequest -> RevokeGrantResponse;
    RotateKeyOnDemand: RotateKeyOnDemandRequest -> RotateKeyOnDemandResponse;
    ScheduleKeyDeletion: ScheduleKeyDeletionRequest -> ScheduleKeyDeletionResponse;
    Sign: SignRequest -> SignResponse;
    TagResource: TagResourceRequest -> TagResourceResponse;
    UntagResource: UntagResourceRequest -> UntagResourceResponse;
    UpdateAlias: UpdateAliasRequest -> UpdateAliasResponse;
    UpdateKeyDescription: UpdateKeyDescriptionRequest -> UpdateKeyDescriptionResponse;
    UpdatePrimaryRegion: UpdatePrimaryRegionRequest -> UpdatePrimaryRegionResponse;
    Verify: VerifyRequest -> VerifyResponse;
    VerifyMac: VerifyMacRequest -> VerifyMacResponse;
}

/// Who answers.
#[derive(Clone, Debug)]
enum Target {
    /// One node, as long as this run of it lasts.
    Node(Service),
    /// The running nodes of a Region in turn.
    Region(Arc<RegionEndpoint>),
}

/// Calls the service as one caller, the root user of an account unless told otherwise. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    target: Target,
    caller: Arc<Caller>,
    endpoint: Option<VpcEndpoint>,
}

impl Client {
    pub(crate) fn of_node(service: Service) -> Self {
        Self { target: Target::Node(service), caller: root(account(1)), endpoint: None }
    }

    pub(crate) fn of_region(endpoint: Arc<RegionEndpoint>) -> Self {
        Self { target: Target::Region(endpoint), caller: root(account(1)), endpoint: None }
    }

    /// The same, as the root user of `account`.
    #[must_use]
    pub fn with_account(&self, account: AccountId) -> Self {
        Self { caller: root(account), ..self.clone() }
    }

    /// The same, as `caller`.
    #[must_use]
    pub fn with_caller(&self, caller: &Arc<Caller>) -> Self {
        Self { caller: Arc::clone(caller), ..self.clone() }
    }

    /// The same, through a private endpoint of the node that is asked.
    ///
    /// # Panics
    /// If the client is not one of a node.
    #[must_use]
    pub fn through(&self, endpoint: VpcEndpoint) -> Self {
        assert!(matches!(self.target, Target::Node(_)), "private endpoints are those of nodes");
        Self { endpoint: Some(endpoint), ..self.clone() }
    }

    /// Sends `request` once and waits for its answer.
    ///
    /// # Errors
    /// What a client is told.
    pub async fn call<C: Call>(&self, request: C) -> Result<C::Answer, ServiceError> {
        let response = self.send(request.into()).await?;
        Ok(C::answer(response).expect("an operation gives its own answer"))
    }

    /// As [`Client::call`], for a request of any operation.
    ///
    /// # Errors
    /// What a client is told.
    pub async fn send(&self, request: Request) -> Result<Response, ServiceError> {
        let operation = request.operation();
        match &self.target {
            Target::Node(service) => service.call(self.node_context(), request).await,
            Target::Region(endpoint) => {
                let body = endpoint.call(self.context(), request).await?;
                Response::decode(operation, &body)
            }
        }
    }

    /// Sends a request of `action` to IAM, on the node of the client; `parameters` are as in a form. Gives the answer in XML.
    ///
    /// # Panics
    /// If it is refused, or the client is not one of a node.
    pub async fn iam(&self, action: &str, parameters: &str) -> String {
        let Target::Node(service) = &self.target else { panic!("a client of a node is needed") };
        let text = format!("Action={action}&Version=2010-05-08&{parameters}");
        let form = Form::parse(&[text.as_bytes()]).expect("a form");
        let answer = service.query(self.node_context(), meridian_identity::Service::Iam, form).await;
        let answer = answer.unwrap_or_else(|error| panic!("{action} was refused: {error:?}"));
        success(meridian_identity::Service::Iam, action, &answer, "of a test").body
    }

    /// A new key with the description `description`.
    ///
    /// # Errors
    /// Those of `CreateKey`.
    pub async fn create_key(&self, description: &str) -> Result<KeyMetadata, ServiceError> {
        let request = CreateKeyRequest { description: Some(description.to_owned()), ..CreateKeyRequest::default() };
        Ok(self.call(request).await?.key_metadata)
    }

    /// A new multi-Region primary key.
    ///
    /// # Errors
    /// Those of `CreateKey`.
    pub async fn create_multi_region_key(&self) -> Result<KeyId, ServiceError> {
        let request = CreateKeyRequest { multi_region: Some(true), ..CreateKeyRequest::default() };
        let metadata = self.call(request).await?.key_metadata;
        Ok(metadata.key_id.parse().expect("the service makes valid key IDs"))
    }

    /// What is known of a key.
    ///
    /// # Errors
    /// Those of `DescribeKey`.
    pub async fn describe(&self, key_id: impl ToString) -> Result<KeyMetadata, ServiceError> {
        let request = DescribeKeyRequest { key_id: key_id.to_string(), ..DescribeKeyRequest::default() };
        Ok(self.call(request).await?.key_metadata)
    }

    /// Replicates a key into another Region.
    ///
    /// # Errors
    /// Those of `ReplicateKey`.
    pub async fn replicate(
        &self,
        key_id: impl ToString,
        to: impl ToString,
    ) -> Result<ReplicateKeyResponse, ServiceError> {
        let (key_id, replica_region) = (key_id.to_string(), to.to_string());
        self.call(ReplicateKeyRequest { key_id, replica_region, ..ReplicateKeyRequest::default() }).await
    }

    /// Starts the waiting period of a deletion.
    ///
    /// # Errors
    /// Those of `ScheduleKeyDeletion`.
    pub async fn schedule_deletion(
        &self,
        key_id: impl ToString,
        window_days: u32,
    ) -> Result<ScheduleKeyDeletionResponse, ServiceError> {
        let pending_window_in_days = Some(window_days);
        self.call(ScheduleKeyDeletionRequest { key_id: key_id.to_string(), pending_window_in_days }).await
    }

    /// Encrypts without an encryption context.
    ///
    /// # Errors
    /// Those of `Encrypt`.
    pub async fn encrypt(&self, key_id: impl ToString, plaintext: &[u8]) -> Result<Blob, ServiceError> {
        let request = EncryptRequest {
            key_id: key_id.to_string(),
            plaintext: SecretBlob::from(plaintext),
            encryption_context: BTreeMap::new(),
            grant_tokens: Vec::new(),
            encryption_algorithm: None,
            dry_run: None,
        };
        Ok(self.call(request).await?.ciphertext_blob)
    }

    /// Decrypts what [`Client::encrypt`] gave, or whatever else has no encryption context.
    ///
    /// # Errors
    /// Those of `Decrypt`.
    pub async fn decrypt(&self, ciphertext: &Blob) -> Result<Vec<u8>, ServiceError> {
        let request = DecryptRequest { ciphertext_blob: Some(ciphertext.clone()), ..DecryptRequest::default() };
        let plaintext = self.call(request).await?.plaintext.expect("nobody asked for a recipient");
        Ok(plaintext.expose().to_vec())
    }

    /// A data key of 256 bits, in clear and encrypted.
    ///
    /// # Errors
    /// Those of `GenerateDataKey`.
    pub async fn data_key(&self, key_id: impl ToString) -> Result<(Vec<u8>, Blob), ServiceError> {
        let request = GenerateDataKeyRequest {
            key_id: key_id.to_string(),
            key_spec: Some(DataKeySpec::Aes256),
            ..GenerateDataKeyRequest::default()
        };
        let answer = self.call(request).await?;
        let plaintext = answer.plaintext.expect("nobody asked for a recipient");
        Ok((plaintext.expose().to_vec(), answer.ciphertext_blob))
    }

    fn node_context(&self) -> meridian_service::CallContext {
        meridian_service::CallContext {
            request_id: request_id(),
            caller: Arc::clone(&self.caller),
            source_ip: LOOPBACK,
            user_agent: Some(USER_AGENT.to_owned()),
            tls: None,
            endpoint: self.endpoint.clone(),
        }
    }

    fn context(&self) -> meridian_server::CallContext {
        meridian_server::CallContext {
            request_id: request_id(),
            caller: Arc::clone(&self.caller),
            source_ip: LOOPBACK,
            user_agent: Some(USER_AGENT.to_owned()),
            host_header: None,
            tls: None,
        }
    }
}

/// The account with the number `number`; tests use 1 unless they need others.
#[must_use]
pub fn account(number: u64) -> AccountId {
    format!("{number:012}").parse().expect("twelve digits")
}

fn root(account: AccountId) -> Arc<Caller> {
    // As the credentials of a configuration are, so that no access key has to stand in the state.
    let caller = Caller::root(Partition::Aws, account, &account.to_string());
    Arc::new(Caller { source: CallerSource::Configuration, ..caller })
}

/// Unique within the test.
fn request_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("testkit-{:08}", NEXT.fetch_add(1, Ordering::Relaxed))
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const USER_AGENT: &str = "meridian-testkit";
