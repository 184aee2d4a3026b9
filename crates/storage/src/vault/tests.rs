use super::*;
use std::os::unix::fs::PermissionsExt;

struct Place {
    folder: tempfile::TempDir,
    seal: FileSeal,
}

fn place() -> Place {
    let folder = tempfile::tempdir().expect("writable");
    let seal = FileSeal::at(folder.path().join("root.key"));
    Place { folder, seal }
}

fn kept_bytes(root_key: &RootKey) -> Vec<u8> {
    root_key.expose_to_seal().expose().to_vec()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("own file");
}

#[test]
fn a_created_key_is_read_back_and_only_its_owner_may_read_it() {
    let place = place();
    let created = place.seal.create().expect("creates");
    assert_eq!(kept_bytes(&place.seal.open().expect("opens")), kept_bytes(&created));
    assert_eq!(kept_bytes(&place.seal.open_or_create().expect("opens")), kept_bytes(&created));
    let metadata = std::fs::metadata(place.seal.path()).expect("there");
    assert_eq!((metadata.mode() & 0o7777, metadata.len(), metadata.nlink()), (0o600, 73, 1));
    let names: Vec<_> = std::fs::read_dir(place.folder.path()).expect("readable").collect();
    assert_eq!(names.len(), 1, "no draft stays behind: {names:?}");
}

#[test]
fn a_key_is_never_overwritten() {
    let place = place();
    let created = place.seal.open_or_create().expect("creates");
    assert!(matches!(place.seal.create(), Err(VaultError::Exists { .. })));
    assert_eq!(kept_bytes(&place.seal.open().expect("opens")), kept_bytes(&created));
    assert_eq!(std::fs::read_dir(place.folder.path()).expect("readable").count(), 1);
}

#[test]
fn many_creators_at_once_agree_on_one_key() {
    let place = place();
    let keys: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let creators: Vec<_> = (0..8).map(|_| scope.spawn(|| place.seal.open_or_create())).collect();
        creators.into_iter().map(|creator| kept_bytes(&creator.join().expect("no panic").expect("opens"))).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
}

#[test]
fn a_file_that_others_may_use_is_refused() {
    let place = place();
    place.seal.create().expect("creates");
    for mode in [0o644, 0o640, 0o620, 0o604, 0o610, 0o666, 0o777] {
        set_mode(place.seal.path(), mode);
        assert!(matches!(place.seal.open(), Err(VaultError::TooOpen { mode: found, .. }) if found == mode), "{mode:o}");
        assert!(place.seal.open_or_create().is_err());
    }
    for mode in [0o600, 0o400] {
        set_mode(place.seal.path(), mode);
        assert!(place.seal.open().is_ok(), "{mode:o}");
    }
}

#[test]
fn whatever_is_no_root_key_is_refused() {
    let place = place();
    assert!(matches!(place.seal.open(), Err(VaultError::Missing { .. })));
    assert!(matches!(
        FileSeal::at(place.folder.path().join("no/such/folder/key")).create(),
        Err(VaultError::Io { .. })
    ));
    let folder = FileSeal::at(place.folder.path());
    assert!(matches!(folder.open(), Err(VaultError::NotAFile { .. } | VaultError::TooOpen { .. })));

    place.seal.create().expect("creates");
    let good = std::fs::read(place.seal.path()).expect("readable");
    for len in [0, 32, 72, 74] {
        let mut content = good.clone();
        content.resize(len, 0);
        std::fs::write(place.seal.path(), content).expect("writable");
        assert!(matches!(place.seal.open(), Err(VaultError::Malformed { .. })), "{len} bytes");
    }
    for at in 0..good.len() {
        let mut content = good.clone();
        content[at] ^= 0x10;
        std::fs::write(place.seal.path(), content).expect("writable");
        match (at, place.seal.open().map(|_| ())) {
            (..9, Err(VaultError::Malformed { .. })) | (9.., Err(VaultError::Damaged { .. })) => {}
            (_, other) => panic!("byte {at}: {other:?}"),
        }
    }
    std::fs::write(place.seal.path(), good).expect("writable");
    assert!(place.seal.open().is_ok());
}

#[test]
fn errors_say_what_to_do_and_nothing_of_the_key() {
    let place = place();
    let key = kept_bytes(&place.seal.create().expect("creates"));
    set_mode(place.seal.path(), 0o644);
    let error = place.seal.open().expect_err("too open");
    let text = format!("{error} {error:?}");
    assert!(text.contains("root.key") && text.contains("0600"), "{text}");
    assert!(!text.contains(&format!("{key:?}")));
}
