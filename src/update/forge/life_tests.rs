//! The life of a request, as a table and as a machine that is stopped at every step.

use proptest::prelude::*;

use super::*;
use crate::update::forge::Readiness;

const OLD: &str = "0000000000000000000000000000000000000001";
const NEW: &str = "0000000000000000000000000000000000000002";

fn key() -> Key {
    Key {
        automation: "apps/fleet".to_owned(),
        group: "all".to_owned(),
    }
}

fn commit(id: &str) -> CommitId {
    CommitId::new(id).expect("a commit")
}

fn offer(policy: &str, new: &str) -> Offer {
    Offer {
        policy: policy.to_owned(),
        image: format!("ghcr.io/acme/{policy}"),
        new: new.to_owned(),
    }
}

fn wish(offers: &[(&str, &str)]) -> Wish {
    Wish {
        offers: offers
            .iter()
            .map(|(policy, new)| offer(policy, new))
            .collect(),
        title: format!("Update to {offers:?}"),
        body: format!("The offers are {offers:?}."),
        base: Branch::new("main").expect("a branch"),
        decoration: Decoration::default(),
        merge: Merge::ByHand,
    }
}

/// A request as this module would have written it.
fn request(number: u64, state: State, offers: &[(&str, &str)]) -> Request {
    let wish = wish(offers);
    let note = Note::new(&key(), &wish.offers, &wish.title);
    Request {
        number,
        url: format!("https://forge.test/{number}"),
        body: note.write(&wish.body, ""),
        title: wish.title,
        head: "bot/images".to_owned(),
        base: "main".to_owned(),
        state,
        readiness: Readiness::Ready,
        created: None,
    }
}

fn noted(mut request: Request, change: impl Fn(&mut Note)) -> Request {
    let mut note = request.note().expect("a note");
    change(&mut note);
    request.body = note.write(text_of(&request.body), &request.body);
    request
}

fn ask(wish: Option<&Wish>, branch: &Head, requests: &[Request]) -> Next {
    next(&Situation {
        key: &key(),
        wish,
        below: &[],
        undecided: &[],
        branch,
        requests,
        gate: &Gate::Open,
        done: Done::default(),
    })
}

#[test]
fn every_situation_has_its_step() {
    let web = wish(&[("web", "1.5.0")]);
    let current = Head::Current(commit(NEW));
    let ours = Head::Ours(commit(OLD));
    let (open, closed, merged) = (State::Open, State::Closed, State::Merged);
    let check = |wish: Option<&Wish>, branch: &Head, requests: &[Request], expected: &str| {
        let next = format!("{:?}", ask(wish, branch, requests));
        assert!(next.starts_with(expected), "{next} is not {expected}");
    };
    let same = |state| request(7, state, &[("web", "1.5.0")]);
    let other = |state| request(6, state, &[("web", "1.4.0")]);
    let both = request(5, closed, &[("web", "1.5.0"), ("api", "2.0")]);
    let taken_back = noted(same(closed), |note| note.withdrawn = true);

    check(Some(&web), &Head::Absent, &[], "Do(Push)");
    check(Some(&web), &ours, &[], "Do(Push)");
    check(Some(&web), &current, &[], "Do(Create(");
    check(Some(&web), &current, &[same(open)], "Rest(Offered(7))");
    check(Some(&web), &ours, &[other(open)], "Do(Push)");
    check(Some(&web), &current, &[other(open)], "Do(Edit(6");
    check(Some(&web), &Head::Foreign, &[same(open)], "Rest(Foreign)");
    check(Some(&web), &Head::Foreign, &[], "Rest(Foreign)");
    check(Some(&web), &ours, &[same(closed)], "Rest(Refused(7))");
    check(Some(&web), &ours, &[both], "Rest(Refused(5))");
    check(Some(&web), &ours, &[other(closed)], "Do(Push)");
    check(Some(&web), &ours, &[taken_back], "Do(Push)");
    check(
        Some(&web),
        &ours,
        &[same(merged), other(closed)],
        "Do(Push)",
    );
    check(
        Some(&web),
        &current,
        &[same(open), other(open)],
        "Do(Edit(7",
    );
    check(None, &current, &[same(open)], "Do(Edit(7");
    check(None, &Head::Foreign, &[same(open)], "Rest(Foreign)");
    check(None, &ours, &[same(merged)], "Do(RemoveBranch(");
    check(None, &Head::Absent, &[same(merged)], "Rest(Nothing)");
    check(None, &Head::Foreign, &[], "Rest(Nothing)");
}

