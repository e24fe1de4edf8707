//! The run is ended after every single call, of Git and of the forge, and the next run goes on.
//!
//! A request is opened, brought up to date and taken back, and each of the three is ended after its first
//! call, after its second, and so on until there are no more. `TAGWRIGHT_CRASHES=100 cargo test --test
//! suite forge::crash` goes on with calls that dice draw, the runs that go on are ended too, until on each
//! forge every kind of call was a hundred times the last one.

use std::collections::BTreeMap;

use super::{
    fake::{Product, Stage},
    staged::STAGING,
    world::{BRANCH, World},
};

/// More calls than any run makes.
const MAX_CALLS: usize = 60;

/// How a request is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// With labels and people, and a commit of our own.
    Decorated,
    /// With a commit that the forge makes.
    Staged,
}

/// What a run is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Open,
    Update,
    Withdraw,
}

/// A moment at which a run can be ended.
#[derive(Clone, Debug)]
struct Point {
    act: Act,
    after: usize,
    /// What was asked last.
    call: String,
}

/// One forge, and what has ended on it.
struct Matrix {
    world: World,
    manner: Manner,
    /// How often each kind of call was the last.
    ends: BTreeMap<String, u64>,
    /// How many versions there were.
    minor: usize,
    dice: fastrand::Rng,
}

impl Matrix {
    async fn new(product: Product, manner: Manner) -> Self {
        let world = World::new(product).await;
        Self {
            world: match manner {
                Manner::Decorated => world,
                Manner::Staged => world.saying("commitBy: forge, labels: [images]"),
            },
            manner,
            ends: BTreeMap::new(),
            minor: 0,
            dice: fastrand::Rng::with_seed(8),
        }
    }

    /// Runs until so many calls were carried out, the last of which is never answered, and gives that
    /// one; nothing where the run makes fewer calls.
    async fn crash(&mut self, after: usize) -> Option<String> {
        self.world.fuse.set(Some(after));
        let call = tokio::select! {
            call = self.world.fuse.burnt() => Some(call),
            _ = self.world.run() => None,
        };
        self.world.fuse.set(None);
        assert!(self.world.forge(|it| it.open_count()) <= 1);
        *self.ends.entry(call.clone()?).or_default() += 1;
        call
    }

    /// Goes through one act, which is ended after so many calls, then perhaps again, and at last not.
    async fn play(&mut self, act: Act, after: Option<usize>) -> Option<Point> {
        self.minor += 1;
        let newest = format!("1.{}.0", self.minor);
        let tags = ["1.0.0", newest.as_str()];
        let tags = if act == Act::Withdraw {
            &tags[..1]
        } else {
            &tags
        };
        self.world.tags("web", tags);
        let mut point = None;
        if let Some(after) = after
            && let Some(call) = self.crash(after).await
        {
            point = Some(Point { act, after, call });
            while self.dice.bool() {
                let after = self.dice.usize(1..25);
                self.crash(after).await;
            }
        }
        self.world.run().await;
        let place = format!("{:?} {:?} {point:?}", self.world.product, self.manner);
        match act {
            Act::Open | Act::Update => assert_offered(&self.world, &newest, &place),
            Act::Withdraw => assert_withdrawn(&self.world, &place),
        }
        point
    }

    /// Ends each act after each of its calls, once. The act that opens comes along for the others.
    async fn every_point(&mut self) -> Vec<Point> {
        let mut points = Vec::new();
        let mut acts = vec![Act::Open, Act::Update, Act::Withdraw];
        for after in 1..MAX_CALLS {
            self.world.forget_requests();
            let mut longer = Vec::new();
            for act in acts {
                let point = self.play(act, Some(after)).await;
                if point.is_some() || act == Act::Open {
                    longer.push(act);
                }
                points.extend(point);
            }
            if points.last().is_none_or(|it| it.after < after) {
                return points;
            }
            acts = longer;
        }
        panic!("a run makes more than {MAX_CALLS} calls: {points:?}");
    }

