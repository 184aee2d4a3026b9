//! Grant tokens: what a request names grants by, before they are visible everywhere.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use meridian_crypto::{GrantToken, GrantTokenKey};
use meridian_model::{ErrorCode, GrantId, KeyId, Request, ServiceError};

/// The grants that a request names by tokens. At most ten; the API model says so.
#[derive(Clone, Debug, Default)]
pub(crate) struct NamedGrants(Vec<GrantToken>);

impl NamedGrants {
    /// Reads the tokens of `request`, whatever its operation, so that no operation can forget them.
    ///
    /// # Errors
    /// `InvalidGrantTokenException`.
    pub(crate) fn of(tokens: &GrantTokenKey, request: &Request) -> Result<Self, ServiceError> {
        let named = grant_tokens(request).iter().map(|token| open_token(tokens, token));
        named.collect::<Result<_, _>>().map(Self)
    }

    /// The grants on a key that the request names. Tokens of grants on other keys, and of grants that have ended, mean
    /// nothing.
    pub(crate) fn on(&self, key_id: KeyId) -> impl Iterator<Item = GrantId> + '_ {
        self.0.iter().filter(move |token| token.key_id == key_id).map(|token| token.grant_id)
    }
}

/// The grant that `token` names.
///
/// # Errors
/// `InvalidGrantTokenException` for a text that this Region has not made.
pub(crate) fn open_token(tokens: &GrantTokenKey, token: &str) -> Result<GrantToken, ServiceError> {
    let opened = STANDARD.decode(token).ok().and_then(|bytes| tokens.open(&bytes));
    opened.ok_or_else(|| ServiceError::new(ErrorCode::InvalidGrantToken, "A grant token in the request is not valid."))
}

/// What `token` says, true or not.
pub(crate) fn parse_token_unverified(token: &str) -> Option<GrantToken> {
    STANDARD.decode(token).ok().and_then(|bytes| GrantToken::parse_unverified(&bytes))
}

/// A token as text.
pub(crate) fn encode_token(token: &[u8]) -> String {
    STANDARD.encode(token)
}

fn grant_tokens(request: &Request) -> &[String] {
    match request {
        Request::CreateGrant(request) => &request.grant_tokens,
        Request::Decapsulate(request) => &request.grant_tokens,
        Request::Decrypt(request) => &request.grant_tokens,
        Request::DeriveSharedSecret(request) => &request.grant_tokens,
        Request::DescribeKey(request) => &request.grant_tokens,
        Request::Encapsulate(request) => &request.grant_tokens,
        Request::Encrypt(request) => &request.grant_tokens,
        Request::GenerateDataKey(request) => &request.grant_tokens,
        Request::GenerateDataKeyPair(request) => &request.grant_tokens,
        Request::GenerateDataKeyPairWithoutPlaintext(request) => &request.grant_tokens,
        Request::GenerateDataKeyWithoutPlaintext(request) => &request.grant_tokens,
        Request::GenerateMac(request) => &request.grant_tokens,
        Request::GetPublicKey(request) => &request.grant_tokens,
        Request::ReEncrypt(request) => &request.grant_tokens,
        Request::Sign(request) => &request.grant_tokens,
        Request::Verify(request) => &request.grant_tokens,
        Request::VerifyMac(request) => &request.grant_tokens,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_model::{GrantOperation, Operation, WireEnum};

    /// A member that is added to the model and forgotten here would let tokens go unnoticed.
    #[test]
    fn every_operation_with_tokens_is_read() {
        let key = "00".repeat(64);
        let body = format!(
            r#"{{"KeyId":"k","GrantTokens":["t"],"DestinationKeyId":"k","CiphertextBlob":"AAAA","Plaintext":"AAAA",
            "Message":"AAAA","Mac":"AAAA","Signature":"AAAA","PublicKey":"AAAA","SigningAlgorithm":"ECDSA_SHA_256",
            "MacAlgorithm":"HMAC_SHA_256","KeyPairSpec":"RSA_2048","KeyAgreementAlgorithm":"ECDH","Operations":["Sign"],
            "EncapsulationAlgorithm":"ML_KEM","SharedSecretCiphertextBlob":"AAAA","GrantToken":"{key}","GrantId":"g"}}"#
        );
        for operation in Operation::ALL {
            let Ok(request) = Request::decode(*operation, body.as_bytes()) else { continue };
            let sent = String::from_utf8(request.to_json()).expect("JSON");
            assert_eq!(grant_tokens(&request).len(), usize::from(sent.contains("GrantTokens")), "{operation}");
        }
        let granted = GrantOperation::VALUES.iter().filter_map(|name| Operation::from_name(name));
        let with_tokens = granted.filter(|operation| *operation != Operation::RetireGrant);
        for operation in with_tokens {
            let request = Request::decode(operation, body.as_bytes()).expect("every required member is there");
            assert_eq!(grant_tokens(&request).len(), 1, "{operation}");
        }
    }
}
