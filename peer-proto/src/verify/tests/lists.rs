//! Lists, their heads and pages, and every way to falsify them.
//!
//! Knows: what one flipped bit must cost. Does not know: the wire.

use super::*;
use crate::limits::FILE_LEN_MAX;

/// Gives all parts that are wanted, from the list itself.
fn assemble(list: &HashList) -> HashList {
    let mut assembler = ListAssembler::new(list.content()).unwrap();
    while let Some(part) = assembler.wants().pop() {
        assert!(!assembler.is_complete());
        assembler.take(part, &list.part(part).unwrap()).unwrap();
    }
    assembler.finish().unwrap()
}

#[test]
fn trust_4_head_and_pages_put_together_are_the_list() {
    for pieces in [1, 2, 3, 1_023, 1_024, 1_025, 2_048, 2_049, 5_000] {
        let list = invented_list(pieces);
        let pages = if pieces == 1 { 0 } else { pieces.div_ceil(1_024) };
        assert_eq!(u64::from(list.page_count()), pages);
        assert_eq!(count_of(&list.head()), if pages > 1 { pages } else { 0 });
        assert_eq!(list.part(ListPart::Head).is_some(), pages > 1);
        assert_eq!(list.page(list.page_count()), None);
        assert_eq!(assemble(&list), list, "{pieces} pieces");
    }
}

#[test]
fn trust_4_one_flipped_bit_in_any_page_is_pinned_to_that_page() {
    let list = invented_list(2_500);
    for bad in 0..3 {
        for bit in [0, 100, 255] {
            for place in [0, 1, 451] {
                let mut assembler = ListAssembler::new(list.content()).unwrap();
                assembler.take_head(&list.head()).unwrap();
                for page in 0..3 {
                    let mut values = list.page(page).unwrap();
                    if page == bad {
                        flip(&mut values[place], bit);
                        let error = assembler.take_page(page, &values).unwrap_err();
                        assert_eq!((error.is_lie(), error), (true, VerifyError::WrongPage { page }));
                        assert_eq!(assembler.page_values(page), None, "nothing of it is kept");
                    } else {
                        assembler.take_page(page, &values).unwrap();
                    }
                }
                assert_eq!(assembler.wants(), [ListPart::Page(bad)]);
                assert_eq!(assembler.value(PieceIndex(bad * 1_024)), None);
                let other = PieceIndex((bad + 1) % 3 * 1_024);
                assert_eq!(assembler.value(other), list.value(other), "usable before complete");
                assert!(!assembler.is_complete());
                assert_eq!(assembler.clone().finish(), None);
                assembler.take_page(bad, &list.page(bad).unwrap()).unwrap();
                assert_eq!(assembler.finish(), Some(list.clone()));
            }
        }
    }
}

#[test]
fn trust_4_one_flipped_bit_in_the_head_is_found_before_any_page() {
    let list = invented_list(2_500);
    for (place, bit) in [(0, 0), (1, 77), (2, 255)] {
        let mut assembler = ListAssembler::new(list.content()).unwrap();
        let mut head = list.head();
        flip(&mut head[place], bit);
        assert_eq!(assembler.take_head(&head), Err(VerifyError::WrongRoot));
        assert_eq!(assembler.wants(), [ListPart::Head]);
        let page = list.page(0).unwrap();
        assert_eq!(assembler.take_page(0, &page), Err(VerifyError::HeadMissing { page: 0 }));
        assembler.take_head(&list.head()).unwrap();
        assembler.take_page(0, &page).unwrap();
    }
}

#[test]
fn trust_4_the_only_page_proves_itself_in_root_form() {
    for pieces in [2, 5, 1_024] {
        let list = invented_list(pieces);
        let mut assembler = ListAssembler::new(list.content()).unwrap();
        assert_eq!(assembler.take_head(&[list.content().root]), Err(VerifyError::NoHead { pages: 1 }));
        let mut values = list.page(0).unwrap();
        flip(&mut values[1], 9);
        assert_eq!(assembler.take_page(0, &values), Err(VerifyError::WrongPage { page: 0 }));
        assembler.take_page(0, list.values()).unwrap();
        assert_eq!(assembler.finish(), Some(list));
    }
}

#[test]
fn trust_4_parts_of_any_other_size_are_refused_before_they_are_folded() {
    let list = invented_list(2_500);
    let mut assembler = ListAssembler::new(list.content()).unwrap();
    for (values, found) in [(&list.head()[..2], 2), (&list.values()[..4], 4), (&[], 0)] {
        assert_eq!(assembler.take_head(values), Err(VerifyError::WrongCount { expected: 3, found }));
    }
    assembler.take_head(&list.head()).unwrap();
    for (page, expected) in [(0, 1_024), (2, 452)] {
        for values in [&[][..], &list.values()[..1_023], &list.values()[..1_025]] {
            let found = count_of(values);
            assert_eq!(assembler.take_page(page, values), Err(VerifyError::WrongCount { expected, found }));
        }
    }
    for page in [3, 1_024, u32::MAX] {
        assert_eq!(assembler.take_page(page, &[]), Err(VerifyError::NoSuchPage { page, count: 3 }));
    }
}

