//! Grants and uses of keys in the state machine: idempotency, limits, indexes, merging, and the bytes of their rows.

use std::collections::{BTreeMap, BTreeSet};

use meridian_crypto::{DomainKeyId, SealedMaterial};
use meridian_model::{
    AccountId, ErrorCode, GrantId, GrantOperation, KeyId, KeyLastUsageTrackingOperation, KeyMaterialId, KeySpec,
    KeyUsageType, OriginType, Partition, Timestamp,
};
use meridian_policy::{Constraints, ContextConstraint, GrantTerms, Party, PrincipalArn};
use meridian_state::command::{CreateGrant, CreateKey, NewMaterial};
use meridian_state::quotas::GRANTS_PER_KEY;
use meridian_state::{Command, Done, Op, RegionState, UsageRecord, apply};
use proptest::prelude::*;

const COMMANDS: &str = include_str!("golden/grants-and-usage-commands-v2.hex");
const ROWS: &str = include_str!("golden/grants-and-usage-rows-v2.hex");
const ALICE: &str = "arn:aws:iam::444455556666:user/alice";
const ADMIN: &str = "arn:aws:iam::111122223333:role/adminRole";

fn owner() -> AccountId {
    "111122223333".parse().expect("12 digits")
}

fn key_id(number: u8) -> KeyId {
    KeyId::single_region([number; 16])
}

fn grant_id(number: u32) -> GrantId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    GrantId::from_bytes(bytes)
}

fn create_key(number: u8) -> Op {
    let sealed = SealedMaterial { domain_key_id: DomainKeyId([7; 16]), nonce: [8; 12], ciphertext: vec![9; 48] };
    Op::CreateKey(CreateKey {
        key_id: key_id(number),
        account: owner(),
        spec: KeySpec::SymmetricDefault,
        usage: KeyUsageType::EncryptDecrypt,
        origin: OriginType::AwsKms,
        description: String::new(),
        policy: None,
        tags: BTreeMap::new(),
        material: Some(NewMaterial { id: KeyMaterialId::from_bytes([number; 32]), sealed }),
    })
}

fn party(arn: &str) -> Party {
    Party::Principal(PrincipalArn::parse(arn).expect(arn))
}

fn grant(key: u8, id: u32, name: Option<&str>) -> CreateGrant {
    let pairs = BTreeMap::from([("Department".to_owned(), "IT".to_owned())]);
    CreateGrant {
        key_id: key_id(key),
        grant_id: grant_id(id),
        name: name.map(str::to_owned),
        issuing_account: owner(),
        terms: GrantTerms {
            grantee: party(ALICE),
            retiring: Some(party(ADMIN)),
            operations: BTreeSet::from([GrantOperation::Decrypt, GrantOperation::RetireGrant]),
            constraints: Constraints { encryption_context: Some(ContextConstraint::Subset(pairs)), source_arn: None },
        },
    }
}

fn used(key: u8, at: u64, event: u8) -> UsageRecord {
    UsageRecord {
        key_id: key_id(key),
        at: Timestamp::from_millis(at),
        operation: KeyLastUsageTrackingOperation::Decrypt,
        event_id: [event; 16],
        request_id: [0x22; 16],
    }
}

fn empty() -> RegionState {
    RegionState::new("us-east-1".parse().expect("valid"), Partition::Aws)
}

fn run(state: &mut RegionState, op: Op) -> Result<Done, meridian_model::ServiceError> {
    apply(state, &Command { at: Timestamp::from_millis(1_700_000_000_000), op }).outcome
}

fn created(state: &mut RegionState, grant: CreateGrant) -> GrantId {
    match run(state, Op::CreateGrant(grant)).expect("created") {
        Done::Grant(grant) => grant.grant_id,
        other => panic!("{other:?}"),
    }
}

fn with_key() -> RegionState {
    let mut state = empty();
    run(&mut state, create_key(1)).expect("made");
    state
}