#[test]
fn a_request_of_somebody_else_is_not_touched() {
    let web = wish(&[("web", "1.5.0")]);
    let foreign = noted(request(3, State::Open, &[("web", "1.5.0")]), |note| {
        note.key.automation = "apps/other".to_owned();
    });
    let without_note = Request {
        body: "Mine.".to_owned(),
        ..foreign.clone()
    };
    for request in [foreign, without_note] {
        let next = ask(
            Some(&web),
            &Head::Current(commit(NEW)),
            std::slice::from_ref(&request),
        );
        assert!(matches!(next, Next::Do(Step::Create(_))), "{next:?}");
        assert_eq!(
            ask(None, &Head::Absent, &[request]),
            Next::Rest(Rest::Nothing)
        );
    }
}

#[test]
fn a_persons_title_and_words_stay() {
    let web = wish(&[("web", "1.5.0")]);
    let mut mine = request(4, State::Open, &[("web", "1.4.0")]);
    mine.title = "HOLD until Monday".to_owned();
    mine.body = format!("Wait!\n\n{}", mine.body);
    let Next::Do(Step::Edit(4, text)) =
        ask(Some(&web), &Head::Current(commit(NEW)), &[mine.clone()])
    else {
        panic!("it is edited");
    };
    assert_eq!(text.title, "HOLD until Monday");
    assert!(text.body.starts_with("Wait!\n\n") && text.body.contains("1.5.0"));
    (mine.title, mine.body) = (text.title, text.body);
    assert_eq!(
        ask(Some(&web), &Head::Current(commit(NEW)), &[mine]),
        Next::Rest(Rest::Offered(4))
    );
}

#[test]
fn what_is_undecided_is_not_taken_back() {
    let check = |wish: Option<&Wish>, undecided: &[&str], is_left: bool| {
        let undecided = undecided
            .iter()
            .map(|it| (*it).to_owned())
            .collect::<Vec<_>>();
        let found = next(&Situation {
            key: &key(),
            wish,
            below: &[],
            undecided: &undecided,
            branch: &Head::Ours(commit(OLD)),
            requests: &[request(1, State::Open, &[("web", "1.5.0"), ("api", "2.0")])],
            gate: &Gate::Open,
            done: Done::default(),
        });
        let rest = matches!(found, Next::Rest(Rest::Undecided(_)));
        assert_eq!(rest, is_left, "{found:?}");
    };
    check(None, &["web"], true);
    check(None, &["worker"], false);
    check(Some(&wish(&[("web", "1.6.0")])), &["api"], true);
    check(Some(&wish(&[("web", "1.6.0")])), &["worker"], false);
}

#[test]
fn a_shut_gate_keeps_new_requests_from_being_opened_and_no_other() {
    let gate = Gate::Shut("2 are open".to_owned());
    let web = wish(&[("web", "1.5.0")]);
    let check = |requests: &[Request], expected: &str| {
        let found = next(&Situation {
            key: &key(),
            wish: Some(&web),
            below: &[],
            undecided: &[],
            branch: &Head::Ours(commit(OLD)),
            requests,
            gate: &gate,
            done: Done::default(),
        });
        assert!(format!("{found:?}").starts_with(expected), "{found:?}");
    };
    check(&[], "Rest(Waiting(\"2 are open\"))");
    check(&[request(1, State::Open, &[("web", "1.4.0")])], "Do(Push)");
}

