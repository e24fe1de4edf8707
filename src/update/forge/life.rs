//! The life of a request: from what is there and what is wished for, the next step.
//!
//! [`next`] is asked, its step is carried out, what is there is looked at anew, and it is asked again,
//! until it gives a [`Rest`]. Because every question starts from what is there, a run that was ended
//! between any two steps is continued by the next one.

use super::{
    Decoration, Merge, Request, State, Text,
    note::{Key, Note, Offer, text_of},
};
use crate::update::git::{Branch, CommitId};

/// What is there, and what is wished for.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// Whose request it is.
    pub key: &'a Key,
    /// What is to be offered; nothing where everything is as it should be.
    pub wish: Option<&'a Wish>,
    /// Offers that stand below what a person has refused.
    pub below: &'a [Offer],
    /// The policies of which it is not known what they choose.
    pub undecided: &'a [String],
    /// The branch that the request comes from.
    pub branch: &'a Head,
    /// The requests from this branch, in any state, newest first.
    pub requests: &'a [Request],
    /// Whether a new request may be opened.
    pub gate: &'a Gate,
    /// What this run has done for the open request and a look would not show.
    pub done: Done,
}

/// What is to be offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The images' steps.
    pub offers: Vec<Offer>,
    /// The title.
    pub title: String,
    /// Our part of the body, without the note.
    pub body: String,
    /// The branch that it is to go to.
    pub base: Branch,
    /// What is hung on a new request.
    pub decoration: Decoration,
    /// Who merges.
    pub merge: Merge,
}

/// The branch that a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// There is none.
    Absent,
    /// It ends in a commit of this automation.
    Ours(CommitId),
    /// It ends in the commit that is wished for.
    Current(CommitId),
    /// It ends in somebody else's commit.
    Foreign,
}

/// Whether a new request may be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Open,
    /// It may not; the text says why.
    Shut(String),
}

/// What this run has done for the open request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Labels and the like were hung on.
    pub decorated: bool,
    /// Whether the forge was asked to merge.
    pub armed: Armed,
    /// The farewell was said.
    pub said: bool,
}

/// Whether a forge was asked to merge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Armed {
    /// Not in this run.
    #[default]
    NotAsked,
    /// It will.
    Agreed,
    /// It will not yet; the next run asks again.
    Declined,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This, and then ask again.
    Do(Step),
    /// Nothing more in this run.
    Rest(Rest),
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Lets the branch end in the commit that is wished for.
    Push,
    /// Opens a request.
    Create(Text),
    /// Changes title and body of a request.
    Edit(u64, Text),
    /// Hangs labels and the like on a request.
    Decorate(u64),
    /// Asks the forge to merge a request.
    Arm(u64, CommitId),
    /// Says why a request is going to be closed.
    Comment(u64, String),
    /// Closes a request.
    Close(u64),
    /// Removes the branch, while it ends in this commit.
    RemoveBranch(CommitId),
}

/// Why there is nothing more to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// There is nothing to offer, and nothing is left over.
    Nothing,
    /// The request with this number offers what is wished for.
    Offered(u64),
    /// A person closed the request with this number, and there is nothing newer to offer.
    Refused(u64),
    /// A new request may not be opened now; the text says why.
    Waiting(String),
    /// It is not known what some policies choose, so nothing that was offered is taken back.
    Undecided(String),
    /// The branch ends in somebody else's commit.
    Foreign,
}

const OBSOLETE: &str = "Nothing is left to change here: the base branch says what the policies choose. \
                        This request is closed, and a new one is opened when there is something newer.";
const DOUBLE: &str = "An older request offers the same. This one is closed in its favour.";

/// The next step, or why there is none.
pub fn next(situation: &Situation<'_>) -> Next {
    let mut open = situation
        .requests
        .iter()
        .filter(|it| it.state == State::Open && note_of(it, situation.key).is_some())
        .collect::<Vec<_>>();
    open.sort_by_key(|request| request.number);
    match (situation.wish, open.as_slice()) {
        (None, []) => tidy(situation),
        (None, [request, ..]) => match left_undecided(situation, request, &[]) {
            Some(rest) => Next::Rest(rest),
            None if *situation.branch == Head::Foreign => Next::Rest(Rest::Foreign),
            None => Next::Do(withdraw(situation, request, OBSOLETE)),
        },
        (Some(_), _) if *situation.branch == Head::Foreign => Next::Rest(Rest::Foreign),
        (Some(wish), []) => propose(situation, wish),
        (Some(_), [_, double, ..]) => Next::Do(withdraw(situation, double, DOUBLE)),
        (Some(wish), [request]) => match left_undecided(situation, request, &wish.offers) {
            Some(rest) => Next::Rest(rest),
            None => keep_current(situation, wish, request),
        },
    }
}

fn note_of(request: &Request, key: &Key) -> Option<Note> {
    request.note().filter(|note| note.key == *key)
}