fn golden() -> Vec<Command> {
    let ops = [
        create_key(1),
        Op::CreateGrant(grant(1, 1, Some("named"))),
        Op::CreateGrant(grant(1, 2, None)),
        Op::EndGrant { key_id: key_id(1), grant_id: grant_id(2) },
        Op::RecordUsage(vec![used(1, 1_700_000_000_005, 0x33)]),
    ];
    ops.into_iter().map(|op| Command { at: Timestamp::from_millis(1_700_000_000_000), op }).collect()
}

fn to_text(lines: impl IntoIterator<Item = Vec<u8>>) -> String {
    lines.into_iter().map(|line| hex::encode(line) + "\n").collect()
}

#[test]
fn commands_are_read_and_written_as_before() {
    assert_eq!(to_text(golden().iter().map(Command::encode)), COMMANDS, "the encoding of commands changed");
    let read = COMMANDS.lines().map(|line| Command::decode(&hex::decode(line).expect("hex")).expect("golden"));
    assert_eq!(read.collect::<Vec<_>>(), golden());
}

#[test]
fn rows_are_read_and_written_as_before() {
    let mut state = empty();
    for command in golden() {
        apply(&mut state, &command).outcome.expect("golden commands are not refused");
    }
    let written = to_text(state.rows().flat_map(|(id, value)| [id, value]));
    assert_eq!(written, ROWS, "the encoding of rows changed");
    let lines: Vec<Vec<u8>> = ROWS.lines().map(|line| hex::decode(line).expect("hex")).collect();
    let pairs = lines.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone()));
    let read = RegionState::from_rows("us-east-1".parse().expect("valid"), Partition::Aws, pairs).expect("golden");
    assert!(read.rows().eq(state.rows()));
    assert_eq!(read.grants().count(key_id(1)), 1);
}

#[test]
fn a_named_request_that_is_repeated_finds_its_grant() {
    let mut state = with_key();
    assert_eq!(created(&mut state, grant(1, 1, Some("n"))), grant_id(1));
    assert_eq!(created(&mut state, grant(1, 2, Some("n"))), grant_id(1), "the same request again");
    let mut wider = grant(1, 3, Some("n"));
    wider.terms.operations.insert(GrantOperation::Encrypt);
    assert_eq!(created(&mut state, wider), grant_id(3), "other operations");
    let mut of_other = grant(1, 4, Some("n"));
    of_other.issuing_account = "444455556666".parse().expect("12 digits");
    assert_eq!(created(&mut state, of_other), grant_id(4), "another account");
    assert_eq!(created(&mut state, grant(1, 5, None)), grant_id(5));
    assert_eq!(created(&mut state, grant(1, 6, None)), grant_id(6), "without a name always a new one");
    assert_eq!(state.grants().count(key_id(1)), 5);
}

#[test]
fn a_key_has_at_most_50000_grants_and_finding_one_stays_cheap() {
    let mut state = with_key();
    for id in 0..u32::try_from(GRANTS_PER_KEY).expect("few") {
        created(&mut state, grant(1, id, Some(&format!("n{id}"))));
    }
    let one_more = || grant(1, 60_000, Some("more"));
    let error = run(&mut state, Op::CreateGrant(one_more())).expect_err("full");
    assert_eq!(error.code, ErrorCode::LimitExceeded);
    assert_eq!(created(&mut state, grant(1, 60_000, Some("n7"))), grant_id(7), "a repeated request makes none");
    run(&mut state, Op::EndGrant { key_id: key_id(1), grant_id: grant_id(7) }).expect("ended");
    assert_eq!(created(&mut state, one_more()), grant_id(60_000));
    let after = state.grants().of_key(key_id(1), Some(grant_id(49_998)));
    assert_eq!(after.map(|grant| grant.grant_id).collect::<Vec<_>>(), [grant_id(49_999), grant_id(60_000)]);
}

