//! Key derivation: NIST SP 800-108r1, counter mode, with HMAC-SHA-256.
//!
//! `K(i) = HMAC(key, [i] || label || 0x00 || context || [L])` with `[i]` and `[L]` (in bits) of 32 bits, big-endian.
//! Only outputs of 256 bits are needed, so `i` is always 1 and `L` always 256.

use zeroize::Zeroizing;

use crate::mac::{MAC_LEN, MacKey};

/// Derives 32 bytes from `key` for the purpose `label` and the occasion `context`.
///
/// Labels contain no zero byte, so the zero after them marks their end.
#[must_use]
pub fn derive(key: &MacKey, label: &[u8], context: &[u8]) -> Zeroizing<[u8; MAC_LEN]> {
    debug_assert!(!label.contains(&0), "a label ends at the first zero byte");
    Zeroizing::new(key.tag(&[&1u32.to_be_bytes(), label, &[0], context, &OUTPUT_BITS.to_be_bytes()]))
}

const OUTPUT_BITS: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::kdf::{KbkdfCtrHmacAlgorithmId, get_kbkdf_ctr_hmac_algorithm, kbkdf_ctr_hmac};
    use proptest::prelude::*;

    /// The same derivation by AWS-LC, which takes label, zero byte, context and length as one string.
    fn derive_by_aws_lc(key: &[u8], label: &[u8], context: &[u8]) -> [u8; 32] {
        let info = [label, &[0], context, &256u32.to_be_bytes()].concat();
        let algorithm = get_kbkdf_ctr_hmac_algorithm(KbkdfCtrHmacAlgorithmId::Sha256).expect("offered");
        let mut output = [0; 32];
        kbkdf_ctr_hmac(algorithm, key, &info, &mut output).expect("valid lengths");
        output
    }

    proptest! {
        #[test]
        fn agrees_with_a_second_implementation(
            key in proptest::collection::vec(any::<u8>(), 1..100),
            label in proptest::collection::vec(1u8.., 0..40),
            context in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            prop_assert_eq!(*derive(&MacKey::new(&key), &label, &context), derive_by_aws_lc(&key, &label, &context));
        }
    }
}