#[test]
fn trust_4_memory_is_one_value_for_each_proved_piece() {
    let list = invented_list(2_500);
    let mut assembler = ListAssembler::new(list.content()).unwrap();
    let held =
        |assembler: &ListAssembler| (0..9).filter_map(|page| assembler.page_values(page)).flatten().count();
    assembler.take_head(&list.head()).unwrap();
    for page in [2, 0] {
        for _ in 0..10 {
            assembler.take_page(page, &list.page(page).unwrap()).unwrap();
            let _ = assembler.take_page(1, &list.page(0).unwrap()).unwrap_err();
        }
    }
    assert_eq!((held(&assembler), assembler.is_complete()), (452 + 1_024, false));
}

#[test]
fn files_of_at_most_one_piece_need_no_list() {
    for len in [0, 1, PIECE] {
        let content = ContentId { root: root_of(&bytes_at(0, len)), len };
        let assembler = ListAssembler::new(content).unwrap();
        assert_eq!((assembler.wants(), assembler.is_complete()), (vec![], true));
        assert_eq!(assembler.value(PieceIndex(0)), (len > 0).then_some(content.root));
        assert_eq!(assembler.value(PieceIndex(1)), None);
        let list = assembler.finish().unwrap();
        assert_eq!((list.page_count(), list.page(0), list.head()), (0, None, vec![]));
        assert_eq!(list, HashList::proved(content, vec![]).unwrap());
        assert_eq!(list.value(PieceIndex(0)), (len > 0).then_some(content.root));
    }
    let lie = ContentId { root: Hash([7; 32]), len: 0 };
    assert_eq!(ListAssembler::new(lie).err(), Some(VerifyError::WrongRoot));
    assert_eq!(HashList::proved(lie, vec![]).err(), Some(VerifyError::WrongRoot));
}

#[test]
fn trust_2_a_list_has_exactly_as_many_values_as_the_length_asks_for() {
    let list = list_of(&bytes_at(0, 5 * PIECE + 7));
    assert_eq!(HashList::proved(list.content(), list.values().to_vec()), Ok(list.clone()));
    for found in [0, 1, 5, 7] {
        let values: Vec<Hash> = list.values().iter().cycle().take(found).copied().collect();
        let wrong = VerifyError::WrongCount { expected: 6, found: count_of(&values) };
        assert_eq!(HashList::proved(list.content(), values), Err(wrong));
    }
    for bit in [0, 31, 255] {
        let mut values = list.values().to_vec();
        flip(&mut values[5], bit);
        assert_eq!(HashList::proved(list.content(), values), Err(VerifyError::WrongRoot));
    }
    for len in [FILE_LEN_MAX + 1, 1 << 63, u64::MAX] {
        let too_long = VerifyError::TooLong(crate::content::TooLong { len });
        assert_eq!(HashList::from_values(len, vec![]).err(), Some(too_long.clone()));
        assert_eq!(ListAssembler::new(ContentId { root: Hash([1; 32]), len }).err(), Some(too_long));
    }
}

#[test]
fn the_longest_shared_file_has_a_head_of_1024_values() {
    let values =
        (0..1_u64 << 20).map(|piece| Hash([piece.to_le_bytes(); 4].concat().try_into().unwrap())).collect();
    let list = HashList::from_values(FILE_LEN_MAX, values).unwrap();
    assert_eq!((list.page_count(), list.head().len()), (1_024, 1_024));
    let mut assembler = ListAssembler::new(list.content()).unwrap();
    assembler.take_head(&list.head()).unwrap();
    assert_eq!(assembler.wants().len(), 1_024);
    assembler.take_page(1_023, &list.page(1_023).unwrap()).unwrap();
    assert_eq!(assembler.value(PieceIndex((1 << 20) - 1)), list.value(PieceIndex((1 << 20) - 1)));
}

#[test]
fn a_range_of_values_is_all_there_or_not_at_all() {
    let list = invented_list(6);
    assert_eq!(list.values_range(2..5), list.values().get(2..5));
    assert_eq!(list.values_range(6..6), Some(&[][..]));
    for hostile in [5..7, 7..7, u32::MAX - 1..u32::MAX] {
        assert_eq!(list.values_range(hostile), None);
    }
    #[expect(clippy::reversed_empty_ranges, reason = "a peer may write anything")]
    let backwards = 5..2;
    assert_eq!(list.values_range(backwards), None);
}
