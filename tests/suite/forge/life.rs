//! The life of a request on every forge.

use aws_lc_rs::rsa::{KeyPair, KeySize};
use tagwright::{
    pipeline::{End, Failure, Intent},
    report::{RunReport, text},
};

use super::{
    fake::{Product, Pull, Stage},
    world::{BRANCH, World, assert_applied, assert_waiting},
};
use crate::git::logins::pem;

#[tokio::test]
async fn a_request_is_opened_once_and_left_alone_while_it_is_right() {
    for product in Product::ALL {
        let world = World::new(product).await;
        assert!(matches!(world.run_one().await.end, End::Unchanged));
        world.tags("web", &["1.0.0", "1.1.0"]);

        let planned = world.run_with(Intent::Plan).await;
        assert!(matches!(planned[0].end, End::Planned), "{planned:?}");
        assert_eq!(
            world.forge(|it| it.writes()),
            0,
            "{product:?}: planning writes nothing"
        );
        assert_eq!(world.tip(BRANCH), None);

        let outcome = world.run_one().await;
        assert_applied(&outcome, 1);
        let pull = world.pull(1);
        assert_eq!(
            (pull.head.as_str(), pull.base.as_str()),
            (BRANCH, "main"),
            "{product:?}"
        );
        assert_eq!(pull.title, "Update registry.test/web to 1.1.0");
        for words in [
            "`1.0.0`",
            "`1.1.0`",
            "`sha256:",
            "What happens next",
            "apps/web.yaml:1",
        ] {
            assert!(
                pull.body.contains(words),
                "{product:?}: no {words} in {}",
                pull.body
            );
        }
        assert_eq!(pull.labels == ["images"], product.has_labels(), "{pull:?}");
        assert!(!pull.reviewers.is_empty(), "{product:?}");
        assert!(world.file(BRANCH, "apps/web.yaml").contains("web:1.1.0"));

        let writes = world.forge(|it| it.writes());
        let again = world.run_one().await;
        assert!(
            matches!(again.end, End::Pending(_)),
            "{product:?}: {again:#?}"
        );
        assert_eq!(
            world.forge(|it| it.writes()),
            writes,
            "{product:?}: nothing is written at rest"
        );
        world.assert_sound();
    }
}

#[tokio::test]
async fn it_is_updated_in_place_when_something_newer_appears() {
    for product in Product::ALL {
        let world = World::new(product).await;
        world.tags("web", &["1.0.0", "1.1.0"]);
        world.run_one().await;
        let first = world.tip(BRANCH);
        world.tags("web", &["1.0.0", "1.1.0", "1.2.0"]);
        world.tags("api", &["1.0.0", "1.0.1"]);

        assert_applied(&world.run_one().await, 1);
        assert_eq!(world.forge(|it| it.pulls.len()), 1, "{product:?}");
        let pull = world.pull(1);
        assert_eq!(pull.title, "Update 2 images");
        assert!(
            pull.body.contains("1.2.0") && !pull.body.contains("1.1.0"),
            "{}",
            pull.body
        );
        assert!(!pull.reviewers.is_empty(), "{product:?}: reviewers stay");
        assert_ne!(world.tip(BRANCH), first);
        world.assert_sound();
    }
}

#[tokio::test]
async fn it_is_closed_with_a_word_when_nothing_is_left_to_change() {
    for product in Product::ALL {
        let world = World::new(product).await;
        world.tags("web", &["1.0.0", "1.1.0"]);
        world.run_one().await;
        world.tags("web", &["1.0.0"]);

        let outcome = world.run_one().await;
        assert!(
            matches!(outcome.end, End::Withdrawn),
            "{product:?}: {outcome:#?}"
        );
        let pull = world.pull(1);
        assert_eq!(pull.state, Stage::Closed);
        assert_eq!(pull.comments.len(), 1, "{product:?}");
        assert_eq!(
            world.tip(BRANCH),
            None,
            "{product:?}: the branch goes with it"
        );

        // We closed it ourselves, so the same tag may be offered again.
        world.tags("web", &["1.0.0", "1.1.0"]);
        assert_applied(&world.run_one().await, 2);
        world.assert_sound();
    }
}

#[tokio::test]
async fn what_a_person_closed_stays_closed_until_there_is_something_newer() {
    for product in Product::ALL {
        let world = World::new(product).await;
        world.tags("web", &["1.0.0", "1.1.0", "1.2.0"]);
        world.run_one().await;
        world.close_by_hand(1);
        for _ in 0..2 {
            assert_waiting(&world.run_one().await, "request 1 was closed by hand");
        }
        // What was refused has gone, and what is left is older still.
        world.tags("web", &["1.0.0", "1.1.0"]);
        assert_waiting(&world.run_one().await, "request 1 was closed by hand");
        assert_eq!(world.forge(|it| it.pulls.len()), 1, "{product:?}");

        world.tags("web", &["1.0.0", "1.1.0", "1.2.0", "1.3.0"]);
        assert_applied(&world.run_one().await, 2);
        world.assert_sound();
    }
}

