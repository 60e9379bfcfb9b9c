//! A user of this machine as people know him: the number, and the name where the system has one.
//!
//! Knows: whom the system's directory names. Does not know: what a user may do.

use uzers::get_user_by_uid;

/// `1000 (alice)`, or `1000` where nobody is called that. May wait for a directory in the network.
pub(super) fn user(uid: u32) -> String {
    match get_user_by_uid(uid) {
        Some(user) => format!("{uid} ({})", user.name().to_string_lossy()),
        None => uid.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_8_an_owner_is_a_number_and_a_name_where_there_is_one() {
        assert_eq!(user(0), "0 (root)");
        assert_eq!(user(u32::MAX - 7), "4294967288");
    }
}
