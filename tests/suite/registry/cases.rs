//! Which test stands behind each numbered case of the threat model that a registry or a credential
//! plays a part in.

use std::{collections::BTreeSet, fs};

/// The number, and a test by its file and its name.
const CASES: [(&str, &str, &str); 50] = [
    (
        "R01",
        "tests/suite/registry/evil.rs",
        "a_credential_goes_to_no_token_service_that_the_user_did_not_name",
    ),
    (
        "R02",
        "src/scan/session/tests.rs",
        "a_token_service_is_encrypted_and_vouched_for",
    ),
    (
        "R03",
        "src/egress/address.rs",
        "r03_internal_addresses_are_known_in_every_spelling",
    ),
    (
        "R04",
        "tests/suite/registry/network.rs",
        "r03_r04_an_answer_leads_a_tenant_to_no_internal_address",
    ),
    (
        "R06",
        "src/scan/token.rs",
        "a_token_reply_is_read_with_suspicion",
    ),
    (
        "R07",
        "tests/suite/registry/facts.rs",
        "r07_content_may_be_kept_elsewhere_and_nobody_there_learns_who_asks",
    ),
    (
        "R08",
        "tests/suite/registry/evil.rs",
        "a_redirect_is_followed_on_the_same_server_only",
    ),
    (
        "R10",
        "tests/suite/registry/evil.rs",
        "a_link_out_of_the_repository_is_not_followed",
    ),
    (
        "R11",
        "tests/suite/registry/evil.rs",
        "paging_that_leads_nowhere_ends",
    ),
    (
        "R12",
        "tests/suite/registry/evil.rs",
        "paging_that_leads_nowhere_ends",
    ),
    ("R13", "tests/scale/main.rs", "one_repository"),
    (
        "R14",
        "src/scan/listing/tests.rs",
        "a_full_page_without_a_link_is_not_believed_to_be_the_last",
    ),
    (
        "R15",
        "tests/suite/registry/faults.rs",
        "r15_each_call_with_each_fault_gives_the_truth_or_nothing",
    ),
    ("R17", "tests/golden/registry-emptied/case.toml", "why"),
    (
        "R18",
        "tests/suite/registry/evil.rs",
        "an_answer_has_bounds",
    ),
    (
        "R19",
        "src/scan/listing/tests.rs",
        "a_page_is_read_to_its_end_or_not_at_all",
    ),
    (
        "R20",
        "tests/suite/registry/economy.rs",
        "r20_registries_that_hang_delay_no_other",
    ),
    (
        "R21",
        "fixtures/registries/odd-tags/registry.toml",
        "entries",
    ),
    ("R22", "src/policy/tests.rs", "alphabetical_is_by_bytes"),
    (
        "R23",
        "src/policy/tests.rs",
        "one_word_among_numbers_is_a_rejection_not_the_end",
    ),
    (
        "R24",
        "src/policy/tests.rs",
        "ties_go_to_the_greatest_bytes_and_are_told",
    ),
    (
        "R25",
        "src/policy/tests.rs",
        "ties_go_to_the_greatest_bytes_and_are_told",
    ),
    (
        "R26",
        "src/policy/pattern/tests.rs",
        "hostile_patterns_are_refused_or_stay_linear",
    ),
    (
        "R27",
        "tests/suite/registry/facts.rs",
        "r27_content_that_is_not_what_its_digest_names_is_refused",
    ),
    (
        "R28",
        "tests/suite/registry/evil.rs",
        "a_digest_is_announced_or_computed_and_never_contradicted",
    ),
    (
        "R31",
        "tests/suite/support/conformance.rs",
        "a_moved_tag_has_a_new_digest",
    ),
    (
        "R32",
        "src/policy/tests.rs",
        "holds_when_git_already_has_a_newer_image",
    ),
    (
        "R34",
        "src/image.rs",
        "repositories_are_canonical_as_flux_makes_them",
    ),
    (
        "R35",
        "tests/suite/registry/tls.rs",
        "a_certificate_that_is_not_trusted_never_makes_us_speak_plainly",
    ),
    (
        "R36",
        "tests/suite/registry/economy.rs",
        "an_unchanged_listing_is_not_sent_again_also_after_a_restart",
    ),
    (
        "R39",
        "tests/suite/cloud.rs",
        "r39_a_registry_that_only_looks_like_a_clouds_makes_nobody_ask_for_a_token",
    ),
    (
        "R40",
        "tests/suite/registry/signatures.rs",
        "r40_what_is_not_verified_is_not_chosen_and_the_reason_is_given",
    ),
    (
        "C01",
        "tests/suite/canary.rs",
        "c01_no_credential_of_any_kind_is_shown_kept_or_sent_elsewhere",
    ),
    (
        "C02",
        "tests/suite/registry/faults.rs",
        "c02_no_error_shows_a_secret",
    ),
    ("C03", "src/secret.rs", "a_secret_has_nothing_to_show"),
    (
        "C05",
        "tests/suite/registry/network.rs",
        "c05_a_credential_follows_no_redirect_to_another_place",
    ),
    (
        "C06",
        "tests/suite/registry/proxy.rs",
        "c06_a_proxy_sees_its_own_credentials_and_no_others",
    ),
    (
        "C07",
        "src/scan/keychain.rs",
        "entries_fit_as_the_kubelet_matches_them",
    ),
    ("C08", "src/scan/token.rs", "c08_a_token_is_its_tenants_own"),
    (
        "C09",
        "src/scan/reader.rs",
        "c09_two_readers_never_share_a_key",
    ),
    (
        "C11",
        "tests/suite/registry/economy.rs",
        "c11_a_hundred_scans_exchange_one_token",
    ),
    (
        "C12",
        "src/scan/token.rs",
        "c11_c12_a_token_is_renewed_at_four_fifths_of_its_life_by_either_clock",
    ),
    (
        "C13",
        "src/cli/controller.rs",
        "c13_the_identity_of_the_process_is_not_a_tenants",
    ),
    (
        "C14",
        "tests/cluster/identities.rs",
        "c14_a_cloud_is_shown_a_short_token_of_the_tenants_account_and_no_other",
    ),
    (
        "C15",
        "tests/suite/registry/network.rs",
        "c15_a_tenant_reaches_no_internal_address_by_any_spelling",
    ),
    (
        "C23",
        "src/scan/caller.rs",
        "a_complaint_is_the_registrys_message_and_never_an_echo",
    ),
    (
        "C24",
        "tests/suite/registry/facts.rs",
        "r07_content_may_be_kept_elsewhere_and_nobody_there_learns_who_asks",
    ),
    (
        "C25",
        "tests/suite/registry/tls.rs",
        "a_private_authority_is_trusted_where_it_is_given",
    ),
    (
        "C27",
        "src/secret/echo.rs",
        "c27_a_secret_is_recognised_in_every_dress",
    ),
    (
        "C16",
        "tests/suite/git/logins.rs",
        "c16_a_github_app_gets_a_token_for_the_one_repository_that_it_was_installed_for",
    ),
];

/// The starred cases that no test stands behind, and why.
const ELSEWHERE: [(&str, &str); 2] = [
    (
        "C18",
        "no program is started, but for helpers of the user's own docker configuration",
    ),
    (
        "C19-C21",
        "Git, metrics and templates are rooms of their own",
    ),
];

#[test]
fn every_case_names_a_test_that_is_there() {
    let mut numbers = BTreeSet::new();
    for (number, file, name) in CASES {
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(name), "{number}: {file} has no `{name}`");
        assert!(numbers.insert(number), "{number} stands twice");
    }
    for (number, why) in ELSEWHERE {
        assert!(!numbers.contains(number) && !why.is_empty(), "{number}");
    }
}