    /// Ends acts at random points until every kind of call was the last so many times.
    async fn again(&mut self, points: &[Point], times: u64) {
        loop {
            let is_rare = |it: &&Point| self.ends.get(&it.call).is_none_or(|it| *it < times);
            let rare = points.iter().filter(is_rare).cloned().collect::<Vec<_>>();
            if rare.is_empty() {
                return;
            }
            self.world.forget_requests();
            for act in [Act::Open, Act::Update, Act::Withdraw] {
                let mut draws = rare.iter().filter(|it| it.act == act);
                let draw = draws.nth(self.dice.usize(..draws.clone().count().max(1)));
                match draw {
                    None if act != Act::Open => {}
                    draw => {
                        let done = self.play(act, draw.map(|it| it.after)).await;
                        let done = done.map(|it| it.call);
                        assert_eq!(done.as_ref(), draw.map(|it| &it.call), "one way, always");
                    }
                }
            }
        }
    }
}

/// There is one request with everything that was asked for, and one branch, which says `version`.
#[track_caller]
fn assert_offered(world: &World, version: &str, place: &str) {
    let pulls = world.forge(|it| it.pulls.clone());
    assert_eq!(pulls.len(), 1, "{place}: {pulls:#?}");
    let pull = &pulls[0];
    assert_eq!(pull.state, Stage::Open, "{place}");
    assert!(pull.body.contains(version), "{place}: {}", pull.body);
    let is_labelled = pull.labels == ["images"];
    assert_eq!(is_labelled, world.product.has_labels(), "{place}");
    let file = world.file(BRANCH, "apps/web.yaml");
    assert!(file.contains(version), "{place}: {file}");
    assert_eq!(world.tip(STAGING), None, "{place}: no orphan");
    world.assert_sound();
}

#[track_caller]
fn assert_withdrawn(world: &World, place: &str) {
    let pull = world.pull(1);
    assert_eq!(pull.state, Stage::Closed, "{place}");
    // A word may be said again where its answer was lost, and is never missing.
    assert!(!pull.comments.is_empty(), "{place}");
    assert_eq!(world.forge(|it| it.pulls.len()), 1, "{place}");
    let branches = (world.tip(BRANCH), world.tip(STAGING));
    assert_eq!(branches, (None, None), "{place}: no orphan");
    world.assert_sound();
}

async fn check(product: Product, manner: Manner) {
    let mut matrix = Matrix::new(product, manner).await;
    let points = matrix.every_point().await;
    assert!(points.len() > 20, "there are more calls: {points:#?}");
    if let Ok(times) = std::env::var("TAGWRIGHT_CRASHES") {
        matrix
            .again(&points, times.parse().expect("a number"))
            .await;
    }
}

#[tokio::test]
async fn on_github_a_request_lives_on_whatever_call_was_the_last() {
    check(Product::Github, Manner::Decorated).await;
}

#[tokio::test]
async fn on_github_a_commit_of_its_own_leaves_no_orphan_whatever_call_was_the_last() {
    check(Product::Github, Manner::Staged).await;
}

#[tokio::test]
async fn on_gitlab_a_request_lives_on_whatever_call_was_the_last() {
    check(Product::Gitlab, Manner::Decorated).await;
}

#[tokio::test]
async fn on_gitlab_a_commit_of_its_own_leaves_no_orphan_whatever_call_was_the_last() {
    check(Product::Gitlab, Manner::Staged).await;
}

#[tokio::test]
async fn on_gitea_a_request_lives_on_whatever_call_was_the_last() {
    check(Product::Gitea, Manner::Decorated).await;
}

#[tokio::test]
async fn on_bitbucket_cloud_a_request_lives_on_whatever_call_was_the_last() {
    check(Product::BitbucketCloud, Manner::Decorated).await;
}

#[tokio::test]
async fn on_bitbucket_data_center_a_request_lives_on_whatever_call_was_the_last() {
    check(Product::BitbucketDataCenter, Manner::Decorated).await;
}

#[tokio::test]
async fn on_azure_devops_a_request_lives_on_whatever_call_was_the_last() {
    check(Product::AzureDevops, Manner::Decorated).await;
}