#[test]
fn a_grant_ends_once_and_goes_with_its_key() {
    let mut state = with_key();
    created(&mut state, grant(1, 1, Some("n")));
    created(&mut state, grant(1, 2, None));
    let end = |id| Op::EndGrant { key_id: key_id(1), grant_id: grant_id(id) };
    run(&mut state, end(2)).expect("ended");
    assert_eq!(run(&mut state, end(2)).expect_err("gone").code, ErrorCode::NotFound);
    run(&mut state, Op::RecordUsage(vec![used(1, 5, 1)])).expect("taken in");
    run(&mut state, Op::DisableKey(key_id(1))).expect("disabled");
    let error = run(&mut state, Op::CreateGrant(grant(1, 3, None))).expect_err("disabled");
    assert_eq!(error.code, ErrorCode::Disabled);
    run(&mut state, Op::ScheduleKeyDeletion { key_id: key_id(1), window_days: 7 }).expect("scheduled");
    let later = Timestamp::from_millis(1_800_000_000_000);
    apply(&mut state, &Command { at: later, op: Op::Tick }).outcome.expect("time passes");
    assert!(state.key(key_id(1)).is_none());
    assert_eq!(state.grants().count(key_id(1)), 0);
    assert_eq!(state.grants().of_retiring(ADMIN.into(), None).count(), 0);
    assert_eq!(state.grants().of_grantee(key_id(1), ALICE.into(), None).count(), 0);
    assert!(state.usage().last(key_id(1)).is_none());
    run(&mut state, Op::RecordUsage(vec![used(1, 9, 1)])).expect("a use that comes late is passed over");
    assert!(state.usage().last(key_id(1)).is_none());
}

#[test]
fn tracking_starts_once() {
    let mut state = with_key();
    assert_eq!(state.usage().tracked_since(), None);
    run(&mut state, Op::RecordUsage(Vec::new())).expect("starts");
    let since = state.usage().tracked_since();
    assert_eq!(since, Some(Timestamp::from_millis(1_700_000_000_000)));
    let later = Timestamp::from_millis(1_800_000_000_000);
    apply(&mut state, &Command { at: later, op: Op::RecordUsage(vec![used(1, 5, 1)]) }).outcome.expect("taken in");
    assert_eq!(state.usage().tracked_since(), since);
}

proptest! {
    #[test]
    fn the_last_use_stays_whatever_the_order(
        mut uses in prop::collection::vec((1u8..3, 0u64..9, 0u8..9), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let apply_all = |uses: &[(u8, u64, u8)]| {
            let mut state = with_key();
            run(&mut state, create_key(2)).expect("made");
            let (one, two) = uses.split_at(cut.index(uses.len()));
            for batch in [one, two] {
                let batch = batch.iter().map(|(key, at, event)| used(*key, *at, *event)).collect();
                run(&mut state, Op::RecordUsage(batch)).expect("taken in");
            }
            state.rows().collect::<Vec<_>>()
        };
        let one_way = apply_all(&uses);
        uses.reverse();
        prop_assert_eq!(one_way, apply_all(&uses));
    }

    #[test]
    fn indexes_agree_with_the_table(steps in prop::collection::vec((1u8..3, 0u32..6, any::<bool>(), 0u8..3), 0..40)) {
        let mut state = with_key();
        run(&mut state, create_key(2)).expect("made");
        for (key, id, is_end, name) in steps {
            let name = (name > 0).then(|| format!("n{name}"));
            let op = if is_end {
                Op::EndGrant { key_id: key_id(key), grant_id: grant_id(id) }
            } else {
                Op::CreateGrant(grant(key, id, name.as_deref()))
            };
            let _ = run(&mut state, op); // refused as often as not
        }
        let grants = state.grants();
        for key in [1, 2].map(key_id) {
            let listed: Vec<_> = grants.of_key(key, None).collect();
            prop_assert_eq!(grants.count(key), listed.len());
            let of_alice: Vec<_> = grants.of_grantee(key, ALICE.into(), None).collect();
            prop_assert_eq!(&listed, &of_alice);
        }
        let total = grants.count(key_id(1)) + grants.count(key_id(2));
        prop_assert_eq!(grants.of_retiring(ADMIN.into(), None).count(), total);
        let restored = RegionState::from_rows("us-east-1".parse().expect("valid"), Partition::Aws, state.rows());
        prop_assert!(restored.expect("own rows").rows().eq(state.rows()));
    }
}