#[test]
fn a_title_is_one_line_that_every_forge_takes() {
    let check = |title: &str, expected: &str| assert_eq!(short(title), expected);
    check("\n Update web \nmore", "Update web");
    check("", "Update images");
    check("a\u{202e}b", "a\\u{202e}b");
    assert_eq!(
        short(&"ä".repeat(400)).chars().count(),
        crate::update::forge::MAX_TITLE
    );
}

/// A world in which steps are carried out, and which can be stopped after any of them.
#[derive(Clone, Debug)]
struct World {
    branch: Head,
    requests: Vec<Request>,
    comments: usize,
}

impl World {
    fn act(&mut self, step: &Step, done: &mut Done) {
        match step {
            Step::Push => self.branch = Head::Current(commit(NEW)),
            Step::RemoveBranch(_) => self.branch = Head::Absent,
            Step::Create(text) => {
                let mut new = request(self.requests.len() as u64 + 1, State::Open, &[]);
                (new.title, new.body) = (text.title.clone(), text.body.clone());
                self.requests.insert(0, new);
            }
            Step::Edit(number, text) => {
                let found = self.requests.iter_mut().find(|it| it.number == *number);
                let found = found.expect("a request");
                (found.title, found.body) = (text.title.clone(), text.body.clone());
            }
            Step::Decorate(_) => done.decorated = true,
            Step::Arm(..) => done.armed = Armed::Agreed,
            Step::Comment(..) => {
                done.said = true;
                self.comments += 1;
            }
            Step::Close(number) => {
                let found = self.requests.iter_mut().find(|it| it.number == *number);
                found.expect("a request").state = State::Closed;
                *done = Done::default();
            }
        }
    }

    /// Runs until there is a rest, or for so many steps; gives how many there were.
    fn run(&mut self, wish: Option<&Wish>, limit: usize) -> usize {
        // A push branch that is not what is wished for now is an older one.
        let mut done = Done::default();
        for count in 0..limit {
            let found = next(&Situation {
                key: &key(),
                wish,
                below: &[],
                undecided: &[],
                branch: &self.branch,
                requests: &self.requests,
                gate: &Gate::Open,
                done,
            });
            match found {
                Next::Do(step) => self.act(&step, &mut done),
                Next::Rest(_) => return count,
            }
        }
        limit
    }

    fn open(&self) -> usize {
        let open = self.requests.iter().filter(|it| it.state == State::Open);
        open.count()
    }
}

proptest! {
    #[test]
    fn however_often_it_is_stopped_it_ends_in_the_same_place(
        stops in proptest::collection::vec(0_usize..6, 0..6),
        versions in proptest::collection::vec(proptest::option::of(0_u8..3), 1..5),
    ) {
        let mut world = World { branch: Head::Absent, requests: Vec::new(), comments: 0 };
        let mut stops = stops.into_iter();
        for version in versions {
            let version = version.map(|it| format!("1.{it}"));
            let mut wish = version.as_ref().map(|it| wish(&[("web", it)]));
            if let Some(wish) = &mut wish {
                wish.decoration.labels.push("images".to_owned());
                wish.merge = Merge::Queue;
            }
            if let Head::Current(id) = &world.branch {
                world.branch = Head::Ours(id.clone());
            }
            for limit in stops.by_ref().take(2) {
                world.run(wish.as_ref(), limit);
                prop_assert!(world.open() <= 1);
            }
            prop_assert!(world.run(wish.as_ref(), 40) < 40, "it comes to rest");
            prop_assert_eq!(world.run(wish.as_ref(), 40), 0, "and stays there");
            prop_assert_eq!(world.open(), usize::from(wish.is_some()));
            prop_assert_eq!(world.branch == Head::Absent, wish.is_none());
            if wish.is_some() {
                let note = world.requests[0].note().expect("a note");
                prop_assert!(note.decorated && note.armed.as_deref() == Some(NEW) && !note.withdrawn);
            }
        }
    }
}