#[tokio::test]
async fn a_persons_commit_on_the_branch_stops_us() {
    for product in Product::ALL {
        let world = World::new(product).await;
        world.tags("web", &["1.0.0", "1.1.0"]);
        world.run_one().await;
        let by_hand = world.commit_by_hand(BRANCH);
        let (writes, body) = (world.forge(|it| it.writes()), world.pull(1).body);
        world.tags("web", &["1.0.0", "1.1.0", "1.2.0"]);

        let outcome = world.run_one().await;
        let failure = matches!(&outcome.end, End::Failed(Failure::ForeignCommits { author, .. }) if author == "human@example.com");
        assert!(failure, "{outcome:#?}");
        assert_eq!(world.tip(BRANCH), Some(by_hand.clone()));

        world.tags("web", &["1.0.0"]);
        world.run_one().await;
        assert_eq!(world.tip(BRANCH), Some(by_hand), "nor is it removed");
        assert_eq!(
            (world.forge(|it| it.writes()), world.pull(1).body),
            (writes, body),
            "{product:?}"
        );
    }
}

#[tokio::test]
async fn the_branch_of_a_merged_request_is_removed() {
    for product in Product::ALL {
        let world = World::new(product).await;
        world.tags("web", &["1.0.0", "1.1.0"]);
        world.run_one().await;
        world.merge_by_hand(1);
        let outcome = world.run_one().await;
        assert!(
            matches!(outcome.end, End::Withdrawn),
            "{product:?}: {outcome:#?}"
        );
        assert_eq!(world.tip(BRANCH), None);
        assert!(world.file("main", "apps/web.yaml").contains("1.1.0"));
        let writes = world.forge(|it| it.writes());
        assert!(matches!(world.run_one().await.end, End::Unchanged));

        world.tags("web", &["1.0.0", "1.1.0", "1.2.0"]);
        assert!(
            world.forge(|it| it.writes()) == writes,
            "{product:?}: merging is no news for the forge"
        );
        assert_applied(&world.run_one().await, 2);
        world.assert_sound();
    }
}

#[tokio::test]
async fn a_title_and_words_of_a_person_stay() {
    for product in Product::ALL {
        let world = World::new(product).await;
        world.tags("web", &["1.0.0", "1.1.0"]);
        world.run_one().await;
        world.forge(|forge| {
            let pull = forge.pull("1").expect("it is open");
            pull.title = "HOLD: ask Ada".to_owned();
            pull.body = format!("Wait for Monday.\n\n{}", pull.body);
            pull.labels.clear();
        });
        world.tags("web", &["1.0.0", "1.1.0", "1.2.0"]);
        assert_applied(&world.run_one().await, 1);
        let pull = world.pull(1);
        assert_eq!(pull.title, "HOLD: ask Ada", "{product:?}");
        assert!(pull.body.starts_with("Wait for Monday.\n\n") && pull.body.contains("1.2.0"));
        assert!(
            pull.labels.is_empty(),
            "{product:?}: a label that was taken off stays off"
        );
    }
}

#[tokio::test]
async fn a_request_from_a_fork_is_nobody_of_ours() {
    for product in Product::ALL {
        let world = World::new(product).await;
        world.tags("web", &["1.0.0", "1.1.0"]);
        world.run_one().await;
        let body = world.pull(1).body;
        world.merge_by_hand(1);
        world.run_one().await;
        world.forge(|forge| {
            forge.pulls.push(Pull {
                number: 2,
                title: "Update registry.test/web to 6.6.6".to_owned(),
                body,
                head: BRANCH.to_owned(),
                base: "main".to_owned(),
                fork: true,
                ..Pull::default()
            });
        });
        let writes = world.forge(|it| it.writes());
        world.run_one().await;
        assert_eq!(
            world.forge(|it| it.writes()),
            writes,
            "{product:?}: it is not touched"
        );
        world.tags("web", &["1.0.0", "1.1.0", "1.2.0"]);
        assert_applied(&world.run_one().await, 3);
        assert_eq!(world.pull(2).state, Stage::Open, "{product:?}");
    }
}

