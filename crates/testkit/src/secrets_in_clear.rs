//! Every secret of a Region in clear, to search for where it must not be.
//!
//! Opens what is stored by the written form of the key hierarchy, without the types that guard secrets elsewhere: a
//! domain key never leaves those.

use meridian_crypto::aead::AeadKey;
use meridian_crypto::mac::MacKey;
use meridian_crypto::{SealedSecret, SecretBytes, WrappedDomainKey, kdf};
use meridian_model::{AccountId, Region, UniqueId};
use meridian_state::identities::AccessKeyRecord;
use meridian_state::rows::Row;
use meridian_state::{IdentityRow, MaterialRecord, RegionState};
use meridian_storage::vault::FileSeal;

use crate::cluster::Cluster;
use crate::data_files::Pattern;

/// The root key, the domain keys, the key material and the secrets of identities of one Region.
pub struct SecretsInClear {
    region: Region,
    root_key: Vec<u8>,
    domain_keys: Vec<SecretBytes>,
    materials: Vec<SecretBytes>,
    identity_secrets: Vec<SecretBytes>,
}

impl SecretsInClear {
    /// Opens everything that `state` holds with the root key of its Region.
    ///
    /// # Panics
    /// If anything does not open.
    #[must_use]
    pub fn open(cluster: &Cluster, state: &RegionState) -> Self {
        let region = state.region().clone();
        let root_key = FileSeal::at(cluster.root_key_file(&region)).open().expect("the seal opens");
        let root_key = root_key.expose_to_seal().expose().to_vec();
        let (mut domain_keys, mut materials, mut identity_secrets) = (Vec::new(), Vec::new(), Vec::new());
        let opened_by = |sealed: &SealedSecret| {
            let wrapped = state.domain_key(sealed.domain_key_id).expect("a secret has a domain key");
            domain_key(&root_key, &region, wrapped)
        };
        for (id, value) in state.rows() {
            match Row::decode(&id, &value).expect("a row of this build") {
                Row::DomainKey(wrapped) => domain_keys.push(domain_key(&root_key, &region, &wrapped)),
                Row::Material(row) => {
                    let account = state.key(row.key_id).expect("material has a key").account;
                    let wrapped = state.domain_key(row.sealed.domain_key_id).expect("material has a domain key");
                    materials.push(material(&domain_key(&root_key, &region, wrapped), account, &row));
                }
                Row::Identity(IdentityRow::AccessKey(row)) => {
                    let place = access_key_place(&row);
                    identity_secrets.push(identity_secret(&opened_by(&row.sealed), &place, &row.sealed));
                }
                Row::Identity(IdentityRow::SessionKey(row)) => {
                    let place: [&[u8]; 2] = [b"session key", &row.id.0];
                    identity_secrets.push(identity_secret(
                        &opened_by(&row.sealed),
                        &place.map(<[u8]>::to_vec),
                        &row.sealed,
                    ));
                }
                _ => {}
            }
        }
        Self { region, root_key, domain_keys, materials, identity_secrets }
    }

    /// How many domain keys and how many versions of key material there are.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.domain_keys.len(), self.materials.len())
    }

    /// How many secrets of identities there are.
    #[must_use]
    pub fn identity_count(&self) -> usize {
        self.identity_secrets.len()
    }

    /// All of them in every form in which somebody could have written them.
    #[must_use]
    pub fn patterns(&self) -> Vec<Pattern> {
        let region = &self.region;
        let mut patterns = Pattern::in_every_form(&format!("root key of {region}"), &self.root_key);
        for (number, key) in self.domain_keys.iter().enumerate() {
            patterns.extend(Pattern::in_every_form(&format!("domain key {number} of {region}"), key.expose()));
        }
        for (number, material) in self.materials.iter().enumerate() {
            patterns.extend(Pattern::in_every_form(&format!("material {number} of {region}"), material.expose()));
        }
        for (number, secret) in self.identity_secrets.iter().enumerate() {
            patterns.extend(Pattern::in_every_form(&format!("identity secret {number} of {region}"), secret.expose()));
        }
        patterns
    }
}

fn domain_key(root_key: &[u8], region: &Region, wrapped: &WrappedDomainKey) -> SecretBytes {
    let wrapping = AeadKey::new(&kdf::derive(&MacKey::new(root_key), b"meridian domain key wrapping v1", &[]));
    let made_at = wrapped.created_at.as_millis().to_be_bytes();
    let bound = fields(&[b"meridian wrapped domain key v1", region.as_str().as_bytes(), &wrapped.id.0, &made_at]);
    wrapping.open(&wrapped.nonce, &bound, &wrapped.ciphertext).expect("the root key opens its domain keys")
}

/// The bytes of the material alone, without the byte that names its kind.
fn material(domain_key: &SecretBytes, account: AccountId, row: &MaterialRecord) -> SecretBytes {
    let key = AeadKey::new(domain_key.expose().try_into().expect("a domain key of 256 bits"));
    let bound = fields(&[
        b"meridian sealed key material v1",
        account.to_string().as_bytes(),
        &row.key_id.to_bytes(),
        row.material_id.as_bytes(),
        &row.sealed.domain_key_id.0,
    ]);
    let opened = key.open(&row.sealed.nonce, &bound, &row.sealed.ciphertext).expect("its domain key opens it");
    SecretBytes::copy_from(&opened.expose()[1..])
}

fn access_key_place(row: &AccessKeyRecord) -> Vec<Vec<u8>> {
    let user = row.user.as_ref().map_or("", UniqueId::as_str);
    ["access key", &row.account.to_string(), user, row.id.as_str()].map(|text| text.as_bytes().to_vec()).into()
}

fn identity_secret(domain_key: &SecretBytes, place: &[Vec<u8>], sealed: &SealedSecret) -> SecretBytes {
    let key = AeadKey::new(domain_key.expose().try_into().expect("a domain key of 256 bits"));
    let mut bound: Vec<&[u8]> = vec![b"meridian sealed identity secret v1"];
    bound.extend(place.iter().map(Vec::as_slice));
    bound.push(&sealed.domain_key_id.0);
    key.open(&sealed.nonce, &fields(&bound), &sealed.ciphertext).expect("its domain key opens it")
}

/// Fields one after the other, each preceded by its length in 4 bytes.
fn fields(fields: &[&[u8]]) -> Vec<u8> {
    let prefixed = |field: &&[u8]| {
        let len = u32::try_from(field.len()).expect("a short field");
        [&len.to_be_bytes(), *field].concat()
    };
    fields.iter().flat_map(prefixed).collect()
}