/// Nothing is wished for and nothing is open: what is left of the branch goes.
fn tidy(situation: &Situation<'_>) -> Next {
    match situation.branch {
        Head::Ours(commit) | Head::Current(commit) if situation.undecided.is_empty() => {
            Next::Do(Step::RemoveBranch(commit.clone()))
        }
        _ => Next::Rest(Rest::Nothing),
    }
}

/// A request that offers something of an undecided policy is left as it is: unknown means stop.
fn left_undecided(situation: &Situation<'_>, request: &Request, offers: &[Offer]) -> Option<Rest> {
    let note = note_of(request, situation.key)?;
    let stays = |policy: &String| offers.iter().any(|offer| offer.policy == *policy);
    let offered = |policy: &&String| {
        note.offers.is_empty() || note.offers.iter().any(|offer| offer.policy == **policy)
    };
    let lost = situation
        .undecided
        .iter()
        .filter(|it| !stays(it))
        .find(offered)?;
    Some(Rest::Undecided(lost.clone()))
}

/// There is no open request: one is opened, branch first, unless something speaks against it.
fn propose(situation: &Situation<'_>, wish: &Wish) -> Next {
    if let Some(number) = refused(situation, wish) {
        return Next::Rest(Rest::Refused(number));
    }
    if let Gate::Shut(reason) = situation.gate {
        return Next::Rest(Rest::Waiting(reason.clone()));
    }
    if !matches!(situation.branch, Head::Current(_)) {
        return Next::Do(Step::Push);
    }
    let title = short(&wish.title);
    let note = Note::new(situation.key, &wish.offers, &title);
    let body = note.write(&wish.body, "");
    Next::Do(Step::Create(Text { title, body }))
}

/// The newest request, if a person closed it and nothing is wished for that it did not offer.
fn refused(situation: &Situation<'_>, wish: &Wish) -> Option<u64> {
    let mut known = situation.requests.iter();
    let (request, note) = known.find_map(|it| Some((it, note_of(it, situation.key)?)))?;
    if request.state != State::Closed || note.withdrawn {
        return None;
    }
    let has_it = |offer: &Offer| note.offers.contains(offer) || situation.below.contains(offer);
    let is_same = note.wish == Note::new(situation.key, &wish.offers, "").wish;
    (is_same || wish.offers.iter().all(has_it)).then_some(request.number)
}

/// There is an open request: it is made to offer what is wished for.
fn keep_current(situation: &Situation<'_>, wish: &Wish, request: &Request) -> Next {
    let Head::Current(head) = situation.branch else {
        return Next::Do(Step::Push);
    };
    let Some(old) = note_of(request, situation.key) else {
        return Next::Rest(Rest::Nothing);
    };
    if !old.decorated && !situation.done.decorated && !wish.decoration.is_empty() {
        return Next::Do(Step::Decorate(request.number));
    }
    let is_armed = old.armed.as_deref() == Some(head.as_str());
    if wish.merge != Merge::ByHand && !is_armed && situation.done.armed == Armed::NotAsked {
        return Next::Do(Step::Arm(request.number, head.clone()));
    }
    // A title that we did not write is a person's.
    let title = if old.is_title(&request.title) {
        short(&wish.title)
    } else {
        request.title.clone()
    };
    let mut note = Note::new(situation.key, &wish.offers, &title);
    if !old.is_title(&request.title) {
        note.title.clone_from(&old.title);
    }
    note.decorated = old.decorated || situation.done.decorated;
    note.armed = if situation.done.armed == Armed::Agreed {
        Some(head.to_string())
    } else {
        old.armed.clone()
    };
    let is_said =
        title == request.title && text_of(&request.body) == text_of(&note.write(&wish.body, ""));
    if is_said && note == old {
        return Next::Rest(Rest::Offered(request.number));
    }
    let body = note.write(&wish.body, &request.body);
    Next::Do(Step::Edit(request.number, Text { title, body }))
}

/// Takes a request back: first its note says so, so that the closing is no refusal, then a comment
/// says why, then it is closed.
fn withdraw(situation: &Situation<'_>, request: &Request, why: &str) -> Step {
    let note = note_of(request, situation.key);
    match note {
        Some(note) if !note.withdrawn => {
            let note = Note {
                withdrawn: true,
                ..note
            };
            let body = note.write(text_of(&request.body), &request.body);
            let title = request.title.clone();
            Step::Edit(request.number, Text { title, body })
        }
        _ if !situation.done.said => Step::Comment(request.number, why.to_owned()),
        _ => Step::Close(request.number),
    }
}

/// The title as every forge takes it.
fn short(title: &str) -> String {
    let line = title.lines().map(str::trim).find(|line| !line.is_empty());
    let line = crate::printable::printable(line.unwrap_or("Update images")).into_owned();
    if line.chars().count() <= super::MAX_TITLE {
        return line;
    }
    let cut = line.chars().take(super::MAX_TITLE - 1);
    cut.chain(['…']).collect()
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
