//! The authorities whose attestation documents are believed, read from files and settings.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use meridian_crypto::AttestationRoots;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Roots from certificates in PEM files and from fingerprints.
///
/// # Errors
/// If a file cannot be read or holds no certificate of an authority.
pub(crate) fn roots(files: &[PathBuf], fingerprints: &[String]) -> Result<AttestationRoots> {
    let mut roots = AttestationRoots::default();
    for file in files {
        add_file(&mut roots, file).with_context(|| format!("the attestation root {}", file.display()))?;
    }
    for text in fingerprints {
        let sha256 =
            fingerprint(text).with_context(|| format!("{text} is no SHA-256 hash of 64 hexadecimal digits"))?;
        roots.trust_fingerprint(sha256);
    }
    Ok(roots)
}

fn add_file(roots: &mut AttestationRoots, file: &Path) -> Result<()> {
    let mut count = 0;
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.trust_certificate(&certificate?)?;
        count += 1;
    }
    ensure!(count > 0, "it holds no certificate");
    Ok(())
}

/// A SHA-256 hash in hexadecimal, with or without colons, as `openssl x509 -fingerprint -sha256` shows it.
pub(crate) fn fingerprint(text: &str) -> Option<[u8; 32]> {
    hex::decode(text.replace(':', "")).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_with_and_without_colons() {
        let colons = vec!["aB"; 32].join(":");
        assert_eq!(fingerprint(&colons), Some([0xab; 32]));
        assert_eq!(fingerprint(&colons.replace(':', "")), Some([0xab; 32]));
        assert_eq!(fingerprint("ab"), None);
        assert_eq!(fingerprint(&"x".repeat(64)), None);
    }

    #[test]
    fn files_without_certificates_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("root.pem");
        assert!(roots(std::slice::from_ref(&file), &[]).is_err());
        std::fs::write(&file, "nothing").expect("written");
        assert!(roots(&[file], &[]).is_err());
        assert!(roots(&[], &["zz".to_owned()]).is_err());
        assert!(roots(&[], &[]).expect("nobody is trusted").is_empty());
    }
}
