#![expect(clippy::disallowed_methods, reason = "the tests damage the file")]

use super::*;
use crate::scan::hash::sha256;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn saved(tags: &[&str]) -> Saved {
    let tags = tags.iter().map(|it| it.parse().expect("a tag"));
    Saved {
        pages: vec![SavedPage {
            target: "/v2/web/tags/list?n=1000".to_owned(),
            etag: "\"1\"".to_owned(),
            tags: 2,
        }],
        tags: tags.collect(),
        refused: 1,
        sifted: 0,
    }
}

const KEY: Key = Key([7; 32]);

#[test]
fn what_was_kept_is_there_again() {
    let folder = folder();
    let now = DateTime::from_timestamp(1_767_323_045, 0).expect("a time");
    let later = now + chrono::TimeDelta::days(3);
    let digest = sha256(b"x");
    let store = Store::open(folder.path());
    assert!(store.is_lasting());
    store.keep_listing(KEY, &saved(&["1.0.0", "1.1.0"]));
    store.keep_metadata(&digest, &Metadata::default());
    assert_eq!(store.first_sight(KEY, now), now);
    drop(store);

    let store = Store::open(folder.path());
    assert_eq!(store.listing(KEY), Some(saved(&["1.0.0", "1.1.0"])));
    assert_eq!(store.metadata(&digest), Some(Metadata::default()));
    assert_eq!(store.first_sight(KEY, later), now);
    let another = Key([8; 32]);
    assert_eq!(store.listing(another), None);
    assert_eq!(store.first_sight(another, later), later);
    // The clock was set back.
    let earlier = now - chrono::TimeDelta::days(3);
    assert_eq!(store.first_sight(another, earlier), earlier);
}

#[test]
fn a_store_in_memory_is_as_good_for_one_run() {
    let store = Store::in_memory();
    assert!(!store.is_lasting());
    store.keep_listing(KEY, &saved(&["1.0.0"]));
    assert_eq!(store.listing(KEY), Some(saved(&["1.0.0"])));
}

#[test]
fn a_damaged_file_is_set_aside_and_never_fatal() {
    let check = |damage: &dyn Fn(&mut Vec<u8>)| {
        let folder = folder();
        let store = Store::open(folder.path());
        store.keep_listing(KEY, &saved(&["1.0.0"]));
        drop(store);
        let path = folder.path().join(FILE);
        let mut bytes = std::fs::read(&path).expect("it was written");
        damage(&mut bytes);
        std::fs::write(&path, bytes).expect("it can be written");

        let store = Store::open(folder.path());
        let found = store.listing(KEY);
        assert!(found.is_none() || found == Some(saved(&["1.0.0"])));
        store.keep_listing(KEY, &saved(&["2.0.0"]));
        assert_eq!(store.listing(KEY), Some(saved(&["2.0.0"])));
    };
    check(&|bytes| bytes.truncate(100));
    check(&|bytes| bytes.truncate(bytes.len() / 2));
    check(&|bytes| *bytes = b"no database at all".to_vec());
    check(&|bytes| {
        let damaged = bytes.iter_mut().skip(4096).step_by(97);
        damaged.for_each(|it| *it ^= 0x55);
    });
    check(&|bytes| bytes.iter_mut().take(512).for_each(|it| *it = 0));
}

#[test]
fn a_newer_form_is_set_aside() {
    let folder = folder();
    let path = folder.path().join(FILE);
    let database = builder().create(&path).expect("a database");
    let transaction = database.begin_write().expect("a transaction");
    {
        let mut formats = transaction.open_table(FORMATS).expect("a table");
        formats.insert("format", FORMAT + 1).expect("a number");
    }
    transaction.commit().expect("it is written");
    drop(database);

    let store = Store::open(folder.path());
    store.keep_listing(KEY, &saved(&["1.0.0"]));
    assert!(store.is_lasting());
    assert!(folder.path().join("tags.redb.set-aside").exists());
}

#[test]
fn a_second_process_remembers_for_itself() {
    let folder = folder();
    let first = Store::open(folder.path());
    let second = Store::open(folder.path());
    assert!(first.is_lasting() && !second.is_lasting());
}
