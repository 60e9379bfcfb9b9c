//! How often anybody, and one address, is looked up for.

use super::*;

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1_000)
}

fn id(number: usize) -> LookupId {
    let mut bytes = vec![0; 32];
    bytes[..8].copy_from_slice(&u64::try_from(number).expect("small").to_be_bytes());
    lookup_id(&Digest::new(Algorithm::Sha256, bytes).expect("32 bytes"))
}

#[test]
fn lookup_4_two_hundred_ids_are_looked_up_in_a_second_whoever_asks() {
    let mut serving = Serving::default();
    let mut looked = |ms| (0..500).filter(|_| serving.may_look(at(ms))).count();
    let most = usize::try_from(IDS_PER_SECOND_TOTAL_MAX).expect("few");
    assert_eq!([looked(5_000), looked(5_999), looked(6_000), looked(6_001)], [most, 0, most, 0]);
}

#[test]
fn lookup_4_an_address_may_miss_a_hundred_different_ids_an_hour_and_others_are_not_affected() {
    let mut serving = Serving::default();
    let later = at(3_600_000);
    for number in 0..MISSES_PER_HOUR_MAX {
        serving.note_miss("a", id(number), at(0));
        serving.note_miss("a", id(number), at(1));
    }
    assert!(!serving.missed_too_often("a", at(2)), "the same ones again are no new ones");
    serving.note_miss("a", id(MISSES_PER_HOUR_MAX), at(2));
    assert!(serving.missed_too_often("a", at(3)) && !serving.missed_too_often("b", at(3)));
    assert!(serving.missed_too_often("a", at(3_599_999)) && !serving.missed_too_often("a", later));
    serving.note_miss("a", id(0), later);
    assert!(!serving.missed_too_often("a", later), "the next hour begins with nothing");
}

#[test]
fn lookup_4_addresses_are_remembered_for_an_hour_and_four_thousand_of_them_at_most() {
    let mut serving = Serving::default();
    for number in 0..ADDRESSES_MAX + 10 {
        serving.note_miss(&number.to_string(), id(0), at(0));
    }
    assert_eq!(serving.misses.len(), ADDRESSES_MAX);
    serving.note_miss("0", id(1), at(3_599_999));
    assert_eq!(serving.misses["0"].1.len(), 2, "one that is known is counted on");
    serving.note_miss("late", id(0), at(3_600_000));
    assert_eq!(serving.misses.keys().collect::<Vec<_>>(), ["late"]);
}

#[test]
fn every_member_has_a_number_of_its_own_for_everybody() {
    for own in 0..=u8::MAX {
        let me = PeerId::from_public_key([own; 32]);
        for place in [0, 9, 31] {
            let number = |byte: u8| {
                let mut key = [7; 32];
                key[place] = byte;
                mixed(me, PeerId::from_public_key(key))
            };
            let numbers: BTreeSet<u64> = (0..=u8::MAX).map(number).collect();
            assert_eq!(numbers.len(), 256, "{own} and byte {place}");
        }
    }
}

#[test]
fn what_files_that_were_fetched_by_their_url_became_is_known_of_the_last_ones_once_each() {
    let content = |len: usize| ContentId { root: Hash([1; 32]), len: u64::try_from(len).expect("short") };
    let mut serving = Serving::default();
    for number in 0..BY_URL_MAX {
        serving.note_by_url(content(number), content(1_000_000));
    }
    serving.note_by_url(content(0), content(2_000_000));
    let known: Vec<ContentId> = serving.by_url.iter().map(|(swarm, _)| *swarm).collect();
    assert_eq!((known.len(), known[0], known.last()), (BY_URL_MAX, content(1), Some(&content(0))));
    serving.note_by_url(content(BY_URL_MAX), content(3_000_000));
    assert_eq!((serving.by_url.len(), serving.by_url[0].0), (BY_URL_MAX, content(2)), "the oldest goes");
}