#[tokio::test]
async fn each_group_has_a_request_and_limits_hold_some_back() {
    for product in Product::ALL {
        let world = World::new(product)
            .await
            .saying("groupBy: image, maxOpen: 1");
        world.tags("web", &["1.0.0", "1.1.0"]);
        world.tags("api", &["1.0.0", "1.0.1"]);
        let outcomes = world.run().await;
        assert_eq!(outcomes.len(), 2, "{outcomes:#?}");
        assert_applied(&outcomes[0], 1);
        assert_waiting(&outcomes[1], "as many requests are open as may be: 1");

        let world = world.saying("groupBy: label, groupLabel: team");
        world.close_by_hand(1);
        let outcomes = world.run().await;
        let groups = outcomes
            .iter()
            .map(|it| it.proposal.as_ref()?.group.clone());
        let groups = groups.collect::<Vec<_>>();
        assert_eq!(
            groups,
            [Some("api-team".to_owned()), Some("web-team".to_owned())]
        );
        let pulls = world.forge(|it| it.pulls.clone());
        let heads = pulls
            .iter()
            .skip(1)
            .map(|it| it.head.as_str())
            .collect::<Vec<_>>();
        assert_eq!(heads, ["bot/images-api-team", "bot/images-web-team"]);
        assert!(
            world.file(heads[0], "apps/web.yaml").contains("web:1.0.0"),
            "{product:?}"
        );
        assert!(
            world.file(heads[0], "apps/api.yaml").contains("api:1.0.1"),
            "{product:?}"
        );
        let writes = world.forge(|it| it.writes());
        world.run().await;
        assert_eq!(
            world.forge(|it| it.writes()),
            writes,
            "{product:?}: at rest"
        );
        world.assert_sound();
    }
}

#[tokio::test]
async fn requests_are_opened_in_their_window_and_kept_current_at_any_time() {
    let words =
        "schedule: [{days: [mon-fri], from: '08:00', to: '10:00', timeZone: Europe/Berlin}]";
    let mut world = World::new(Product::Github).await.saying(words);
    world.tags("web", &["1.0.0", "1.1.0"]);
    assert_waiting(
        &world.run_one().await,
        "requests are opened mon-fri 08:00-10:00 Europe/Berlin",
    );
    assert_eq!(world.tip(BRANCH), None);
    world.now = "2026-01-05T08:30:00Z".parse().expect("a time");
    assert_applied(&world.run_one().await, 1);
    world.now = "2026-01-05T12:00:00Z".parse().expect("a time");
    world.tags("web", &["1.0.0", "1.1.0", "1.2.0"]);
    assert_applied(&world.run_one().await, 1);
}

#[tokio::test]
async fn what_cannot_be_decided_is_not_taken_back() {
    for product in Product::ALL {
        let world = World::new(product).await;
        world.tags("web", &["1.0.0", "1.1.0"]);
        world.tags("api", &["1.0.0", "1.0.1"]);
        world.run_one().await;
        let (tip, writes) = (world.tip(BRANCH), world.forge(|it| it.writes()));
        world.forget("api");
        assert_waiting(
            &world.run_one().await,
            "it is not known what apps:api chooses",
        );
        world.forget("web");
        assert_waiting(&world.run_one().await, "it is not known what apps:");
        assert_eq!(
            (world.tip(BRANCH), world.forge(|it| it.writes())),
            (tip, writes),
            "{product:?}"
        );
        assert_eq!(world.pull(1).state, Stage::Open);
    }
}

#[tokio::test]
async fn a_merge_is_asked_for_the_very_commit_that_we_made() {
    for product in Product::ALL {
        if product == Product::BitbucketCloud {
            continue;
        }
        let world = World::new(product)
            .await
            .saying("merge: auto, mergeMethod: squash");
        world.tags("web", &["1.0.0", "1.1.0"]);
        assert_applied(&world.run_one().await, 1);
        assert_eq!(world.pull(1).armed, world.tip(BRANCH), "{product:?}");
        world.tags("web", &["1.0.0", "1.1.0", "1.2.0"]);
        world.run_one().await;
        assert_eq!(
            world.pull(1).armed,
            world.tip(BRANCH),
            "{product:?}: and again for the next"
        );
        let writes = world.forge(|it| it.writes());
        world.run_one().await;
        assert_eq!(
            world.forge(|it| it.writes()),
            writes,
            "{product:?}: once for each"
        );
        world.assert_sound();
    }
}

#[tokio::test]
async fn a_merge_queue_is_given_the_very_commit_that_we_made() {
    for product in [Product::Github, Product::Gitlab] {
        for merge in ["queue", "auto"] {
            let world = World::new(product).await;
            let world = world.saying(&format!("merge: {merge}"));
            for tags in [&["1.0.0", "1.1.0"][..], &["1.0.0", "1.1.0", "1.2.0"]] {
                world.tags("web", tags);
                assert_applied(&world.run_one().await, 1);
                let pull = world.pull(1);
                assert_eq!(pull.armed, world.tip(BRANCH), "{product:?}");
                assert_eq!(pull.queued, merge == "queue", "{product:?}");
                let writes = world.forge(|it| it.writes());
                world.run_one().await;
                let now = world.forge(|it| it.writes());
                assert_eq!(now, writes, "{product:?}: once for each");
            }
            world.assert_sound();
        }
    }
}

#[tokio::test]
async fn where_nothing_is_to_be_waited_for_the_merge_is_at_once() {
    let world = World::new(Product::Github).await.saying("merge: auto");
    world.forge(|forge| forge.merges_at_once = true);
    world.tags("web", &["1.0.0", "1.1.0"]);
    assert_applied(&world.run_one().await, 1);
    assert_eq!(world.pull(1).state, Stage::Merged);
    assert!(world.file("main", "apps/web.yaml").contains("web:1.1.0"));
    world.run_one().await;
    assert_eq!(world.tip(BRANCH), None, "what is left of it is removed");
    world.assert_sound();
}

#[tokio::test]
async fn no_more_requests_are_opened_in_an_hour_than_may_be() {
    for product in Product::ALL {
        let mut world = World::new(product).await;
        // When the forges say that their requests were opened.
        world.now = "2026-01-02T03:30:00Z".parse().expect("a time");
        let mut world = world.saying("groupBy: image, maxPerHour: 1");
        world.tags("web", &["1.0.0", "1.1.0"]);
        world.tags("api", &["1.0.0", "1.0.1"]);
        for _ in 0..2 {
            let outcomes = world.run().await;
            let waiting = outcomes
                .iter()
                .filter(|it| matches!(it.end, End::Waiting(_)));
            let waiting = waiting.collect::<Vec<_>>();
            assert_eq!(waiting.len(), 1, "{product:?}: {outcomes:#?}");
            assert_waiting(waiting[0], "as many requests were opened in the last hour");
            assert_eq!(world.forge(|it| it.pulls.len()), 1, "{product:?}");
        }
        world.now = "2026-01-02T04:04:06Z".parse().expect("a time");
        world.run().await;
        assert_eq!(world.forge(|it| it.open_count()), 2, "{product:?}");
        world.assert_sound();
    }
}

#[tokio::test]
async fn the_report_says_number_and_address() {
    let world = World::new(Product::Github).await;
    world.tags("web", &["1.0.0", "1.1.0"]);
    let report = RunReport::new(&world.run().await);
    let words = text::run(&report, text::Detail::Brief);
    assert!(
        words.contains("pull request #1")
            && words.contains("https://github.test/acme/fleet/pull/1"),
        "{words}"
    );
    let json = serde_json::to_value(&report).expect("a report is JSON");
    let request = &json["automations"][0]["pullRequest"];
    assert_eq!(
        (&request["number"], &request["state"]),
        (&1.into(), &"open".into()),
        "{json}"
    );
}

#[tokio::test]
async fn drafts_titles_and_words_are_as_the_document_says() {
    for product in Product::ALL {
        let world = World::new(product).await.saying(
            "draft: true, title: '{{ range .Changed.Changes }}bump {{ .NewValue }}{{ end }}', body: '**Hello** {{ range .Changed.Changes }}{{ .OldValue }}{{ end }}'",
        );
        world.tags("web", &["1.0.0", "1.1.0"]);
        assert_applied(&world.run_one().await, 1);
        let pull = world.pull(1);
        assert!(
            pull.title.ends_with("bump registry.test/web:1.1.0"),
            "{}",
            pull.title
        );
        assert!(pull.draft || pull.title.starts_with("WIP: "), "{product:?}");
        assert!(
            pull.body.contains("**Hello** registry.test/web:1.0.0"),
            "{}",
            pull.body
        );
        world.tags("web", &["1.0.0", "1.1.0", "1.2.0"]);
        world.run_one().await;
        let pull = world.pull(1);
        assert!(
            pull.draft || pull.title.starts_with("WIP: "),
            "{product:?}: it stays a draft"
        );
        assert_eq!(pull.title.matches("bump").count(), 1);
        world.assert_sound();
    }
}

#[tokio::test]
async fn a_github_app_opens_requests_by_the_tokens_of_its_installation() {
    let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let world = World::new(Product::Github).await;
    let data = format!(
        "githubAppID: '4711', githubAppInstallationID: '77', githubAppPrivateKey: {:?}, \
         githubAppBaseURL: 'http://{}/api/v3'",
        pem(&key),
        world.server.address
    );
    let world = world.with_secret(data);
    world.tags("web", &["1.0.0", "1.1.0"]);
    assert_applied(&world.run_one().await, 1);
    assert_eq!(world.pull(1).labels, ["images"]);
    world.assert_sound();
}
